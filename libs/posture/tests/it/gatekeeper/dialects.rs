//! Rego of several ages: keywords that are imported, patterns, and functions for URLs.

use super::rego::{check, holds};

#[test]
fn entries_that_are_true_are_violations_by_their_keys() {
    check("import rego.v1\nviolation[{\"msg\": msg}] if { some msg in [\"m\", \"n\"] }", &["m", "n"]);
    check("import future.keywords\nviolation[{\"msg\": msg}] if some msg in [\"m\"]", &["m"]);
    check("import rego.v1\nviolation[{\"msg\": msg}] if { some msg in [] }", &[]);
}

#[test]
fn keywords_are_imported_one_by_one() {
    let imports = |last: &str| format!("import future.keywords.contains\nimport future.keywords.{last}\n");
    check(&format!("{}violation[{{\"msg\": m}}] {{ some m in [\"m\"] }}", imports("in")), &["m"]);
    check(&format!("{}violation contains {{\"msg\": \"m\"}} if {{ 1 == 1 }}", imports("if")), &["m"]);
    check("import future.keywords.if\nviolation[{\"msg\": msg}] if { msg := ok }\nok := \"m\"", &["m"]);
}

#[test]
fn patterns_are_those_of_re2() {
    holds("regex.match(\"{a}\", \"x{a}\")", true);
    holds("regex.match(\"^[^[]+$\", \"ab\")", true);
    holds("regex.match(`^\\w$`, \"\u{fc}\")", false);
    holds("not re_match(`^\\d$`, \"\u{663}\")", true);
    holds("regex.match(`^[\\w.-]{1,253}$`, \"a.b\")", true);
    holds("regex.match(concat(\"\", [`\\d`, \"$\"]), \"\u{663}\")", false);
    holds("not regex.match(\"(\", \"a\")", true);
}

#[test]
fn urls_are_put_together() {
    holds("base64url.encode(\"a?\") == \"YT8=\"; urlquery.encode(\"a b\") == \"a+b\"", true);
}

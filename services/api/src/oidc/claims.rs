//! What the claims of a token say. Pure.

use chrono::{DateTime, Utc};
use rampart_store::Grant;
use rampart_store::identity_provider::{ClaimMatch, ClaimRule};
use serde_json::{Map, Value};

type Claims = Map<String, Value>;

/// Seconds that the clock of an issuer may differ from ours.
const SKEW: f64 = 60.0;
/// Longest subject, in bytes, as the specification has it.
const LONGEST_SUBJECT: usize = 255;
/// Longest name that is shown of a caller, in bytes.
const LONGEST_NAME: usize = 200;

/// The caller's own id at the issuer.
pub(super) fn subject(claims: &Claims) -> Option<&str> {
    let fits = |text: &&str| (1..=LONGEST_SUBJECT).contains(&text.len()) && !text.contains(char::is_control);
    claims.get("sub").and_then(Value::as_str).filter(fits)
}

/// What people call the caller.
pub(super) fn name(claims: &Claims) -> Option<&str> {
    let fits = |text: &&str| (1..=LONGEST_NAME).contains(&text.len()) && !text.contains(char::is_control);
    let words = ["preferred_username", "email", "name"].into_iter();
    words.filter_map(|word| claims.get(word)).filter_map(Value::as_str).find(fits)
}

/// Whether the token is valid at `now`. It must say when it ends.
pub(super) fn check_times(claims: &Claims, now: DateTime<Utc>) -> Result<(), &'static str> {
    let now = now.timestamp_millis() as f64 / 1000.0;
    let time = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or("a time of the token is no number"),
    };
    let ends = time("exp")?.ok_or("the token does not say when it ends")?;
    if ends + SKEW <= now {
        return Err("the token is expired");
    }
    if time("nbf")?.is_some_and(|begins| begins - SKEW > now) {
        return Err("the token is not valid yet");
    }
    if time("iat")?.is_some_and(|issued| issued - SKEW > now) {
        return Err("the token is from the future");
    }
    Ok(())
}

/// What the rules grant, each grant once.
pub(super) fn grants(rules: &[ClaimRule], claims: &Claims) -> Vec<Grant> {
    // A pointer looks into a value, not into a map.
    let token = Value::Object(claims.clone());
    let mut grants: Vec<Grant> = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.claims.is_empty()) {
        if rule.claims.iter().all(|wanted| holds(&token, wanted)) && !grants.contains(&rule.grant) {
            grants.push(rule.grant.clone());
        }
    }
    grants
}

fn holds(token: &Value, wanted: &ClaimMatch) -> bool {
    token.pointer(&wanted.path).is_some_and(|claim| texts(claim).contains(&wanted.value))
}

/// The texts that a claim is: itself, or its elements. Numbers and truth values are taken as they are written.
pub(super) fn texts(claim: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match claim {
        Value::Array(elements) => elements.iter().filter_map(text).collect(),
        single => text(single).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use rampart_store::{AccessScope, Role};
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    fn rule(matches: &[(&str, &str)], role: Role) -> ClaimRule {
        let claims = matches.iter().map(|(path, value)| ClaimMatch { path: (*path).into(), value: (*value).into() });
        ClaimRule { claims: claims.collect(), grant: Grant { role, scope: AccessScope::Tenant } }
    }

    #[test]
    fn a_rule_holds_when_all_its_claims_do() {
        let token =
            claims(&json!({"groups": ["a", "sec"], "realm": {"roles": ["x"]}, "https://acme.example/role": "r",
            "verified": true, "n": 7, "odd": {"a": "sec"}}));
        let check = |matches: &[(&str, &str)]| !grants(&[rule(matches, Role::Owner)], &token).is_empty();
        assert!(check(&[("/groups", "sec")]));
        assert!(check(&[("/realm/roles", "x"), ("/verified", "true"), ("/n", "7")]));
        assert!(check(&[("/https:~1~1acme.example~1role", "r")]));
        for not in [("/groups", "se"), ("/groups", "*"), ("/odd", "sec"), ("/none", ""), ("", "sec"), ("/groups", "")] {
            assert!(!check(&[not]), "{not:?}");
        }
        assert!(!check(&[("/groups", "sec"), ("/verified", "false")]));
        assert!(!check(&[]), "a rule without claims grants nothing");
        let twice = [rule(&[("/groups", "a")], Role::Owner), rule(&[("/groups", "sec")], Role::Owner)];
        assert_eq!(grants(&twice, &token).len(), 1);
    }

    #[test]
    fn times_are_judged_with_a_minute_of_skew() {
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let check = |value: Value| check_times(&claims(&value), now);
        assert_eq!(check(json!({"exp": 1_000_001})), Ok(()));
        assert_eq!(check(json!({"exp": 999_941})), Ok(()), "within the skew");
        assert_eq!(check(json!({"exp": 999_940})), Err("the token is expired"));
        assert_eq!(
            check(json!({"exp": 1_000_001, "nbf": 1_000_060, "iat": 1_000_060.5})),
            Err("the token is from the future")
        );
        assert_eq!(check(json!({"exp": 1_000_100, "nbf": 1_000_060, "iat": 1_000_060})), Ok(()));
        assert_eq!(check(json!({"exp": 1_000_100, "nbf": 1_000_061})), Err("the token is not valid yet"));
        assert!(check(json!({})).is_err() && check(json!({"exp": "1000001"})).is_err());
    }

    #[test]
    fn a_subject_is_needed() {
        for bad in
            [json!({}), json!({"sub": ""}), json!({"sub": 7}), json!({"sub": "a\nb"}), json!({"sub": "x".repeat(256)})]
        {
            assert_eq!(subject(&claims(&bad)), None, "{bad}");
        }
        let token = claims(&json!({"sub": "7", "email": "jo@acme.example", "name": "Jo"}));
        assert_eq!((subject(&token), name(&token)), (Some("7"), Some("jo@acme.example")));
    }
}

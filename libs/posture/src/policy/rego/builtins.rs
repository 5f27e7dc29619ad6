//! The functions that a policy can call, with those that the engine lacks.

use regorus::{Engine, Value};

use super::{format, glob, operators};
use crate::cel::{Syntax, with_pattern};

/// Functions that the engine knows, in order.
const KNOWN: [&str; 118] = [
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.lsh",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "glob.quote_meta",
    "graph.reachable",
    "graph.reachable_paths",
    "hex.decode",
    "hex.encode",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.marshal_with_options",
    "json.patch",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "net.cidr_contains",
    "net.cidr_expand",
    "net.cidr_is_valid",
    "numbers.range",
    "numbers.range_step",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "print",
    "product",
    "rand.intn",
    "regex.find_all_string_submatch_n",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "regex.template_match",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "set",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "time.add_date",
    "time.clock",
    "time.date",
    "time.diff",
    "time.format",
    "time.now_ns",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trace",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
    "urlquery.decode",
    "urlquery.decode_object",
    "urlquery.encode",
    "urlquery.encode_object",
    "walk",
    "yaml.is_valid",
    "yaml.marshal",
    "yaml.unmarshal",
];

/// Name, number of arguments, and what it does; nothing where the result is undefined.
pub(super) type Added = (&'static str, u8, fn(&[Value]) -> Option<Value>);

/// Functions added to the engine, with the number of their arguments: older names that Gatekeeper's engine still knows,
/// and those in which the engine differs.
const ADDED: [Added; 15] = [
    ("all", 1, |arguments| {
        Some(Value::from(members(&arguments[0])?.iter().all(|member| *member == Value::Bool(true))))
    }),
    ("any", 1, |arguments| Some(Value::from(members(&arguments[0])?.contains(&Value::Bool(true))))),
    ("cast_array", 1, |arguments| members(&arguments[0]).map(Value::from)),
    ("cast_boolean", 1, |arguments| arguments[0].as_bool().is_ok().then(|| arguments[0].clone())),
    ("cast_null", 1, |arguments| (arguments[0] == Value::Null).then_some(Value::Null)),
    ("cast_object", 1, |arguments| arguments[0].as_object().is_ok().then(|| arguments[0].clone())),
    ("cast_set", 1, |arguments| {
        Some(Value::from(members(&arguments[0])?.into_iter().collect::<std::collections::BTreeSet<Value>>()))
    }),
    ("cast_string", 1, |arguments| arguments[0].as_string().is_ok().then(|| arguments[0].clone())),
    ("glob.match", 3, |arguments| glob::matches(&arguments[0], &arguments[1], &arguments[2])),
    ("json.marshal", 1, |arguments| {
        // Only strings can hold these characters.
        let escape = |text: String, one: char| text.replace(one, &format!("\\u{:04x}", u32::from(one)));
        let text = serde_json::to_string(&arguments[0]).ok()?;
        Some(Value::from(['<', '>', '&', '\u{2028}', '\u{2029}'].into_iter().fold(text, escape)))
    }),
    ("net.cidr_intersects", 2, |arguments| intersects(&arguments[0], &arguments[1])),
    ("net.cidr_overlap", 2, |arguments| intersects(&arguments[0], &arguments[1])),
    ("regex.match", 2, |arguments| {
        let (pattern, text) = (arguments[0].as_string().ok()?, arguments[1].as_string().ok()?);
        with_pattern(pattern, Syntax::Re2, |regex| Value::from(regex.is_match(text)))
    }),
    ("set_diff", 2, |arguments| {
        let mut left = arguments[0].as_set().ok()?.clone();
        let right = arguments[1].as_set().ok()?;
        left.retain(|member| !right.contains(member));
        Some(left.into_value())
    }),
    ("sprintf", 2, |arguments| {
        let pattern = arguments[0].as_string().ok()?;
        let given: Vec<Value> = arguments[1].as_array().ok()?.iter().cloned().collect();
        Some(Value::from(format::sprintf(pattern, &given)))
    }),
];

/// Adds what the engine lacks.
pub(super) fn add(engine: &mut Engine) -> Result<(), String> {
    for (name, count, function) in ADDED.into_iter().chain(operators::FUNCTIONS) {
        let call = move |arguments: Vec<Value>| Ok(function(&arguments).unwrap_or(Value::Undefined));
        engine.add_extension(name.to_owned(), count, Box::new(call)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Why a function cannot be called; `None` where it can.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    match name {
        "external_data" => Some("needs providers of external data, which are not asked"),
        "http.send" | "net.lookup_ip_addr" => Some("needs the network, which policies do not get"),
        "opa.runtime" => Some("shows the process, which policies do not see"),
        _ if KNOWN.binary_search(&name).is_ok() || name == "re_match" || is_added(name) => None,
        _ => Some("is not a known function"),
    }
}

/// Whether a function is one that only the reference engine has.
pub(super) fn is_added(name: &str) -> bool {
    ADDED.iter().any(|(added, ..)| *added == name)
}

fn members(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.iter().cloned().collect()),
        Value::Set(items) => Some(items.iter_sorted().cloned().collect()),
        _ => None,
    }
}

fn intersects(left: &Value, right: &Value) -> Option<Value> {
    let net = |value: &Value| value.as_string().ok()?.parse::<ipnet::IpNet>().ok();
    let (left, right) = (net(left)?, net(right)?);
    Some(Value::from(left.contains(&right.addr()) || right.contains(&left.addr())))
}

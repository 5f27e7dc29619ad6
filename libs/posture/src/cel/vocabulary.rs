use cel::common::ast::operators;

use super::ir::{Binary, Function, Iterate, Pairs};

/// Whether the call is an operator.
pub(super) fn operator(name: &str) -> bool {
    matches!(
        name,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NEGATE
            | operators::INDEX
            | operators::OPT_INDEX
    ) || binary(name).is_some()
}

/// The operator of two sides.
pub(super) fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterEqual,
        operators::IN => Binary::In,
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Remainder,
        _ => return None,
    })
}

/// The macro of that name and number of arguments.
pub(super) fn iterate(name: &str, args: usize) -> Option<Iterate> {
    Some(match (name, args) {
        ("all", 2) => Iterate::All,
        ("exists", 2) => Iterate::Exists,
        ("exists_one" | "existsOne", 2) => Iterate::ExistsOne,
        ("filter", 2) => Iterate::Filter,
        ("map", 2) => Iterate::Map,
        ("map", 3) => Iterate::FilterMap,
        ("optMap", 2) => Iterate::OptMap,
        ("optFlatMap", 2) => Iterate::OptFlatMap,
        ("sortBy", 2) => Iterate::SortBy,
        _ => return None,
    })
}

/// The macro of two variables of that name and number of arguments.
pub(super) fn pairs(name: &str, args: usize) -> Option<Pairs> {
    Some(match (name, args) {
        ("all", 3) => Pairs::All,
        ("exists", 3) => Pairs::Exists,
        ("exists_one" | "existsOne", 3) => Pairs::ExistsOne,
        ("transformList", 3 | 4) => Pairs::TransformList,
        ("transformMap", 3 | 4) => Pairs::TransformMap,
        ("transformMapEntry", 3 | 4) => Pairs::TransformMapEntry,
        _ => return None,
    })
}

/// The function of that name; `args` counts the receiver.
pub(super) fn function(name: &str, method: bool, args: usize) -> Option<Function> {
    Some(match (name, method, args) {
        ("size", _, 1) => Function::Size,
        ("startsWith", true, 2) => Function::StartsWith,
        ("endsWith", true, 2) => Function::EndsWith,
        ("contains", true, 2) => Function::Contains,
        ("matches", _, 2) => Function::Matches,
        ("string", false, 1) => Function::String,
        ("int", false, 1) => Function::Int,
        ("uint", false, 1) => Function::Uint,
        ("double", false, 1) => Function::Double,
        ("bool", false, 1) => Function::Bool,
        ("dyn", false, 1) => Function::Dyn,
        ("type", false, 1) => Function::Type,
        ("timestamp", false, 1) => Function::Timestamp,
        ("duration", false, 1) => Function::Duration,
        ("value", true, 1) => Function::Value,
        ("hasValue", true, 1) => Function::HasValue,
        ("or", true, 2) => Function::Or,
        ("orValue", true, 2) => Function::OrValue,
        ("split", true, 2 | 3) => Function::Split,
        ("join", true, 1 | 2) => Function::Join,
        ("lowerAscii", true, 1) => Function::LowerAscii,
        ("upperAscii", true, 1) => Function::UpperAscii,
        ("replace", true, 3 | 4) => Function::Replace,
        ("substring", true, 2 | 3) => Function::Substring,
        ("trim", true, 1) => Function::Trim,
        ("indexOf", true, 2) => Function::IndexOf,
        ("lastIndexOf", true, 2) => Function::LastIndexOf,
        ("charAt", true, 2) => Function::CharAt,
        ("distinct", true, 1) => Function::Distinct,
        ("sort", true, 1) => Function::Sort,
        ("selects", false, 2) => Function::Selects,
        ("cidrContains", false, 2) => Function::CidrContains,
        ("minor", false, 1) => Function::Minor,
        ("quantity", false, 1) => Function::Quantity,
        _ => return None,
    })
}

use serde_json::Value;

/// A selector of labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selector {
    labels: Vec<(String, String)>,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq)]
struct Expression {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads a `labelSelector`; errors name the field below it.
    pub(super) fn parse(value: &Value) -> Result<Self, (String, String)> {
        let error = |field: &str, message: String| (field.to_owned(), message);
        let fields = value.as_object().ok_or_else(|| error("", "is not an object".to_owned()))?;
        let mut selector = Self::default();
        match fields.get("matchLabels") {
            None | Some(Value::Null) => {}
            Some(Value::Object(labels)) => {
                for (key, value) in labels {
                    let value =
                        value.as_str().ok_or_else(|| error("matchLabels", format!("`{key}` is not a string")))?;
                    selector.labels.push((key.clone(), value.to_owned()));
                }
            }
            Some(_) => return Err(error("matchLabels", "is not an object".to_owned())),
        }
        match fields.get("matchExpressions") {
            None | Some(Value::Null) => {}
            Some(Value::Array(expressions)) => {
                for (index, expression) in expressions.iter().enumerate() {
                    let parsed = Expression::parse(expression);
                    selector.expressions.push(parsed.map_err(|why| error(&format!("matchExpressions[{index}]"), why))?);
                }
            }
            Some(_) => return Err(error("matchExpressions", "is not a list".to_owned())),
        }
        Ok(selector)
    }

    /// Whether an object's labels are selected.
    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        self.labels.iter().all(|(key, value)| label(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.matches(label(&expression.key)))
    }
}

impl Expression {
    fn parse(value: &Value) -> Result<Self, String> {
        let key = value["key"].as_str().filter(|key| !key.is_empty()).ok_or("has no key")?;
        let operator = match value["operator"].as_str().unwrap_or_default() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(format!("`{other}` is not a valid label selector operator")),
        };
        let values: Vec<String> = match &value["values"] {
            Value::Null => Vec::new(),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| "has a value that is no string".to_owned()))
                .collect::<Result<_, _>>()?,
            _ => return Err("has values that are no list".to_owned()),
        };
        match (operator, values.is_empty()) {
            (Operator::In | Operator::NotIn, true) => return Err("needs values with In and NotIn".to_owned()),
            (Operator::Exists | Operator::DoesNotExist, false) => {
                return Err("takes no values with Exists and DoesNotExist".to_owned());
            }
            _ => {}
        }
        Ok(Self { key: key.to_owned(), operator, values })
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let listed = label.is_some_and(|label| self.values.iter().any(|value| value == label));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
        }
    }
}

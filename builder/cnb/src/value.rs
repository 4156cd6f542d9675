//! Free metadata between TOML, in which buildpacks write it, and JSON, in which labels keep it.

/// A TOML table as JSON. Dates become texts, numbers that JSON has not (infinity) null.
#[must_use]
pub fn to_json(table: &toml::Table) -> serde_json::Value {
    serde_json::Value::Object(
        table
            .iter()
            .map(|(name, value)| (name.clone(), json_of(value)))
            .collect(),
    )
}

/// A JSON object as a TOML table. TOML has no null: such fields are left out, and what is no object is empty.
#[must_use]
pub fn to_toml(value: &serde_json::Value) -> toml::Table {
    let fields = value.as_object().into_iter().flatten();
    fields
        .filter_map(|(name, value)| Some((name.clone(), toml_of(value)?)))
        .collect()
}

fn json_of(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(is) => (*is).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.iter().map(json_of).collect(),
        toml::Value::Table(table) => to_json(table),
    }
}

fn toml_of(value: &serde_json::Value) -> Option<toml::Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(is) => toml::Value::Boolean(*is),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => toml::Value::Integer(number),
            None => toml::Value::Float(number.as_f64()?),
        },
        serde_json::Value::String(text) => toml::Value::String(text.clone()),
        serde_json::Value::Array(values) => toml::Value::Array(values.iter().filter_map(toml_of).collect()),
        serde_json::Value::Object(_) => toml::Value::Table(to_toml(value)),
    })
}

//! The JSON body of a call, checked against the fields that its operation has. Unknown fields are refused by name: a
//! misspelt one would otherwise be a wish that nobody heard.

use serde_json::{Map, Value};

use super::failure::Failed;
use super::operations::{Field, Kind, Operation};
use crate::domain::account::check_details;
use crate::domain::credentials::{InvalidName, check_line};

/// The fields that were sent, each of the kind that it must be.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; an empty one is an object without fields.
    ///
    /// # Errors
    /// [`Failed::Invalid`], which names the field.
    pub fn read(body: &[u8], operation: &Operation) -> Result<Self, Failed> {
        let known = operation.fields;
        let mut sent = match body {
            [] => Map::new(),
            body => match serde_json::from_slice(body) {
                Ok(Value::Object(sent)) => sent,
                Ok(_) => return Err(Failed::Invalid("The body must be a JSON object.".to_owned())),
                Err(error) => return Err(Failed::Invalid(format!("The body is not JSON: {error}."))),
            },
        };
        let is_absent = |field: &Field| operation.takes_null_as_absent(field);
        sent.retain(|name, value| {
            !value.is_null() || !known.iter().any(|field| field.name == name && is_absent(field))
        });
        for (name, value) in &sent {
            let Some(field) = known.iter().find(|field| field.name == name) else {
                let names: Vec<&str> = known.iter().map(|field| field.name).collect();
                let known = if names.is_empty() {
                    "this operation takes none".to_owned()
                } else {
                    format!("known are: {}", names.join(", "))
                };
                let name: String = name.chars().take(64).collect();
                return Err(Failed::Invalid(format!("Unknown field {name:?}; {known}.")));
            };
            if !field.kind.admits(value) {
                return Err(Failed::Invalid(format!("The field {name} must be {}.", field.kind.in_words())));
            }
            let holds_nul = |value: &Value| value.as_str().is_some_and(|text| text.contains('\0'));
            if holds_nul(value) || value.as_array().is_some_and(|values| values.iter().any(holds_nul)) {
                return Err(Failed::field(name, "holds a NUL"));
            }
            if let Some(text) = value.as_str() {
                check(name, text).map_err(|error| Failed::field(name, error))?;
            }
        }
        match known.iter().find(|field| field.required && !sent.contains_key(field.name)) {
            Some(missing) => Err(Failed::Invalid(format!("The field {} is missing.", missing.name))),
            None => Ok(Self(sent)),
        }
    }

    /// How many were sent.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether it was sent.
    pub fn given(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A text that `null` takes away.
    pub fn nullable(&self, name: &str) -> Option<Option<&str>> {
        self.0.get(name).map(Value::as_str)
    }

    /// An array of texts.
    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.0.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// Whole seconds.
    pub fn seconds(&self, name: &str) -> Option<u32> {
        self.0.get(name).and_then(Value::as_u64).and_then(|seconds| u32::try_from(seconds).ok())
    }

    /// Yes or no.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }
}

/// What means the same wherever it is sent; the rest is checked where it is read.
fn check(name: &str, text: &str) -> Result<(), InvalidName> {
    match name {
        "name" => check_details(Some(text), None, None),
        "email" => check_details(None, Some(text), None),
        "external_id" => check_details(None, None, Some(text)),
        "reason" => check_line("a reason", text, 500),
        _ => Ok(()),
    }
}

impl Kind {
    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::NullableText => value.is_string() || value.is_null(),
            Self::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            Self::Seconds => value.as_u64().is_some_and(|seconds| u32::try_from(seconds).is_ok()),
            Self::Switch => value.is_boolean(),
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::NullableText => "a text or null",
            Self::Texts => "an array of texts",
            Self::Seconds => "a whole number of seconds",
            Self::Switch => "true or false",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations::Action;

    const MAKE: Operation = Operation {
        method: "POST",
        path: "/",
        action: Action::CreateKey,
        summary: "",
        query: &[],
        fields: &[Field::needed("name", Kind::Text, ""), Field::new("scopes", Kind::Texts, "")],
        status: 201,
        answers: "",
        many: false,
    };

    fn refusal(body: &str) -> String {
        match Fields::read(body.as_bytes(), &MAKE) {
            Err(Failed::Invalid(why)) => why,
            _ => panic!("{body} is taken"),
        }
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_by_name() {
        assert!(refusal(r#"{"name":"a","scope":[]}"#).contains("\"scope\""));
    }

    #[test]
    fn a_field_of_another_kind_or_a_missing_one_is_refused() {
        assert_eq!(refusal(r#"{"name":"a","scopes":"b"}"#), "The field scopes must be an array of texts.");
        assert_eq!(refusal(r#"{"name":"a","scopes":[1]}"#), "The field scopes must be an array of texts.");
        assert_eq!(refusal(""), "The field name is missing.");
        assert_eq!(refusal("[]"), "The body must be a JSON object.");
    }

    #[test]
    fn what_a_text_can_not_be_is_told_with_its_field() {
        assert_eq!(refusal(r#"{"name":""}"#), "name: a name is empty");
        assert_eq!(refusal(r#"{"name":"a\nb"}"#), "name: a name can't contain '\\n'");
    }

    #[test]
    fn null_is_absent_where_something_is_made_and_not_where_it_is_needed() {
        let nothing = br#"{"name":"a","scopes":null}"#;
        assert!(!Fields::read(nothing, &MAKE).unwrap().given("scopes"));
        assert_eq!(refusal(r#"{"name":null}"#), "The field name must be a text.");
        assert!(Fields::read(nothing, &Operation { method: "PATCH", ..MAKE }).is_err());
    }

    #[test]
    fn what_was_sent_is_there() {
        let fields = Fields::read(br#"{"name":"a","scopes":["b:c"]}"#, &MAKE).unwrap();
        assert_eq!((fields.text("name"), fields.texts("scopes")), (Some("a"), Some(vec!["b:c"])));
    }
}

//! What made expressions are about: the bindings of requests, and the places in them.
//!
//! Here: reading `data.yaml`, which places there are and how each is written. Not here: which is
//! chosen (`generator`).
//! Invariant: a place that is written plainly is there.

use serde_json::Value as Json;
use std::sync::Arc;

/// The bindings of one request.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) bindings: Arc<Json>,
    places: Vec<Place>,
}

/// A place in the bindings.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: String,
    pub(crate) steps: Vec<Step>,
    kinds: Vec<&'static str>,
}

/// What is read of a value.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Field(String),
    Element(usize),
}

impl Data {
    /// All requests of `data.yaml`.
    pub(crate) fn all() -> Vec<Self> {
        let text = include_str!("data.yaml");
        let mut read: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).unwrap();
        read.apply_merge().unwrap();
        let read: Vec<Json> = serde_yaml_ng::from_value(read).unwrap();
        read.into_iter()
            .map(|mut request| Self::of(request["bindings"].take()))
            .collect()
    }

    fn of(bindings: Json) -> Self {
        let mut places = Vec::new();
        for (root, value) in bindings.as_object().unwrap() {
            collect(root, &mut Vec::new(), value, &mut places);
        }
        Self {
            bindings: Arc::new(bindings),
            places,
        }
    }

    /// The places where a value of a kind is.
    pub(crate) fn places(&self, kind: &str) -> Vec<&Place> {
        let kind = if kind == "opt" { "any" } else { kind };
        let places = self.places.iter();
        places.filter(|place| place.kinds.contains(&kind)).collect()
    }
}

fn collect(root: &str, steps: &mut Vec<Step>, value: &Json, places: &mut Vec<Place>) {
    // Structures and lists of a request and of a namespace are of types of their own in the API
    // server, which are not equal to what is no structure: only what is in them is read.
    let typed = ["request", "namespaceObject"].contains(&root);
    if !typed || !(value.is_object() || value.is_array()) {
        places.push(Place {
            root: root.to_owned(),
            steps: steps.clone(),
            kinds: kinds(value),
        });
    }
    match value {
        Json::Array(elements) => {
            for (place, element) in elements.iter().enumerate().take(3) {
                steps.push(Step::Element(place));
                collect(root, steps, element, places);
                steps.pop();
            }
        }
        Json::Object(fields) => {
            for (name, field) in fields {
                steps.push(Step::Field(name.clone()));
                collect(root, steps, field, places);
                steps.pop();
            }
        }
        _ => {}
    }
}

fn kinds(value: &Json) -> Vec<&'static str> {
    let mut kinds = vec!["any"];
    match value {
        Json::Null => kinds.push("null"),
        Json::Bool(_) => kinds.push("bool"),
        Json::Number(number) if number.is_i64() => kinds.push("int"),
        Json::Number(_) => kinds.push("double"),
        Json::String(_) => kinds.push("string"),
        Json::Array(elements) => {
            kinds.push("list");
            let all = |is: fn(&Json) -> bool| !elements.is_empty() && elements.iter().all(is);
            if all(Json::is_string) {
                kinds.push("strings");
            }
            if all(Json::is_i64) {
                kinds.push("ints");
            }
        }
        Json::Object(fields) => {
            kinds.push("map");
            if !fields.is_empty() && fields.values().all(Json::is_string) {
                kinds.push("texts");
            }
        }
    }
    kinds
}

impl Step {
    /// As it is written: as a field or as a key, and whether it may be missing.
    pub(crate) fn write(&self, as_key: bool, optional: bool) -> String {
        let mark = if optional { "?" } else { "" };
        match self {
            Self::Field(name) if !as_key && is_name(name) => format!(".{mark}{name}"),
            Self::Field(name) => {
                let name = name.replace('\\', "\\\\").replace('\'', "\\'");
                format!("[{mark}'{name}']")
            }
            Self::Element(place) => format!("[{mark}{place}]"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let words = ["in", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !words.contains(&text)
}

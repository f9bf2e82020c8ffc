//! What expressions are made of: templates by library and by the type that they give.
//!
//! Here: reading `templates.txt`. Not here: how a template is chosen and filled (`generator`),
//! which places an object has (`data`).
//! Invariant: a template without parts means the same wherever it stands.

use std::collections::BTreeMap;

/// The templates of one library for one type.
#[derive(Debug)]
pub(crate) struct Templates {
    pub(crate) library: &'static str,
    pub(crate) gives: &'static str,
    pub(crate) texts: Vec<&'static str>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// An expression of a type, and the types of the loop's variables that it may use.
    Of(&'static str, Vec<&'static str>),
    /// A place of the data where a value of a kind is.
    Place(&'static str),
}

/// All templates, and the names of their types.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) all: Vec<Templates>,
    by_type: BTreeMap<&'static str, Vec<usize>>,
}

/// Types that are no expressions but what stands between quotes.
const TEXTS: [&str; 12] = [
    "pattern",
    "digit",
    "span",
    "moment",
    "zone",
    "amount",
    "address",
    "prefix",
    "release",
    "address of a page",
    "shaped",
    "word",
];

impl Catalogue {
    /// What `templates.txt` holds.
    pub(crate) fn read() -> Self {
        let mut all: Vec<Templates> = Vec::new();
        let mut by_type: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for line in include_str!("templates.txt").lines() {
            if let Some(title) = line.strip_prefix("== ") {
                let (library, gives) = title.split_once(": ").unwrap();
                by_type.entry(gives).or_default().push(all.len());
                let texts = Vec::new();
                all.push(Templates {
                    library,
                    gives,
                    texts,
                });
            } else if !line.is_empty() && !line.starts_with("# ") {
                let text = if line == "(empty)" { "" } else { line };
                all.last_mut().unwrap().texts.push(text);
            }
        }
        Self { all, by_type }
    }

    /// The libraries that have templates of a type.
    pub(crate) fn of(&self, gives: &str) -> Vec<&Templates> {
        let places = self.by_type.get(gives).unwrap();
        places.iter().map(|place| &self.all[*place]).collect()
    }

    /// The names of libraries, and of each the templates that are whole expressions.
    pub(crate) fn libraries(&self) -> Vec<Vec<&Templates>> {
        let mut found: BTreeMap<_, Vec<&Templates>> = BTreeMap::new();
        for templates in &self.all {
            if !TEXTS.contains(&templates.gives) {
                found.entry(templates.library).or_default().push(templates);
            }
        }
        found.into_values().collect()
    }

    /// The types of expressions.
    pub(crate) fn types(&self) -> Vec<&'static str> {
        let all = self.by_type.keys().copied();
        all.filter(|gives| !TEXTS.contains(gives)).collect()
    }

    /// A part at the start of a text, and its length.
    pub(crate) fn part(&self, text: &'static str) -> Option<(Part, usize)> {
        let inside = text.strip_prefix('{')?.split_once('}')?.0;
        let length = inside.len() + 2;
        if let Some(kind) = inside.strip_prefix("path:") {
            return Some((Part::Place(kind), length));
        }
        let (gives, variables) = inside.split_once('/').unwrap_or((inside, ""));
        let (gives, _) = self.by_type.get_key_value(gives)?;
        let variables = variables.split(',').filter(|name| !name.is_empty());
        Some((Part::Of(gives, variables.collect()), length))
    }

    /// Whether a template has parts.
    pub(crate) fn has_part(&self, text: &'static str) -> bool {
        let starts = text.match_indices('{').map(|(at, _)| at);
        starts
            .into_iter()
            .any(|at| self.part(&text[at..]).is_some())
    }
}

/// The simplest expression of a type, which a difference is reduced to where it does not matter.
pub(crate) fn simplest(gives: &str) -> &'static str {
    match gives {
        "uint" => "1u",
        "double" => "1.5",
        "bool" => "true",
        "bytes" => "b''",
        "ints" => "[1]",
        "doubles" => "[1.5]",
        "strings" => "['a']",
        "lists" => "[[1]]",
        "list" => "[{}]",
        "map" => "{'a': 1}",
        "texts" => "{'a': 'b'}",
        "opt" => "optional.of(1)",
        "duration" => "duration('1s')",
        "timestamp" => "timestamp(0)",
        "quantity" => "quantity('1')",
        "ip" => "ip('::1')",
        "cidr" => "cidr('::1/128')",
        "url" => "url('/')",
        "semver" => "semver('1.0.0')",
        "format" => "format.uuid()",
        "type" => "int",
        "null" => "null",
        "object" => "Object{}",
        "patch" => "JSONPatch{}",
        "patches" => "[JSONPatch{}]",
        "message" => "google.protobuf.Empty{}",
        "string" => "'a'",
        // Numbers, what has any type, and what stands between quotes.
        _ => "1",
    }
}

//! Makes cases: an expression, named expressions before it, what they are about and a budget.
//!
//! Here: the choice among templates by a seed. Not here: the templates (`templates`), what there
//! is to read (`data`), what is expected (`engines`).
//! Invariant: the same seed makes the same cases.

mod data;
mod templates;
mod tree;

use data::Data;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use templates::{Catalogue, Part, simplest};
use tree::Piece;
pub(crate) use tree::Tree;

/// What both engines are asked.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) expression: Tree,
    pub(crate) variables: Vec<(String, Tree)>,
    pub(crate) bindings: Arc<Json>,
    pub(crate) budget: Option<u64>,
    /// Whether there are the types of a `MutatingAdmissionPolicy`.
    pub(crate) mutation: bool,
}

impl Case {
    /// A case of a text.
    pub(crate) fn of(text: &str, bindings: Arc<Json>) -> Self {
        Self {
            expression: Tree::text("", text),
            variables: Vec::new(),
            bindings,
            budget: None,
            mutation: false,
        }
    }

    /// The same as a mutation of a `MutatingAdmissionPolicy`.
    pub(crate) fn of_mutation(text: &str, bindings: Arc<Json>) -> Self {
        Self {
            mutation: true,
            ..Self::of(text, bindings)
        }
    }

    /// A case as [`Self::request`] writes it.
    pub(crate) fn read(line: &str) -> Self {
        let request: Json = serde_json::from_str(line).unwrap();
        let text = |json: &Json| json.as_str().unwrap().to_owned();
        let variables = request["variables"].as_array();
        Self {
            expression: Tree::text("", text(&request["expr"])),
            variables: variables
                .into_iter()
                .flatten()
                .map(|one| (text(&one["name"]), Tree::text("", text(&one["expression"]))))
                .collect(),
            bindings: Arc::new(request["bindings"].clone()),
            budget: request["budget"].as_u64(),
            mutation: request["mutation"].as_bool().unwrap_or_default(),
        }
    }

    /// As `bailiff eval --batch` reads it.
    pub(crate) fn request(&self) -> Json {
        let mut request = json!({"expr": self.expression.to_string(), "bindings": *self.bindings});
        if !self.variables.is_empty() {
            let variables = self.variables.iter();
            request["variables"] = variables
                .map(|(name, tree)| json!({"name": name, "expression": tree.to_string()}))
                .collect();
        }
        if let Some(budget) = self.budget {
            request["budget"] = budget.into();
        }
        if self.mutation {
            request["mutation"] = true.into();
        }
        request
    }

    /// Smaller cases, the most promising first.
    pub(crate) fn reductions(&self) -> Vec<Self> {
        let mut made = Vec::new();
        for place in 0..self.variables.len() {
            let mut reduced = self.clone();
            reduced.variables.remove(place);
            made.push(reduced);
        }
        if self.budget.is_some() {
            let mut reduced = self.clone();
            reduced.budget = None;
            made.push(reduced);
        }
        if self.mutation {
            let mut reduced = self.clone();
            reduced.mutation = false;
            made.push(reduced);
        }
        for expression in self.expression.reductions() {
            made.push(Self {
                expression,
                ..self.clone()
            });
        }
        for (place, (_, tree)) in self.variables.iter().enumerate() {
            for smaller in tree.reductions() {
                let mut reduced = self.clone();
                reduced.variables[place].1 = smaller;
                made.push(reduced);
            }
        }
        for bindings in without_one(&self.bindings) {
            made.push(Self {
                bindings: Arc::new(bindings),
                ..self.clone()
            });
        }
        made
    }
}

/// The same JSON with one entry or element less, wherever it is.
fn without_one(json: &Json) -> Vec<Json> {
    let mut made = Vec::new();
    match json {
        Json::Object(fields) => {
            for name in fields.keys() {
                let mut fewer = fields.clone();
                fewer.remove(name);
                made.push(Json::Object(fewer));
            }
            for (name, field) in fields {
                for smaller in without_one(field) {
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), smaller);
                    made.push(Json::Object(changed));
                }
            }
        }
        Json::Array(elements) => {
            for place in 0..elements.len() {
                let mut fewer = elements.clone();
                fewer.remove(place);
                made.push(Json::Array(fewer));
            }
            for (place, element) in elements.iter().enumerate() {
                for smaller in without_one(element) {
                    let mut changed = elements.clone();
                    changed[place] = smaller;
                    made.push(Json::Array(changed));
                }
            }
        }
        _ => {}
    }
    made
}

/// Fields that are asked for of what has no declared type.
const FIELDS: [&str; 10] = [
    "name",
    "image",
    "value",
    "port",
    "path",
    "key",
    "containerPort",
    "host",
    "ports",
    "a",
];

/// Makes cases from a seed.
pub(crate) struct Generator {
    state: u64,
    names: usize,
    /// How many parts this expression may still have.
    parts: usize,
    /// One part in so many is of another type than is asked for; never if 0.
    mistyped: usize,
    data: usize,
    all_data: Vec<Data>,
    catalogue: Catalogue,
}

type Scope = Vec<(String, &'static str)>;

impl Generator {
    /// The same seed makes the same cases.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            names: 0,
            parts: 0,
            mistyped: 0,
            data: 0,
            all_data: Data::all(),
            catalogue: Catalogue::read(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let value = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % limit
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn chosen<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    /// The next case.
    pub(crate) fn case(&mut self) -> Case {
        self.names = 0;
        self.data = self.below(self.all_data.len());
        self.mistyped = if self.one_in(4) { 30 } else { 0 };
        let mut scope = Scope::new();
        let mut variables = Vec::new();
        if self.one_in(10) {
            for number in 0..=self.below(5) {
                let (gives, tree) = self.whole(&mut scope);
                let name = format!("v{number}");
                scope.push((format!("variables.{name}"), gives));
                variables.push((name, tree));
            }
        }
        let (_, mut expression) = self.whole(&mut scope);
        if self.one_in(60) {
            expression = Tree::text("", self.broken(&expression.to_string()));
        }
        let budget = match self.below(16) {
            0 => Some(self.below(60)),
            1 => Some(self.below(1000)),
            _ => None,
        };
        Case {
            expression,
            variables,
            bindings: Arc::clone(&self.all_data[self.data].bindings),
            budget: budget.map(|budget| u64::try_from(budget).unwrap()),
            mutation: !self.one_in(3),
        }
    }

    /// A whole expression; every library has the same share.
    fn whole(&mut self, scope: &mut Scope) -> (&'static str, Tree) {
        let libraries = self.catalogue.libraries();
        let number = libraries.len();
        drop(libraries);
        let library = self.below(number);
        let types: Vec<_> = self.catalogue.libraries()[library]
            .iter()
            .map(|templates| templates.gives)
            .collect();
        let gives = self.chosen(&types);
        let texts = self.catalogue.libraries()[library]
            .iter()
            .find(|templates| templates.gives == gives)
            .map(|templates| templates.texts.clone())
            .unwrap();
        let text = self.chosen(&texts);
        let depth = self.below(6) + 1;
        self.parts = 30;
        (gives, self.filled(gives, text, depth, scope))
    }

    /// A text with a character taken away, put in or doubled.
    fn broken(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let place = self.below(characters.len());
        match self.below(3) {
            0 => drop(characters.remove(place)),
            1 => characters.insert(
                place,
                self.chosen(&['(', ')', '\'', '.', '\\', '?', '1', ',']),
            ),
            _ => characters.insert(place, characters[place]),
        }
        characters.into_iter().collect()
    }

    fn of(&mut self, gives: &'static str, depth: usize, scope: &mut Scope) -> Tree {
        let types = self.catalogue.types();
        let gives = if self.mistyped > 0 && types.contains(&gives) && self.one_in(self.mistyped) {
            self.chosen(&types)
        } else {
            gives
        };
        if let Some(text) = self.known(gives, scope) {
            return Tree::text(gives, text);
        }
        let short = depth == 0 || self.parts == 0;
        self.parts = self.parts.saturating_sub(1);
        let libraries: Vec<Vec<&'static str>> = self
            .catalogue
            .of(gives)
            .iter()
            .map(|templates| {
                let texts = templates.texts.iter().copied();
                texts
                    .filter(|text| !short || !self.catalogue.has_part(text))
                    .collect()
            })
            .filter(|texts: &Vec<_>| !texts.is_empty())
            .collect();
        if libraries.is_empty() {
            return Tree::text(gives, simplest(gives));
        }
        let library = self.chosen(&libraries);
        let text = self.chosen(&library);
        self.filled(gives, text, depth, scope)
    }

    /// A variable of a type, or a field of one that has none.
    fn known(&mut self, gives: &str, scope: &Scope) -> Option<String> {
        let of = |wanted: &str| {
            let found = scope.iter().filter(|(_, known)| *known == wanted);
            found.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let known = of(gives);
        if !known.is_empty() && self.one_in(2) {
            return Some(self.chosen(&known));
        }
        let untyped = of("dyn");
        if !untyped.is_empty() && ["int", "string", "bool"].contains(&gives) && self.one_in(4) {
            let (name, field) = (self.chosen(&untyped), self.chosen(&FIELDS));
            return Some(format!("{name}.{field}"));
        }
        None
    }

    fn filled(
        &mut self,
        gives: &'static str,
        template: &'static str,
        depth: usize,
        scope: &mut Scope,
    ) -> Tree {
        let (one, two) = (format!("x{}", self.names), format!("y{}", self.names));
        self.names += 1;
        // Only a loop has variables; elsewhere these signs mean themselves.
        let is_loop = template.contains("($,") || template.contains("(@,");
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(c) = rest.chars().next() {
            if let Some((part, length)) = self.catalogue.part(rest) {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Part(match part {
                    Part::Place(kind) => Tree::text(kind, self.place(kind)),
                    Part::Of(gives, variables) => {
                        let names = [&one, &two].into_iter().cloned();
                        let before = scope.len();
                        scope.extend(names.zip(variables));
                        let part = self.of(gives, depth.saturating_sub(1), scope);
                        scope.truncate(before);
                        part
                    }
                }));
                rest = &rest[length..];
                continue;
            }
            match c {
                '$' if is_loop => text.push_str(&one),
                '@' if is_loop => text.push_str(&two),
                other => text.push(other),
            }
            rest = &rest[c.len_utf8()..];
        }
        pieces.push(Piece::Text(text));
        Tree { gives, pieces }
    }

    /// A place of the data; now and then one that is not there.
    fn place(&mut self, kind: &'static str) -> String {
        let number = self.all_data[self.data].places(kind).len();
        if number == 0 {
            return simplest(kind).to_owned();
        }
        let number = self.below(number);
        let place = self.all_data[self.data].places(kind)[number];
        let (mut text, mut steps) = (place.root.clone(), place.steps.clone());
        if self.one_in(15) {
            steps.push(match self.below(3) {
                0 => data::Step::Field("missing".to_owned()),
                1 => data::Step::Element(self.below(5)),
                _ => data::Step::Field(self.chosen(&FIELDS).to_owned()),
            });
        }
        let optional = if kind == "opt" && !steps.is_empty() {
            Some(self.below(steps.len()))
        } else {
            None
        };
        for (place, step) in steps.iter().enumerate() {
            let as_key = self.one_in(8);
            let marked = optional.is_some_and(|from| from == place)
                || (optional.is_some_and(|from| place > from) && self.one_in(2));
            text.push_str(&step.write(as_key, marked));
        }
        text
    }
}

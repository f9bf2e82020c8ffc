//! Makes expressions over an object whose type is known.
//!
//! Here: the ways to every value of a type, and templates of what can be done with one. Not here:
//! what is expected, expressions without a schema (`generator`).
//! Invariant: no result and no cost depends on the order of a map with several entries, which has
//! none.

use bailiff_cel::Type;
use bailiff_cel::schema::Declaration;
use std::fmt::Write as _;

/// Deepest way that is followed.
const DEPTH: usize = 7;

/// Templates by the type of what they are applied to: `{0}` is that, `{1}` another of the same
/// type, `{2}` any other.
#[expect(clippy::too_many_lines, reason = "a table")]
fn templates(ty: &Type) -> &'static [&'static str] {
    match ty {
        Type::String => &[
            "{0} == {1}",
            "{0} + {1}",
            "{0} < {1}",
            "{0}.size()",
            "{0}.startsWith('a')",
            "{0}.contains({1})",
            "{0}.matches('^[a-z]+$')",
            "{0} in ['a', 'web', {1}]",
            "{0}.upperAscii()",
            "{0} != 'x'",
            "{0} + 1",
            "optional.ofNonZeroValue({0}).orValue('none')",
            "[{0}, {1}].join('-')",
            "'%s!'.format([{0}])",
            "{0}.foo",
            "timestamp({0})",
            "bytes({0})",
            "{0}.split('e')",
            "({0} == {1} ? {0} : {1})",
            "{0} == {2}",
        ],
        Type::Bytes => &[
            "{0} == {1}",
            "{0} + {1}",
            "{0}.size()",
            "string({0})",
            "{0} < b'z'",
            "size({0}) > 3",
        ],
        Type::Int => &[
            "{0} + {1}",
            "{0} > {1}",
            "{0} == {1}",
            "{0} * 2",
            "{0} / 0",
            "{0} % 3",
            "double({0})",
            "string({0})",
            "{0} < 2.5",
            "{0} == 1.0",
            "{0} in [1, 2, {1}]",
            "-{0}",
            "{0} + 1.5",
            "duration(string({0}) + 's')",
            "{0}.x",
        ],
        Type::Double => &[
            "{0} + {1}",
            "{0} > 1",
            "{0} == {1}",
            "int({0})",
            "string({0})",
            "{0} / 0.0",
            "{0} + 1",
        ],
        Type::Bool => &[
            "{0} && {1}",
            "!{0} || {1}",
            "{0} == {1}",
            "{0} ? 1 : 2",
            "string({0})",
            "{0} && {2} == {2}",
            "{0} + {1}",
        ],
        Type::Timestamp => &[
            "{0} == {1}",
            "{0} < {1}",
            "{0} - {1}",
            "{0} + duration('1h')",
            "{0}.getFullYear()",
            "{0}.getHours()",
            "{0}.getHours('+03:00')",
            "string({0})",
            "{0} > timestamp('2026-01-01T00:00:00Z')",
            "int({0})",
            "{0} == 'x'",
            "{0} + {1}",
            "{0}.size()",
        ],
        Type::Duration => &[
            "{0} == {1}",
            "{0} + {1}",
            "{0} < duration('2h')",
            "{0}.getSeconds()",
            "string({0})",
            "{0} - {1}",
            "-{0}",
            "timestamp('2026-01-01T00:00:00Z') + {0}",
            "{0} > 5",
            "{0}.getMinutes() + 1",
        ],
        Type::List(_) => &[
            "{0}.size()",
            "{0} == {1}",
            "{0} + {1}",
            "({0} + {1}).size()",
            "({0} + {1}) == ({1} + {0})",
            "({0} + []) == {1}",
            "{0} + {0} + {1}",
            "{0}[0]",
            "{0}[7]",
            "{0}[-1]",
            "{0}[?0]",
            "{0}[?9].hasValue()",
            "{0}.all(e, e == e)",
            "{0}.exists(e, e == {0}[0])",
            "{0}.exists_one(e, e != {0}[0])",
            "{0}.map(e, e)",
            "{0}.filter(e, e in {1})",
            "{0}.map(e, e == {0}[0], e)",
            "{0}[0] in {1}",
            "{0}.all(i, e, i < 5 && e in {0})",
            "type({0})",
            "{0}.first()",
            "{0}.last()",
            "{0}.slice(0, 1)",
            "{0}.reverse()",
            "{0}.indexOf({0}[0])",
            "{0}.includes({0}[0])",
            "{0} != {1}",
            "sets.contains({0}, {1})",
            "sets.intersects({0}, {1})",
            "sets.equivalent({0}, {1})",
            "size({0}) > 1 && {0}[1] == {1}[0]",
            "optional.ofNonZeroValue({0}).hasValue()",
            "dyn({0}) == 1",
            "1 in dyn({0})",
            "dyn({0}) == dyn({1})",
            "null in {0}",
            "dyn({0})[1u]",
            "dyn({0})[0.0]",
            "dyn({0})['a']",
            "[{0}] == [{1}]",
            "{0}.foo",
            "dyn({0}) == [1, 2]",
            "[1, 3] == dyn({0})",
            "{0}.flatten()",
            "({0} + {1})[0] == {0}[0]",
            "dyn({0}) == null",
            "{0}.transformList(i, e, i)",
            "dyn([1]) + dyn({0})",
            "dyn({0}) + dyn([{1}[0]])",
            "{0} == {2}",
            "cel.bind(x, {0}, x)",
            "{0}.distinct().size()",
        ],
        Type::Map(..) => &[
            "{0}.size()",
            "{0} == {1}",
            "'a' in {0}",
            "'app' in {0}",
            "{0}.all(k, k.size() > 0)",
            "{0}.exists(k, k == 'nope')",
            "{0}.all(k, {0}[k] == {0}[k])",
            "{0}.exists_one(k, k == 'a')",
            "{0}.all(k, v, v == v)",
            "{0}.filter(k, k != '').size()",
            "{0}['a']",
            "{0}.a",
            "{0}.?a",
            "{0}[?'app'].hasValue()",
            "{0}.app",
            "has({0}.a)",
            "has({0}.app)",
            "{0}.b.c",
            "type({0})",
            "{0} != {1}",
            "dyn({0}) == {}",
            "{0}.transformMap(k, v, v).size()",
            "dyn({0})[1]",
            "1 in dyn({0})",
            "dyn({0}) == 1",
            "{0} + {1}",
            "optional.ofNonZeroValue({0}).hasValue()",
            "dyn({'a': 1}) == dyn({0})",
            "{0}.`a`",
            "dyn({0}) == null",
            "null == dyn({0})",
            "[{0}, {1}].size()",
            "{0}.map(k, k).size()",
        ],
        Type::Object(_) => &[
            "{0} == {1}",
            "{0} != {1}",
            "type({0})",
            "dyn({0}).nope",
            "{0}.nope",
            "has({0}.nope)",
            "{0}.?nope",
            "[{0}][0] == {0}",
            "{0} == {2}",
            "{0}.all(k, true)",
            "{0}['a']",
            "dyn({0})['name']",
            "dyn({0}) == 1",
            "1 == dyn({0})",
            "dyn({0}) == null",
            "{0} == null",
            "size(dyn({0}))",
            "dyn({0}).?name",
            "dyn({0})[1]",
            "{'a': {0}}.a == {1}",
            "{0} in [{1}]",
            "'name' in dyn({0})",
            "optional.of({0}).hasValue()",
            "[{0}, {1}].map(x, x == {0})",
            "optional.ofNonZeroValue({0}).hasValue()",
            "'a' + {0}",
            "size({0})",
            "string({0})",
            "({0} == {1} ? {0} : {1}) == {0}",
            "dyn({0}) == dyn({1})",
            "{0} > {1}",
        ],
        _ => &[
            "{0} == 1",
            "{0} == '25%'",
            "type({0}) == int ? {0} + 1 : 0",
            "string({0})",
            "type({0})",
            "{0} + {1}",
            "int({0})",
            "{0} > 3",
            "{0}.matches('[0-9]+%')",
            "{0} == {1}",
            "size({0})",
            "{0}.foo",
            "{0} in [1, 80, '80']",
            "[{0}] == [{1}]",
        ],
    }
}

/// A way to a value.
struct Way {
    text: String,
    ty: Type,
    /// The selection of its last field, to ask for it.
    field: Option<(String, String)>,
}

/// Makes expressions from a seed.
pub(crate) struct Walker {
    ways: Vec<Way>,
    /// Places of the ways that lead to something.
    there: Vec<usize>,
    state: u64,
}

impl Walker {
    /// Two of three expressions begin with a way that leads to something.
    pub(crate) fn new(declaration: &Declaration, leads: impl Fn(&str) -> bool, seed: u64) -> Self {
        let mut ways = Vec::new();
        for root in ["object", "oldObject"] {
            follow(declaration, root.to_owned(), None, 0, &mut ways);
        }
        let there = (0..ways.len())
            .filter(|place| leads(&ways[*place].text))
            .collect();
        Self {
            ways,
            there,
            state: seed,
        }
    }

    /// How many ways there are.
    pub(crate) fn ways(&self) -> usize {
        self.ways.len()
    }

    fn number(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(below).unwrap()).unwrap()
    }

    pub(crate) fn expression(&mut self) -> String {
        let first = if self.number(3) == 0 {
            self.number(self.ways.len())
        } else {
            let place = self.number(self.there.len());
            self.there[place]
        };
        if self.number(12) == 0 {
            return self.asking(first);
        }
        let ty = self.ways[first].ty.clone();
        let is_alike = |place: &usize| self.ways[*place].ty == ty;
        let mut alike: Vec<_> = self.there.iter().copied().filter(is_alike).collect();
        if alike.is_empty() {
            alike = (0..self.ways.len()).filter(is_alike).collect();
        }
        let second = alike[self.number(alike.len())];
        let third = self.number(self.ways.len());
        let known = templates(&ty);
        let template = known[self.number(known.len())];
        template
            .replace("{0}", &self.ways[first].text)
            .replace("{1}", &self.ways[second].text)
            .replace("{2}", &self.ways[third].text)
    }

    /// Asks whether a value is there, or takes it only then.
    fn asking(&mut self, place: usize) -> String {
        let Some((before, field)) = self.ways[place].field.clone() else {
            return self.ways[place].text.clone();
        };
        match self.number(5) {
            0 => format!("has({before}.{field})"),
            1 => format!("{before}.?{field}"),
            2 => format!("{before}.?{field}.hasValue()"),
            3 => format!("{before}.?{field}.optMap(v, v == v).orValue(false)"),
            // One letter less.
            _ => format!("{before}.{}", &field[..field.len() - 1]),
        }
    }
}

fn follow(
    declaration: &Declaration,
    text: String,
    field: Option<(String, String)>,
    depth: usize,
    ways: &mut Vec<Way>,
) {
    if depth < DEPTH {
        for (name, field) in declaration.fields() {
            let mut way = text.clone();
            write!(way, ".{name}").unwrap();
            follow(
                field,
                way,
                Some((text.clone(), name.to_owned())),
                depth + 1,
                ways,
            );
            // Of the words of the language `in` alone can't stand behind a dot, which is compared too.
            let word = name.strip_prefix("__").and_then(|n| n.strip_suffix("__"));
            if let Some(word) = word {
                follow(field, format!("{text}.{word}"), None, DEPTH, ways);
            }
        }
        if let Some(element) = declaration.element() {
            let steps: &[&str] = match declaration.ty() {
                Type::List(_) => &["[0]", "[1]"],
                _ => &["['a']", ".app"],
            };
            for step in steps {
                follow(element, format!("{text}{step}"), None, depth + 1, ways);
            }
        }
    }
    ways.push(Way {
        text,
        ty: declaration.ty().clone(),
        field,
    });
}

//! Printing a tree and parsing it again gives the same tree.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_cel::Env;
use proptest::prelude::*;
use serde_json::Value as Json;
use std::path::Path;

/// Prints what a text is, parses that, and prints it once more; the print, or nothing when the
/// text is no expression.
fn printed(env: &Env, source: &str) -> Option<String> {
    let tree = env.parse(source).ok()?;
    let text = tree.to_string();
    let again = env
        .parse(&text)
        .unwrap_or_else(|error| panic!("{source}\nis printed as\n{text}\n{error}"));
    assert!(
        again == tree,
        "{source}\nis printed as\n{text}\nwhich is another tree"
    );
    assert_eq!(again.to_string(), text, "{source}");
    Some(text)
}

#[test]
fn brackets_stand_only_where_they_are_needed() {
    let env = Env::specification("", []);
    for (source, text) in [
        ("((a))", "a"),
        ("a+b*c", "a + b * c"),
        ("(a+b)*c", "(a + b) * c"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("a-b+c", "a - b + c"),
        ("(a<b)==c", "a < b == c"),
        ("a<(b==c)", "a < (b == c)"),
        ("a&&b&&c&&d", "a && b && c && d"),
        ("a&&(b&&c)", "a && (b && c)"),
        ("(a&&b)&&c", "a && b && c"),
        ("((a&&b)&&c)&&d", "(a && b && c) && d"),
        ("a||b&&c", "a || b && c"),
        ("(a||b)&&c", "(a || b) && c"),
        (
            "a.b{c:1,?d:(2),`e`:3,`f-g`:4,}",
            "a.b{c: 1, ?d: 2, e: 3, `f-g`: 4}",
        ),
        (".a{,}", ".a{}"),
        ("if.for{`in`:1}", "if.for{`in`: 1}"),
        ("-(a{b:1}).c", "-a{b: 1}.c"),
        ("a?b:c?d:e", "a ? b : c ? d : e"),
        ("(a?b:c)?d:e", "(a ? b : c) ? d : e"),
        ("a?(b?c:d):e", "a ? (b ? c : d) : e"),
        ("(a?b:c).d", "(a ? b : c).d"),
        ("!(a)", "!a"),
        ("!!a", "a"),
        ("!(!a)", "!(!a)"),
        ("!-5", "!-5"),
        ("!(a&&b)", "!(a && b)"),
        ("-(5)", "-(5)"),
        ("---5", "-(5)"),
        ("-(5.a)", "-(5.a)"),
        ("-5.a", "-5.a"),
        ("-(-5)", "-(-5)"),
        ("-(5u)", "-5u"),
        ("-a.b", "-a.b"),
        ("(-a).b", "(-a).b"),
        ("a.`b-c`.`in`.d", "a.`b-c`.`in`.d"),
        ("a.?b[?c][d].e()", "a.?b[?c][d].e()"),
        ("[?a,b,]", "[?a, b]"),
        ("{?'a':b,c:d,}", "{?\"a\": b, c: d}"),
        (".a.b(.c())", ".a.b(.c())"),
        ("a in[b]", "a in [b]"),
        ("has(a.b)&&has((a+b).c)", "has(a.b) && has((a + b).c)"),
        ("1.0+1e300+.5+0x10+1u", "1.0 + 1e300 + 0.5 + 16 + 1u"),
        (
            r#"'a"\'\n\u0001é' + r'\d' + '''b'''"#,
            r#""a\"'\n\u0001é" + "\\d" + "b""#,
        ),
        (r#"b'a\000"\xff'"#, r#"b"a\x00\"\xff""#),
        ("a // and no more", "a"),
    ] {
        assert_eq!(printed(&env, source).as_deref(), Some(text), "{source}");
    }
}

#[test]
fn a_macro_is_printed_as_the_call_that_it_was() {
    let env = Env::specification("", []);
    for text in [
        "a.all(x, x)",
        "a.all(i, x, x && i)",
        "a.exists(x, x || b)",
        "a.exists_one(x, x ? b : c)",
        "a.existsOne(x, x)",
        "a.existsOne(i, x, x)",
        "a.map(x, x)",
        "a.map(x, x ? b : c)",
        "a.map(x, x, [x])",
        "a.map(x, [x])",
        "a.filter(x, x)",
        "a.transformList(i, x, x)",
        "a.transformList(i, x, i, [x])",
        "a.transformMap(i, x, x)",
        "a.transformMap(i, x, i, x ? i : x)",
        "a.transformMapEntry(i, x, {i: x})",
        "a.transformMapEntry(i, x, x, {i: x})",
        "a.optMap(x, x)",
        "a.optFlatMap(x, optional.of(x))",
        "a.optMap(x, x.optMap(y, y)).optFlatMap(z, z)",
        "a.sortBy(x, -x)",
        "a.map(x, x).sortBy(x, x.sortBy(y, y))",
        "cel.bind(x, a.all(y, y), x)",
        "(a + b).all(x, x.all(y, y.exists(z, z == x)))",
        "-(5.map(x, x))",
        "-(5.sortBy(x, x))",
        "-(5.optMap(x, x))",
        "a.all(x)",
        "a.map(x, y, z, w)",
        "all(x, y)",
    ] {
        // A literal can't be sorted by a key.
        if !text.contains("5.sortBy") {
            assert_eq!(printed(&env, text).as_deref(), Some(text), "{text}");
        }
    }
}

#[test]
fn kept_expressions_are_printed_and_parsed_back() {
    let env = Env::new([]);
    let texts = [
        include_str!("../../cli/tests/expressions.txt"),
        include_str!("../../cli/tests/mutations.txt"),
    ];
    let lines = texts.iter().flat_map(|text| text.lines());
    let lines = lines.filter(|line| !line.is_empty());
    let parsed = lines.filter_map(|line| printed(&env, line)).count();
    assert!(parsed > 850, "{parsed}");
}

#[test]
fn expressions_of_the_specification_are_printed_and_parsed_back() {
    fn collect(json: &Json, found: &mut Vec<String>) {
        match json {
            Json::Object(fields) => {
                for (name, inner) in fields {
                    match (name.as_str(), inner) {
                        ("expr", Json::String(text)) => found.push(text.clone()),
                        _ => collect(inner, found),
                    }
                }
            }
            Json::Array(elements) => elements.iter().for_each(|inner| collect(inner, found)),
            _ => {}
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cel-spec");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            collect(
                &serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap(),
                &mut found,
            );
        }
    }
    let env = Env::specification("", []);
    let parsed = found.iter().filter_map(|text| printed(&env, text)).count();
    assert!(
        parsed > 1_650 && parsed <= found.len(),
        "{parsed} of {}",
        found.len()
    );
}

/// Texts of every kind of tree: each part in brackets, so that no tree is left out.
fn tree() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just(".b".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| format!("{number}u")),
        any::<f64>()
            .prop_filter("a literal is finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
        "[^\\\\'\r\n]{0,5}".prop_map(|text| format!("'{text}'")),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(|bytes| {
            let escaped: Vec<_> = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("b'{}'", escaped.concat())
        }),
    ];
    leaf.prop_recursive(6, 48, 4, |part| {
        let operators = prop::sample::select(
            &[
                "&&", "&&", "||", "||", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/",
                "%",
            ][..],
        );
        let one = part.clone();
        let macros = prop::sample::select(
            &[
                ".all(x, ", ".exists(x, ", ".exists_one(x, ", ".existsOne(i, x, ", ".map(x, ",
                ".map(x, true, ", ".filter(x, ", ".transformList(i, x, ", ".transformMap(i, x, ",
                ".transformMap(i, x, true, ", ".transformMapEntry(i, x, ", ".optMap(x, ",
                ".optFlatMap(x, ", ".all(i, x, ", ".f(x, ", "[", "[?",
            ][..],
        );
        prop_oneof![
            4 => (one.clone(), operators, one.clone()).prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            1 => (one.clone(), one.clone(), one.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            1 => (prop::sample::select(&["!", "-"][..]), one.clone()).prop_map(|(o, a)| format!("{o}({a})")),
            2 => (one.clone(), macros, one.clone()).prop_map(|(a, m, b)| {
                format!("({a}){m}({b}){}", if m.starts_with('[') { ']' } else { ')' })
            }),
            1 => (one.clone(), prop::sample::select(&[".f", ".?g", ".`h-i`", ".h()"][..])).prop_map(|(a, m)| format!("({a}){m}")),
            1 => one.clone().prop_map(|a| format!("has(({a}).f)")),
            1 => prop::collection::vec((one.clone(), any::<bool>()), 0..4).prop_map(|parts| {
                let parts: Vec<_> = parts.iter().map(|(p, o)| format!("{}{p}", if *o { "?" } else { "" })).collect();
                format!("[{}]", parts.join(", "))
            }),
            1 => prop::collection::vec((one.clone(), one, any::<bool>()), 0..3).prop_map(|parts| {
                let parts: Vec<_> = parts.iter().map(|(k, v, o)| format!("{}{k}: {v}", if *o { "?" } else { "" })).collect();
                format!("{{{}}}", parts.join(", "))
            }),
            1 => prop::collection::vec(part, 0..4).prop_map(|parts| format!("f({})", parts.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_printed_tree_parses_back(text in tree()) {
        prop_assert!(printed(&Env::new([]), &text).is_some(), "{}", text);
    }
}

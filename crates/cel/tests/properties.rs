//! What holds for any text: it compiles or says why not, and what compiled ends within its
//! budget with a value or an error; what compiled without `dyn` is not refused for its types.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

#[allow(unreachable_pub, reason = "the fuzz targets use it from outside")]
mod typed;

use bailiff_cel::{Activation, Env, Evaluation, Type, Value};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use typed::{ERRORS_OF_TYPES, Values, environment};

/// The words of the language, and values whose ends are worth a try.
const WORDS: &[&str] = &[
    "object",
    "x",
    "y",
    ".",
    ".",
    ".?",
    "[",
    "]",
    "[?",
    "(",
    ")",
    "{",
    "}",
    ",",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "&&",
    "||",
    "!",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "1u",
    "1.5",
    "1e308",
    "'a'",
    "'\u{1f600}'",
    "b'a'",
    "r'\\d'",
    "true",
    "google.protobuf.Int32Value",
    "value",
    "null",
    "a",
    "b",
    "size",
    "has",
    "all",
    "exists",
    "map",
    "filter",
    "sortBy",
    "matches",
    "optional",
    "of",
    "duration",
    "timestamp",
    "'1h'",
    "'2026-01-02T03:04:05Z'",
    "quantity",
    "'1Gi'",
    "ip",
    "cidr",
    "'10.0.0.0/8'",
    "format",
    "flatten",
    "lists",
    "range",
    "string",
    "int",
    "type",
    "dyn",
    "split",
    "replace",
    "substring",
    "charAt",
];

struct Object(serde_json::Value);

impl Activation for Object {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        (slot == 0).then(|| Value::from_json(&self.0))
    }
}

/// Compiles and evaluates; the cost is within the budget, but for the last step.
fn run(source: &str) {
    let env = Env::new([("object", Type::Dyn)]);
    let Ok(program) = env.compile(source) else {
        return;
    };
    let object = Object(serde_json::json!({"a": [1, "b", {"c": null}], "b": -2.5}));
    let mut evaluation = Evaluation::new(&env, &object, 10_000);
    // A value or an error: both are an end.
    drop(evaluation.run(&program));
    assert!(
        evaluation.spent() < 2_000_000,
        "{source}: {}",
        evaluation.spent()
    );
}

/// Templates by the type that they give; a letter alone in braces is a part of that type.
const TEMPLATES: &[(char, &[&str])] = &[
    (
        'i',
        &[
            "i",
            "0",
            "-1",
            "9223372036854775807",
            "{i} + {i}",
            "{i} - {i}",
            "{i} * {i}",
            "{i} / {i}",
            "{i} % {i}",
            "-({i})",
            "size({s})",
            "{l}.size()",
            "{l}[{i}]",
            "m[{s}]",
            "({b} ? {i} : {i})",
            "{s}.indexOf({s})",
            "{l}.sum()",
            "{l}.max()",
            "{l}.filter(x, x > {i}).size()",
            "int({s})",
            "int({d})",
            "int({u})",
            "int({t})",
            "{t}.getHours()",
            "{e}.getSeconds()",
            "{o}.orValue({i})",
            "{o}.value()",
            "{l}.map(x, x + {i})[0]",
            "{s}.split({s}).size()",
            "k[{i}].size()",
            "quantity({s}).asInteger()",
            "ip({s}).family()",
            "semver({s}).major()",
            "{l}.indexOf({i})",
            "google.protobuf.Int64Value{value: {i}}",
            "google.protobuf.Int32Value{?value: {o}}",
            "google.protobuf.NullValue.NULL_VALUE",
        ],
    ),
    (
        'u',
        &[
            "u",
            "1u",
            "{u} + {u}",
            "{u} - {u}",
            "uint({i})",
            "uint({s})",
            "{u} % {u}",
            "google.protobuf.UInt32Value{value: {u}}",
        ],
    ),
    (
        'd',
        &[
            "d",
            "1.5",
            "{d} + {d}",
            "{d} / {d}",
            "double({i})",
            "double({s})",
            "-({d})",
        ],
    ),
    (
        's',
        &[
            "s",
            "''",
            "'a'",
            "'1'",
            "'1Gi'",
            "'10.0.0.1'",
            "{s} + {s}",
            "string({i})",
            "string({d})",
            "string({b})",
            "string({t})",
            "string({e})",
            "{s}.lowerAscii()",
            "{s}.replace({s}, {s})",
            "{s}.substring({i})",
            "{s}.charAt({i})",
            "{w}.join({s})",
            "{w}[{i}]",
            "{s}.trim()",
            "'%s %d'.format([{s}, {i}])",
            "'%s'.format([{l}])",
            "string(bytes({s}))",
            "m.map(x, x)[0]",
            "({b} ? {s} : {s})",
            "k[{i}][0]",
            "{w}.sortBy(x, x.size())[0]",
            "string(quantity({s}).isInteger())",
        ],
    ),
    (
        'b',
        &[
            "b",
            "true",
            "false",
            "{i} < {i}",
            "{i} == {i}",
            "{d} >= {i}",
            "{u} < {i}",
            "{s} == {s}",
            "{s} < {s}",
            "{l} == {l}",
            "{b} && {b}",
            "{b} || {b}",
            "!({b})",
            "{s}.contains({s})",
            "{s}.matches({s})",
            "{i} in {l}",
            "{s} in m",
            "{s} in {w}",
            "{l}.all(x, x < {i})",
            "{l}.exists(x, x == {i})",
            "{w}.exists_one(x, x == {s})",
            "{l}.all(j, x, j < x)",
            "has(m.a)",
            "{l}.isSorted()",
            "{o}.hasValue()",
            "{t} < {t}",
            "{e} > {e}",
            "isIP({s})",
            "quantity({s}).isLessThan(quantity({s}))",
            "cidr({s}).containsIP(ip({s}))",
            "{o} == {o}",
            "sets.contains({l}, {l})",
            "type({i}) == type({s})",
            "y == bytes({s})",
            "({b} ? {b} : {b})",
            "format.dns1123Label().validate({s}).hasValue()",
            "{l}.includes({i})",
            "m == m",
        ],
    ),
    (
        'l',
        &[
            "l",
            "[]",
            "[{i}]",
            "[{i}, {i}]",
            "{l} + {l}",
            "{l}.map(x, x * {i})",
            "{l}.filter(x, {b})",
            "{l}.slice(0, {i})",
            "{l}.sort()",
            "{l}.reverse()",
            "{l}.distinct()",
            "[{l}, {l}].flatten()",
            "lists.range(3)",
            "[?{o}, {i}]",
            "{l}.transformList(j, x, j + x)",
            "m.map(x, m[x])",
            "({b} ? {l} : {l})",
            "{l}.sortBy(x, -x)",
            "[{o}].unwrapOpt()",
        ],
    ),
    (
        'w',
        &[
            "w",
            "[{s}]",
            "{w} + {w}",
            "{s}.split({s})",
            "{w}.map(x, x + {s})",
            "{l}.map(x, string(x))",
            "k[{i}]",
            "m.map(x, x)",
            "{s}.findAll({s})",
            "{w}.filter(x, x < {s})",
            "{w}.sort()",
        ],
    ),
    (
        't',
        &[
            "t",
            "{t} + {e}",
            "{t} - {e}",
            "timestamp({s})",
            "timestamp({i})",
        ],
    ),
    (
        'e',
        &[
            "e",
            "duration({s})",
            "{e} + {e}",
            "{t} - {t}",
            "duration('90s')",
            "google.protobuf.Duration{seconds: {i}}",
        ],
    ),
    (
        'o',
        &[
            "o",
            "optional.of({i})",
            "optional.none()",
            "{l}[?{i}]",
            "m[?{s}]",
            "m.?a",
            "{o}.or({o})",
            "{o}.optMap(x, x + {i})",
            "{o}.optFlatMap(x, optional.of(x))",
            "{l}.first()",
        ],
    ),
];

/// An expression of a type; each choice is the next number.
fn of(ty: char, depth: u32, choices: &mut std::slice::Iter<'_, u16>) -> String {
    let (_, templates) = TEMPLATES.iter().find(|(known, _)| *known == ty).unwrap();
    let choice = usize::from(choices.next().copied().unwrap_or_default());
    // The first of each type is a variable or a literal.
    let template = if depth == 0 {
        templates[0]
    } else {
        templates[choice % templates.len()]
    };
    let mut made = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        made.push_str(before);
        rest = match after.split_once('}') {
            Some((part, after)) if part.len() == 1 => {
                let part = of(part.chars().next().unwrap(), depth - 1, choices);
                made.extend(["(", &part, ")"]);
                after
            }
            _ => {
                made.push('{');
                after
            }
        };
    }
    made + rest
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 5_000, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn what_type_checks_without_dyn_raises_no_error_of_types(
        ty in prop::sample::select(&['i', 'u', 'd', 's', 'b', 'l', 'w', 't', 'e', 'o'][..]),
        depth in 1_u32..5,
        choices in prop::collection::vec(any::<u16>(), 1..64),
    ) {
        let env = environment();
        let source = of(ty, depth, &mut choices.iter());
        // Some do not compile, as a literal that is no duration; most do.
        let compiled = env.compile(&source);
        prop_assume!(compiled.is_ok());
        let program = compiled.unwrap();
        let mut evaluation = Evaluation::new(&env, &Values, 100_000);
        if let Err(error) = evaluation.run(&program) {
            let words = error.to_string();
            let found = ERRORS_OF_TYPES.iter().any(|of_types| words.contains(of_types));
            prop_assert!(!found, "{source} has type {} and fails: {words}", program.result_type());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn words_in_any_order_do_no_harm(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..24)
    ) {
        run(&words.concat());
        run(&words.join(" "));
    }

    #[test]
    fn any_text_does_no_harm(text in "\\PC{0,60}") {
        run(&text);
    }

    #[test]
    fn calls_of_functions_do_no_harm(
        name in prop::sample::select(&[
            "lists.range", "duration", "timestamp", "quantity", "ip", "cidr", "url", "semver",
            "int", "uint", "double", "string", "bytes", "size", "isQuantity", "isIP", "type",
        ][..]),
        text in "[-+0-9.eEinumKMGThs:/TZ]{0,24}",
        number in any::<i64>(),
    ) {
        run(&format!("{name}('{text}')"));
        run(&format!("string({name}(dyn('{text}')))"));
        run(&format!("{name}({number})"));
        run(&format!("'a\u{e9}b'.substring({number}) + 'abc'.charAt({number})"));
    }
}

/// What begins anew in each run fails by chance. The seed is that of the whole workspace.
#[test]
fn made_values_are_the_same_in_each_run() {
    let seed = ProptestConfig::default().rng_seed;
    assert!(
        matches!(seed, RngSeed::Fixed(_)),
        "PROPTEST_RNG_SEED is not set: .cargo/config.toml does it for cargo"
    );
}

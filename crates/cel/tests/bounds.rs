//! No expression takes much more memory or time than its cost tells, whatever it is given.
//!
//! Here: expressions that make much of little, each of which would take gigabytes or hours if only
//! its cost were counted. Not here: what functions give (`crates/cli/tests/differential.rs`).

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use allocation_counter::measure;
use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment};
use bailiff_cel::{Evaluation, LIMIT, NEWEST_RELEASE};
use serde_json::{Value as Json, json};

const MIB: u64 = 1 << 20;

/// What became of an expression, its cost, and the memory that it took.
struct Outcome {
    text: String,
    cost: u64,
    /// Bytes at once.
    peak: u64,
    /// Bytes in all.
    total: u64,
}

/// Data that is large in each way: text, numbers, keys.
fn large() -> Json {
    let numbers: Vec<_> = (0..100_000).collect();
    let keys: serde_json::Map<_, _> = (0..50_000)
        .map(|key| (format!("k{key}"), json!(1)))
        .collect();
    let query: Vec<_> = (0..50_000).map(|key| format!("k{key}=1")).collect();
    json!({
        "text": "a".repeat(1_000_000),
        "half": "a".repeat(500_000) + "b",
        "numbers": numbers,
        "empty": vec![json!([]); 100_000],
        "keys": keys,
        "url": format!("https://example.com/?{}", query.join("&")),
    })
}

fn run(object: &Json, variables: &[(String, String)], expression: &str) -> Outcome {
    let mut env = environment(NEWEST_RELEASE, Optional::default());
    for (name, expression) in variables {
        env.define(name, expression).unwrap();
    }
    let program = env.compile(expression).unwrap();
    let bindings = Bindings {
        object: Some(object),
        ..Bindings::default()
    };
    let (mut text, mut cost) = (String::new(), 0);
    let taken = measure(|| {
        let mut evaluation = Evaluation::new(&env, &bindings, BUDGET);
        text = match evaluation.run(&program) {
            Ok(value) => value.type_name().to_owned(),
            Err(error) => error.to_string(),
        };
        cost = evaluation.spent();
    });
    Outcome {
        text,
        cost,
        peak: taken.bytes_max,
        total: taken.bytes_total,
    }
}

const LIMITED: &str = "operation cancelled: actual cost limit exceeded";

/// Expressions that would go on for hours or until memory is gone.
const ENDLESS: &[&str] = &[
    // More is made than is read.
    "object.text.replace('a', object.text).size() > 0",
    "object.text.replace('', object.text).size() > 0",
    "object.numbers.map(n, 'x').join(object.text).size() > 0",
    "lists.range(50000).map(i, object.text.replace('a', 'bb', 1)).size() > 0",
    // Text of much for the price of a short format.
    "lists.range(50000).map(i, '%s'.format([object.keys])).size() > 0",
    "lists.range(1000).map(i, '%s%s%s%s%s%s%s%s'.format([object, object, object, object, object, object, object, object])).size() > 0",
    "lists.range(20000).map(i, '%.999f%.999f%.999f%.999f%.999f%.999f%.999f%.999f%.999f%.999f'.format([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])).size() > 0",
    // Inner lists cost nothing.
    "lists.range(30000).map(i, [object.numbers, object.numbers].flatten()).size() > 0",
    "lists.range(50000).all(i, [object.numbers, object.numbers] == [object.numbers, object.numbers])",
    "lists.range(50000).all(i, [[object.numbers]].distinct().size() == 1 && sets.contains([object.numbers], [object.numbers]))",
    "lists.range(50000).all(i, dyn(object.empty).includes(1) || true)",
    "lists.range(50000).all(i, object.empty.map(e, '').join().size() == 0)",
    // Each with each: known before it is done.
    "object.numbers.distinct().size() > 0",
    "sets.equivalent(object.numbers, object.numbers)",
    "object.numbers.map(n, n).sort().size() > 0",
    // Long text for one.
    "lists.range(100000).all(i, object.text.size() > i)",
    "lists.range(100000).all(i, !isURL(object.text))",
    "optional.of(url(object.url)).optMap(u, lists.range(100000).map(i, u.getQuery())).hasValue()",
    "lists.range(100000).all(i, object.text != object.half)",
    // Patterns that are slow to compile.
    "lists.range(100000).all(i, !''.matches('(a{90}){9}' + string(i)))",
    "lists.range(100000).all(i, ''.find('a{1000}' + string(i)) == '')",
    // Large maps and lists within a loop.
    "lists.range(50000).map(i, [0].transformMapEntry(j, v, object.keys)).size() > 0",
];

#[test]
fn what_would_not_end_is_limited() {
    let object = large();
    for expression in ENDLESS {
        let outcome = run(&object, &[], expression);
        assert_eq!(outcome.text, LIMITED, "{expression}");
        assert!(
            outcome.peak < 512 * MIB,
            "{expression}: {} MiB",
            outcome.peak / MIB
        );
    }
}

#[test]
fn literals_of_many_constants_are_limited() {
    let ones = ", 1".repeat(20_000);
    let keys = |entry: fn(usize) -> String| (0..3_000).map(entry).collect::<Vec<_>>().concat();
    let entries = keys(|key| format!(", {key}: 1"));
    let removed = keys(|key| format!(", ?{key}: m[?0]"));
    for expression in [
        format!("lists.range(50000).map(i, [i{ones}]).size() > 0"),
        format!("lists.range(50000).map(i, {{-1: i{entries}}}).size() > 0"),
        format!(
            "[{{1: 1}}].all(m, lists.range(50000).all(i, {{-1: 1{entries}{removed}}}.size() > 0))"
        ),
    ] {
        let outcome = run(&Json::Null, &[], &expression);
        assert_eq!(outcome.text, LIMITED, "{expression:.60}");
        assert!(outcome.peak < 512 * MIB);
    }
}

/// Named expressions, each of which has the one before twice.
fn doubled(times: usize, first: &str, twice: &str) -> Vec<(String, String)> {
    let first = ("v0".to_owned(), first.to_owned());
    let more = (0..times).map(|number| {
        let before = format!("variables.v{number}");
        (format!("v{}", number + 1), twice.replace('#', &before))
    });
    std::iter::once(first).chain(more).collect()
}

#[test]
fn what_is_shared_is_not_gone_through_without_end() {
    let object = large();
    let nested = doubled(40, "dyn([1])", "dyn([#, #])");
    for expression in [
        "variables.v40 == variables.v40",
        "variables.v40",
        "'%s'.format([variables.v40]).size() > 0",
        "variables.v40.flatten(50).size() > 0",
        "[variables.v40].distinct().size() == 1",
    ] {
        let outcome = run(&object, &nested, expression);
        assert_eq!(outcome.text, LIMITED, "{expression}");
        assert!(outcome.peak < 512 * MIB, "{expression}: {}", outcome.peak);
    }
    let long = doubled(40, "object.numbers", "# + #");
    for (expression, want) in [
        ("variables.v15.size() == 3276800000", "bool"),
        ("variables.v15[3276799999] == 99999", "bool"),
        ("variables.v15.all(x, x >= 0)", LIMITED),
        ("variables.v15 == variables.v15", LIMITED),
        ("variables.v15.reverse().size() > 0", LIMITED),
        ("3 in variables.v15 && -1 in variables.v15", LIMITED),
    ] {
        let outcome = run(&object, &long, expression);
        assert_eq!(outcome.text, want, "{expression}");
        assert!(outcome.peak < 512 * MIB, "{expression}: {}", outcome.peak);
    }
    let outcome = run(&object, &long, "variables.v40.size() > 0");
    assert!(outcome.text.ends_with(LIMITED), "{}", outcome.text);
}

/// Functions that make much, with what they cost: bytes for each unit of cost, constants aside.
#[test]
fn memory_follows_cost() {
    let object = large();
    for (expression, most) in [
        ("object.text.split('').size()", 400),
        ("object.text.findAll('.').size()", 800),
        ("(object.half + 'c').split('').size()", 600),
        ("object.text.lowerAscii() + object.text.upperAscii()", 60),
        ("object.numbers.filter(n, n >= 0).map(n, n).size()", 40),
        ("lists.range(100000).map(i, string(i)).size()", 40),
        ("lists.range(20000).map(i, {string(i): i}).size()", 60),
        ("object.numbers.transformMap(i, n, n).size()", 120),
        ("lists.range(300000).reverse().size()", 120),
        ("object.numbers.slice(0, 90000).size()", 120),
        ("strings.quote(object.text).size()", 60),
        ("bytes(object.text + 'a').size()", 30),
    ] {
        let outcome = run(&object, &[], expression);
        assert!(
            outcome.cost > 0 && outcome.cost <= LIMIT + 1_000_000,
            "{expression}"
        );
        let each = outcome.total / outcome.cost;
        assert!(
            each <= most,
            "{expression}: {each} bytes for each of {}: {}",
            outcome.cost,
            outcome.text
        );
    }
}

#[test]
fn a_search_is_not_quadratic() {
    // Of a text of a million letters, with a part of half a million that is not there.
    let object = large();
    for expression in [
        "object.text.indexOf(object.half) == -1",
        "object.text.lastIndexOf(object.half) == -1",
        "object.text.indexOf(object.half, 1000) == -1",
        "object.text.lastIndexOf('b' + object.text.substring(0, 500000)) == -1",
    ] {
        assert_eq!(run(&object, &[], expression).text, "bool", "{expression}");
    }
}

#[test]
fn a_loop_over_a_map_takes_no_memory_for_it() {
    let object = large();
    let outcome = run(
        &object,
        &[],
        "lists.range(1000).all(i, object.keys.exists(k, k != ''))",
    );
    assert_eq!(outcome.text, "bool");
    assert!(outcome.total < MIB, "{}", outcome.total);
}

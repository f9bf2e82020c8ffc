//! The preconditions of what the planner puts in the place of something else: for each an expression
//! that has another value, error or cost where the precondition is dropped.

#![allow(clippy::indexing_slicing, reason = "a panic is the report of a test")]

use super::{Node, Planner, plan};
use crate::admission::{BUDGET, Bindings, Optional, environment};
use crate::ast::{Expr, Kind};
use crate::check::check;
use crate::library::regexes;
use crate::parse::{ACCUMULATOR, parse};
use crate::{Env, Evaluation, NEWEST_RELEASE, Program};
use serde_json::{Value as Json, json};
use std::cell::RefCell;

fn env() -> Env {
    environment(NEWEST_RELEASE, Optional::default())
}

/// The value of a program as JSON, or its error, and what it cost.
fn run(env: &Env, program: &Program, object: &Json) -> (String, u64) {
    let bindings = Bindings {
        object: Some(object),
        ..Bindings::default()
    };
    let mut evaluation = Evaluation::new(env, &bindings, BUDGET);
    let told = match evaluation.run(program) {
        Ok(value) => value.to_json().to_string(),
        Err(error) => format!("error: {error}"),
    };
    (told, evaluation.spent())
}

fn told(source: &str, object: &Json) -> (String, u64) {
    let env = env();
    let program = env
        .compile(source)
        .unwrap_or_else(|error| panic!("{source}: {error}"));
    run(&env, &program, object)
}

#[track_caller]
fn assert_told(cases: &[(&str, &str, u64)], object: &Json) {
    for (source, value, cost) in cases {
        let found = told(source, object);
        assert_eq!((found.0.as_str(), found.1), (*value, *cost), "{source}");
    }
}

/// A program of a tree that no source makes: what `change` leaves of a source's.
fn made(source: &str, change: &mut dyn FnMut(&mut Expr)) -> (Env, Program) {
    let env = env();
    let tree = parse(source, env.macros()).unwrap();
    let mut expr = tree.walk(Clone::clone);
    each(&mut expr, change);
    let checked = check(source, &expr, tree.nodes, &env);
    let node = plan(source, &expr, &checked, &env, false).unwrap();
    let program = Program {
        source: source.to_owned(),
        result: crate::Type::Dyn,
        mentions: Vec::new(),
        node,
        locals: checked.locals,
        levels: 1_000,
        wrapped: 0,
    };
    (env, program)
}

fn each(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
    match &mut expr.kind {
        Kind::Literal(_) | Kind::Ident(_) | Kind::Message { .. } => {}
        Kind::Select { operand, .. } => each(operand, change),
        Kind::Call {
            target, arguments, ..
        } => {
            let target = target.iter_mut().map(|target| &mut **target);
            target.chain(arguments).for_each(|part| each(part, change));
        }
        Kind::List(elements) => elements.iter_mut().for_each(|(e, _)| each(e, change)),
        Kind::Map(entries) => {
            for (key, value, _) in entries {
                each(key, change);
                each(value, change);
            }
        }
        Kind::Comprehension(c) => {
            for part in [
                &mut c.range,
                &mut c.init,
                &mut c.condition,
                &mut c.step,
                &mut c.result,
            ] {
                each(part, change);
            }
        }
    }
    change(expr);
}

/// `loops::in_place`: what is added to is the accumulator of the loop whose step it is.
#[test]
fn only_the_own_list_of_a_loop_is_added_to_in_place() {
    let object = json!({"m": [[1], [2]], "l": ["a"]});
    assert_told(
        &[
            (
                "object.m.map(r, [3, 4].map(y, r + [y]))",
                "[[[1,3],[1,4]],[[2,3],[2,4]]]",
                129,
            ),
            (
                "object.m.map(r, [3].map(y, r + [5]).size() + r.size())",
                "[2,2]",
                65,
            ),
            (
                "object.?l.optMap(l, (l + ['x']).size() > l.size())",
                r#"{"optional":[true]}"#,
                13,
            ),
            // Its own step, and a branch of it, and nothing around it.
            ("object.m.map(r, r + [0])", "[[1,0],[2,0]]", 31),
            ("object.m.map(r, (r + [0]) + r)", "[[1,0,1],[2,0,2]]", 35),
            ("object.m.map(r, r == [1], r + [?object.?x])", "[[1]]", 32),
        ],
        &object,
    );
}

/// The same for what macros make, whose steps add to their own accumulator and to nothing else: a step
/// that adds to another variable, and one whose element may be missing, are calls.
#[test]
fn a_step_that_adds_to_another_list_or_perhaps_nothing_is_a_call() {
    let to_outer = |expr: &mut Expr| {
        if let Kind::Comprehension(c) = &mut expr.kind
            && c.variable == "y"
        {
            each(&mut c.step, &mut |part| match &mut part.kind {
                Kind::Ident(name) if name == ACCUMULATOR => "r".clone_into(name),
                _ => {}
            });
        }
    };
    let (env, program) = made("[[1]].map(r, [3, 4].map(y, y))", &mut { to_outer });
    assert_eq!(run(&env, &program, &Json::Null).0, "[[1,4]]");
    let optional = |expr: &mut Expr| {
        if let Kind::Comprehension(c) = &mut expr.kind {
            each(&mut c.step, &mut |part| {
                if let Kind::List(elements) = &mut part.kind {
                    elements[0].1 = true;
                }
            });
        }
    };
    let source = "[{}, {'x': 2}].map(y, y.?x)";
    let (env, program) = made(source, &mut { optional });
    assert_eq!(run(&env, &program, &Json::Null).0, "[2]");
}

/// The same for maps, which only macros add to: the variable of a loop is none.
#[test]
fn only_the_own_map_of_a_loop_is_added_to_in_place() {
    let insert = |expr: &mut Expr| {
        if let Kind::Call {
            function,
            target: target @ Some(_),
            arguments,
        } = &mut expr.kind
            && function == "insert"
        {
            "cel.@mapInsert".clone_into(function);
            let map = target.take().into_iter().map(|map| *map);
            *arguments = map.chain(std::mem::take(arguments)).collect();
        }
    };
    let source = "[{'a': 1}].map(r, ['b', 'c'].map(k, r.insert(k, 2)))";
    let (env, program) = made(source, &mut { insert });
    let (told, _) = run(&env, &program, &Json::Null);
    assert_eq!(told, r#"[[{"a":1,"b":2},{"a":1,"c":2}]]"#);
}

/// `loops::quantifier`: nothing reads the accumulator but the loop itself.
#[test]
fn a_loop_whose_accumulator_may_be_read_is_no_quantifier() {
    let named = |name: &'static str| {
        move |expr: &mut Expr| match &mut expr.kind {
            Kind::Ident(known) if known == ACCUMULATOR => name.clone_into(known),
            Kind::Comprehension(c) => name.clone_into(&mut c.accumulator),
            _ => {}
        }
    };
    for (source, value) in [
        ("[1, 2].all(x, so_far)", "true"),
        ("[1, 2].exists(x, so_far || x == 2)", "true"),
        ("[1, 2].exists(x, so_far)", "false"),
    ] {
        let (env, program) = made(source, &mut named("so_far"));
        assert!(matches!(program.node, Node::Fold(_)), "{source}");
        assert_eq!(run(&env, &program, &Json::Null).0, value, "{source}");
        let (_, program) = made(source, &mut named(ACCUMULATOR));
        assert!(matches!(program.node, Node::Quantifier(_)), "{source}");
    }
}

/// `constants::membership`: a constant list of scalars, texts in order.
#[test]
fn only_scalars_are_looked_up_in_a_set() {
    assert_told(
        &[
            // Texts are looked up by halves, whatever stands between them.
            ("'z' in [dyn('z'), dyn('b'), dyn(1), dyn('a')]", "true", 0),
            (
                "'c' in [dyn('c'), dyn(2), dyn('b'), dyn(1), dyn('a')]",
                "true",
                0,
            ),
            ("dyn(1) in [dyn('a'), dyn('b'), dyn(1.0)]", "true", 0),
            // A number is looked up by its kind, of which each member has its like.
            ("object.n in [9007199254740992.0, 0.5]", "false", 2),
            ("object.n in [9007199254740993]", "true", 2),
            ("9007199254740992.0 in [dyn(9007199254740993)]", "true", 0),
            (
                "dyn(9223372036854775807) in [9223372036854775808.0]",
                "false",
                0,
            ),
            ("dyn(1u) in [1]", "true", 0),
            ("dyn(0.5) in [0, 1]", "false", 0),
            // What is no scalar is compared one by one, and paid for.
            ("[1] in [[1], [2]]", "true", 2),
            ("object.?x in [optional.none()]", "true", 13),
            ("null in [null]", "true", 1),
            ("timestamp(0) in [timestamp(0)]", "true", 1),
            // A list that is not constant.
            ("1 in [dyn(1), object.n]", "true", 14),
            // Of an empty list nothing is looked up.
            ("1 / 0 in []", "false", 0),
        ],
        &json!({"n": 9_007_199_254_740_993_i64}),
    );
}

/// `constants::list` and `map`: all parts are known, and what can't be made fails where it is needed.
#[test]
fn only_what_is_known_is_made_before() {
    assert_told(
        &[
            ("[1, 2]", "[1,2]", 0),
            ("[dyn(1), object.n]", "[1,1]", 12),
            ("{'a': 1}", r#"{"a":1}"#, 0),
            ("{'a': object.n}", r#"{"a":1}"#, 32),
            ("object.n == 1 || [?dyn(1)].size() == 0", "true", 3),
            ("object.n == 1 || {?'a': dyn(1)}.size() == 0", "true", 3),
            (
                "object.n == 2 || [?dyn(1)].size() == 0",
                "error: cannot initialize optional list element from non-optional value 1",
                5,
            ),
        ],
        &json!({"n": 1}),
    );
    let strict = Env::specification("", []);
    let program = strict.compile("{'a': 1, 'a': 2}").unwrap();
    let (told, _) = run(&strict, &program, &Json::Null);
    assert_eq!(told, "error: Failed with repeated key: a");
}

/// `Planner::converted`: of a constant; a fault is one of the compiler only where types are checked.
#[test]
fn only_constants_are_converted_before() {
    assert_told(
        &[
            ("string(1)", r#""1""#, 0),
            ("string(object.n)", r#""1""#, 3),
            ("object.n == 1 || int(object.s) == 0", "true", 3),
        ],
        &json!({"n": 1, "s": "x"}),
    );
    let env = env();
    assert!(env.compile("true || int('a') == 0").is_err());
    let program = env.compile_unchecked("true || int('a') == 0").unwrap();
    assert_eq!(run(&env, &program, &Json::Null).0, "true");
}

/// `Planner::pattern`: the pattern is a constant; one that is computed is compiled when it is known.
#[test]
fn only_constant_patterns_are_compiled_before() {
    assert_told(
        &[
            ("['a', 'b'].map(p, 'abc'.find(p))", r#"["a","b"]"#, 29),
            ("'abc'.matches(object.p)", "true", 3),
            (
                "['b', 'c', 'b'].map(p, 'abc'.find(p + '?') + 'abc'.find('b'))",
                r#"["b","b","b"]"#,
                52,
            ),
            ("'a1b2'.findAll('[0-9]', object.n)", r#"["1"]"#, 4),
        ],
        &json!({"p": "b.", "n": 1}),
    );
    let env = env();
    assert!(env.compile("'a'.matches('(')").is_err());
    let program = env.compile_unchecked("true || 'a'.matches('(')").unwrap();
    assert_eq!(run(&env, &program, &Json::Null).0, "true");
}

/// All patterns of an expression together: each is small enough by itself, and one counts once.
#[test]
fn the_patterns_of_an_expression_have_a_limit() {
    let env = env();
    let tree = parse("1", env.macros()).unwrap();
    let checked = tree.walk(|expr| check("1", expr, tree.nodes, &env));
    let planner = Planner {
        source: "1",
        checked: &checked,
        env: &env,
        strict: true,
        patterns: RefCell::default(),
    };
    assert!(planner.pattern("a").is_ok());
    let one = planner.patterns.borrow().steps;
    planner.patterns.borrow_mut().steps = regexes::PATTERNS_LIMIT - one;
    assert!(planner.pattern("a").is_ok());
    assert!(planner.pattern("b").is_ok());
    assert!(planner.pattern("b").is_ok());
    assert_eq!(
        planner.pattern("c").unwrap_err(),
        "the patterns of this expression would take too much memory"
    );
}

/// `attribute::attribute`: reading goes on from what was read, not from a test of it.
#[test]
fn what_is_read_of_a_test_is_read_of_its_result() {
    let object = json!({"a": {"b": 5}});
    let env = env();
    for (source, value) in [
        ("has(object.a).b", "error: no such key: b"),
        ("object.a.b", "5"),
        ("has(object.a.b)", "true"),
    ] {
        let program = env.compile_unchecked(source).unwrap();
        assert_eq!(run(&env, &program, &object).0, value, "{source}");
    }
}

/// `eval::fields`: only fields that have to be there are followed through JSON, each paid for.
#[test]
fn only_plain_fields_are_followed_through_json() {
    assert_told(
        &[
            ("object.a.b == 5", "true", 4),
            ("object.?a.b == optional.of(5)", "true", 5),
            ("object.?x.b == optional.none()", "true", 3),
            ("object.a['b'] == 5", "true", 4),
            ("object.l[0].b == 5", "true", 5),
            ("has(object.a.x) || object.a.t", "true", 5),
            ("[1].all(object, .object.a.t && object == 1)", "true", 7),
            ("[1].all(o, .object.a.t && o == 1)", "true", 9),
            (
                "[1].all(object, has(.object.a.t) && object == 1)",
                "true",
                6,
            ),
            ("[0].all(object, .object.l[0].b == 5)", "true", 6),
            // Computing a key is never free; the API server counts six here as well.
            (
                "[0].all(object, .object.l[.object.l.size() - 1].b == 5)",
                "true",
                12,
            ),
        ],
        &json!({"a": {"b": 5, "t": true}, "l": [{"b": 5}]}),
    );
}

/// `eval::truth`: asked for its truth or for its value, a node gives the same and costs the same.
#[test]
fn a_truth_is_the_value_that_it_would_be() {
    let object = json!({"t": true, "f": false, "n": 1, "s": "a", "l": [1, 2], "nothing": null});
    let nodes = [
        "object.t",
        "object.f",
        "object.n",
        "object.x",
        "object.nothing",
        "has(object.t)",
        "has(object.x)",
        "!object.t",
        "!object.n",
        "!object.x",
        "object.n == 1",
        "object.n != 1",
        "object.n == 'a'",
        "object.x == 1",
        "object.l == [1, 2]",
        "object.nothing == null",
        "object.n == 1.0",
        "object.t && object.f",
        "object.t && object.x",
        "object.n && object.t",
        "object.f || object.x",
        "object.t || object.x",
        "object.n in [1, 2]",
        "object.x in [1]",
        "object.l.all(x, x > 0)",
        "object.l.exists(x, x > 1)",
        "object.l.exists(x, x.a)",
        "object.l.all(x, object.n)",
        "object.l.all(x, x == 1 || object.x)",
        "object.n.all(x, true)",
        "object.?t.orValue(false)",
        "object.?x.orValue(1) == 1",
        "1 / 0 == 1",
        "timestamp(0) == timestamp(0)",
        "quantity('1') == quantity('1.0')",
        "object.s.matches('a')",
    ];
    for node in nodes {
        // A list asks for the value; only then is its element a condition.
        let (value, paid) = told(&format!("[dyn({node})][0]"), &object);
        let (truth, cost) = told(&format!("(dyn({node}) == true || false) == true"), &object);
        let (plain, own) = told(node, &object);
        let (negated, less) = told(&format!("!dyn({node})"), &object);
        if plain.starts_with("error") {
            assert_eq!(
                (value.as_str(), truth.as_str()),
                (plain.as_str(), plain.as_str()),
                "{node}"
            );
            assert_eq!(negated, plain, "{node}");
            continue;
        }
        assert_eq!(value, plain, "{node}");
        assert_eq!(truth, (plain == "true").to_string(), "{node}");
        let is_truth = plain == "true" || plain == "false";
        // Ten for the list, one each for `dyn`, the index and what is read by it; one each for `dyn`, both comparisons.
        assert_eq!((paid, cost), (own + 13, own + 3), "{node}");
        if is_truth {
            assert_eq!(
                (negated, less),
                ((plain == "false").to_string(), own + 2),
                "{node}"
            );
        } else {
            assert_eq!(negated, "error: no such overload", "{node}");
        }
    }
}

/// `eval::truth`: only what is never an error is compared there.
#[test]
fn what_can_not_be_compared_is_an_error() {
    assert_told(
        &[
            (
                "dyn(quantity('1')) == dyn('a')",
                "error: no such overload",
                3,
            ),
            ("dyn(ip('::1')) != dyn('a')", "true", 3),
            ("dyn([1]) == dyn('a')", "false", 1),
        ],
        &Json::Null,
    );
}

/// `Node::OptionalOr`: of optionals alone.
#[test]
fn only_optionals_have_another_value() {
    assert_told(
        &[
            ("optional.none().orValue(1)", "1", 1),
            ("optional.of(2).orValue(1 / 0)", "2", 1),
            (
                "optional.none().or(optional.of(1))",
                r#"{"optional":[1]}"#,
                2,
            ),
            ("dyn(1).orValue(2)", "error: no such overload", 0),
        ],
        &Json::Null,
    );
}

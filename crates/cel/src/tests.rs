//! Expressions and what comes of them: one line in, one line out.

#![allow(clippy::indexing_slicing, reason = "a panic is the report of a test")]

use crate::{Activation, Env, Evaluation, Object, ObjectType, Type, Value};

struct Process;

impl Object for Process {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        static NAMES: [&str; 2] = ["busybox", "sh"];
        match index {
            0 => Some(Value::List(crate::List::of(
                NAMES.iter().map(|name| Value::from(*name)).collect(),
            ))),
            1 => Some(Value::from("/bin/busybox")),
            2 => Some(Value::Int(0)),
            _ => None,
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        ["names", "executable", "uid", "parent"]
            .iter()
            .position(|known| *known == name)
    }
}

struct Data {
    json: serde_json::Value,
}

impl Activation for Data {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match slot {
            0 => Some(Value::Object(&Process)),
            1 => Some(Value::from_json(&self.json)),
            _ => None,
        }
    }
}

fn env() -> Env {
    let process = ObjectType::new(
        "Process",
        [
            ("names", Type::list(Type::String)),
            ("executable", Type::String),
            ("uid", Type::Int),
            ("parent", Type::optional(Type::Dyn)),
        ],
    );
    Env::new([("process", process), ("object", Type::Dyn)])
}

/// The value of an expression, or its error, as a line.
fn line(source: &str) -> String {
    let env = env();
    let data = Data {
        json: serde_json::json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
    };
    let program = match env.compile(source) {
        Ok(program) => program,
        Err(error) => {
            return error
                .diagnostics
                .iter()
                .map(|d| format!("{}:{}: {}", d.line, d.column, d.message))
                .collect::<Vec<_>>()
                .join(" | ");
        }
    };
    match Evaluation::new(&env, &data, 10_000).run(&program) {
        Ok(Value::String(text)) => format!("String({:?})", &*text),
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn expressions_have_their_values() {
    for (source, want) in [
        ("1 + 2 * 3", "Int(7)"),
        ("-9223372036854775808", "Int(-9223372036854775808)"),
        ("0x10u", "Uint(16)"),
        ("1.5e3", "Double(1500.0)"),
        (r#""a\n\u00e9" + 'b'"#, "String(\"a\\néb\")"),
        ("r'a\\d'", "String(\"a\\\\d\")"),
        ("1 < 2 && 'a' < 'b' || false", "Bool(true)"),
        ("dyn(1) == 1.0", "Bool(true)"),
        ("2u > 1", "Bool(true)"),
        // Whole numbers become doubles to be compared with one, as cel-go does (common/types/int.go).
        ("dyn(9007199254740993) == 9007199254740992.0", "Bool(true)"),
        ("[1, 2, 3].exists(x, x == 2)", "Bool(true)"),
        ("[1, 2, 3].all(x, x > 1)", "Bool(false)"),
        ("[1, 2, 3].exists_one(x, x > 2)", "Bool(true)"),
        ("[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]", "Bool(true)"),
        ("[1, 2, 3].filter(x, x != 2).size()", "Int(2)"),
        ("[[1], [2]].exists(x, x.exists(y, y == 2))", "Bool(true)"),
        ("{'a': 1}.a == {'a': 1}['a']", "Bool(true)"),
        ("'a' in {'a': 1} && !('b' in ['a'])", "Bool(true)"),
        ("process.names.exists(n, n in ['sh', 'bash'])", "Bool(true)"),
        ("process.executable.startsWith('/bin/')", "Bool(true)"),
        ("process.uid == 0 ? 'root' : 'other'", "String(\"root\")"),
        ("has(process.parent)", "Bool(false)"),
        ("process.?parent.hasValue()", "Bool(false)"),
        (
            "object.spec.containers.all(c, c.name.matches('^[a-z]$'))",
            "Bool(true)",
        ),
        (
            "object.metadata.?labels.?app.orValue('none')",
            "String(\"web\")",
        ),
        (
            "object.metadata.?annotations.?app.orValue('none')",
            "String(\"none\")",
        ),
        ("has(object.metadata.annotations)", "Bool(false)"),
        ("object.spec.containers[1].name", "String(\"b\")"),
        ("'a,b'.split(',').join('-')", "String(\"a-b\")"),
        ("'hello'.substring(1, 3)", "String(\"el\")"),
        ("'hello'.lastIndexOf('l')", "Int(3)"),
        ("int('42') + int(2.9)", "Int(44)"),
        ("duration('1h') > duration('59m')", "Bool(true)"),
        (
            "timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h')",
            "Bool(true)",
        ),
        ("type(1) == int", "Bool(true)"),
        ("[?optional.none(), 1].size()", "Int(1)"),
        ("// a comment\n true", "Bool(true)"),
    ] {
        let got = line(source);
        assert_eq!(got, want, "{source}");
    }
}

#[test]
fn what_goes_wrong_at_run_time_is_an_error_and_false_wins_over_it() {
    for (source, want) in [
        ("1 / 0", "error: division by zero"),
        ("9223372036854775807 + 1", "error: integer overflow"),
        ("object.nothing", "error: no such key: nothing"),
        ("[1][3]", "error: index out of bounds: 3"),
        ("object.spec == 1 && object.nothing", "Bool(false)"),
        ("object.nothing && false", "Bool(false)"),
        ("true || object.nothing", "Bool(true)"),
        ("object.nothing || true", "Bool(true)"),
        (
            "[1, 2].all(x, object.nothing || x > 5)",
            "error: no such key: nothing",
        ),
        ("[1, 0].exists(x, 1 / x == 5 || x == 1)", "Bool(true)"),
        ("{'a': 1, 'a': 2}['a']", "Int(2)"),
    ] {
        assert_eq!(line(source), want, "{source}");
    }
}

#[test]
fn what_does_not_compile_says_where_and_why() {
    for (source, want) in [
        ("process.nmaes", "1:8: undefined field 'nmaes'"),
        (
            "proces.names",
            "1:1: undeclared reference to 'proces' (in container '')",
        ),
        (
            "1 + 'a'",
            "1:3: found no matching overload for '_+_' applied to '(int, string)'",
        ),
        (
            "process.names == 1",
            "1:15: found no matching overload for '_==_' applied to '(list(string), int)'",
        ),
        (
            "process.executable.contain('a')",
            "1:27: undeclared reference to 'contain' (in container '')",
        ),
        (
            "process.executable.contains(1)",
            "1:28: found no matching overload for 'contains' applied to 'string.(int)'",
        ),
        ("1 && true", "1:1: expected type 'bool' but found 'int'"),
        ("'a'.matches('(')", "1:13: invalid matches argument"),
        (
            "1 +",
            "1:4: Syntax error: a value is expected here, not the end",
        ),
        ("(1", "1:3: Syntax error: ')' is expected here, not the end"),
        ("'abc", "1:1: Syntax error: a string has no end"),
        (
            "'\\UE'",
            "1:1: Syntax error: '\\U' takes 8 hexadecimal digits",
        ),
        ("'\\08'", "1:1: Syntax error: '\\0' takes 2 octal digits"),
        (
            "'\\q'",
            "1:1: Syntax error: there is no escape '\\q'; a backslash is written as '\\\\'",
        ),
        (
            "true\n  && process.x\n  && y",
            "2:13: undefined field 'x' | 3:6: undeclared reference to 'y' (in container '')",
        ),
        ("for", "1:1: reserved identifier: for"),
    ] {
        assert_eq!(line(source), want, "{source}");
    }
}

#[test]
fn a_fault_is_drawn_with_a_caret_and_a_guess() {
    let error = env().compile("process.nmaes.size() > 0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "1:8: undefined field 'nmaes'; did you mean 'names'?\n | process.nmaes.size() > 0\n | .......^"
    );
}

#[test]
fn what_is_wrong_with_a_pattern_is_reported() {
    let error = env().compile("'a'.matches('(')").unwrap_err();
    assert_eq!(
        error.to_string(),
        "1:13: invalid matches argument; error parsing regexp: missing closing ): `(`\n | 'a'.matches('(')\n | ............^"
    );
}

#[test]
fn depth_and_budget_are_bounded() {
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(line(&deep).contains("recursion limit exceeded"));
    let chain = format!("1{}", " + 1".repeat(5000));
    assert!(line(&chain).contains("max recursion depth exceeded"));
    let wide = format!("true{}", " && true".repeat(10_000));
    assert_eq!(line(&wide), "Bool(true)");
    let many = "[1,2,3,4,5,6,7,8,9,10]";
    let product =
        format!("{many}.all(a, {many}.all(b, {many}.all(c, {many}.all(d, {many}.all(e, true)))))");
    assert_eq!(
        line(&product),
        "error: validation failed due to running out of cost budget, no further validation rules will be run"
    );
    assert_eq!(
        line(&format!("{product} || true")),
        "error: validation failed due to running out of cost budget, no further validation rules will be run"
    );
}

#[test]
fn named_expressions_are_computed_once_and_only_when_used() {
    let mut env = env();
    env.define("many", "[1,2,3,4,5,6,7,8,9,10].map(x, x * 2)")
        .unwrap();
    env.define("size", "variables.many.size()").unwrap();
    env.define("never", "1 / 0").unwrap();
    let data = Data {
        json: serde_json::Value::Null,
    };
    let program = env
        .compile("variables.size == 10 && variables.size == variables.many.size()")
        .unwrap();
    let mut evaluation = Evaluation::new(&env, &data, 10_000);
    assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)));
    let first = evaluation.spent();
    assert_eq!(evaluation.run(&program), Ok(Value::Bool(true)));
    assert!(evaluation.spent() - first < first / 2, "computed twice");
    assert_eq!(
        env.compile("variables.sizes").unwrap_err().diagnostics[0]
            .help
            .as_deref(),
        Some("did you mean 'size'?")
    );
}

#[test]
fn other_data_have_their_own_values_and_the_same_budget() {
    let data = |name: &str| Data {
        json: serde_json::json!({"name": name}),
    };
    let (a, b) = (data("a"), data("b"));
    let mut env = env();
    env.define("name", "object.name").unwrap();
    let program = env.compile("variables.name + '!'").unwrap();
    let mut cost = Evaluation::new(&env, &a, 1000);
    cost.run(&program).unwrap();
    let cost = cost.spent();
    let mut evaluation = Evaluation::new(&env, &a, 2 * cost);
    for (data, want) in [(&a, "a!"), (&b, "b!")] {
        evaluation.continue_with(data);
        assert_eq!(evaluation.run(&program), Ok(Value::from(want)));
    }
    evaluation.continue_with(&a);
    assert_eq!(
        evaluation.run(&program).unwrap_err().to_string(),
        "validation failed due to running out of cost budget, no further validation rules will be run"
    );
}

#[test]
fn a_named_expression_that_uses_its_own_name_is_an_error() {
    let mut env = env();
    env.define("a", "1").unwrap();
    env.define("a", "variables.a + 1").unwrap();
    let program = env.compile("variables.a").unwrap();
    let data = Data {
        json: serde_json::Value::Null,
    };
    let error = Evaluation::new(&env, &data, 1_000)
        .run(&program)
        .unwrap_err();
    assert!(
        error.to_string().contains("is defined by itself"),
        "{error}"
    );
}

#[test]
fn a_program_tells_what_it_mentions() {
    let program = env()
        .compile("process.names.exists(n, n == 'a') && has(object.metadata.labels)")
        .unwrap();
    let mentions: Vec<_> = program.mentions().iter().map(String::as_str).collect();
    assert_eq!(mentions, ["object", "process", "process.names"]);
}

#[test]
fn programs_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<crate::Program>();
    shared::<Env>();
}

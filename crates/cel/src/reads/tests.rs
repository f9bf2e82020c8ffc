//! Which parts are read, as paths: `a.b`, `[]` each element, `{}` each value, `!` as a whole.

use super::*;
use crate::Env;

fn print(reads: &Reads, path: &str, out: &mut Vec<String>) {
    if reads.whole {
        out.push(format!("{path}!"));
    }
    for (name, reads) in &reads.fields {
        print(reads, &format!("{path}.{name}"), out);
    }
    for (sign, part) in [("[]", &reads.elements), ("{}", &reads.values)] {
        if let Some(part) = part {
            print(part, &format!("{path}{sign}"), out);
        }
    }
    if *reads == Reads::default() {
        out.push(path.to_owned());
    }
}

fn of(named: &[(&str, &str)], expression: &str) -> Reads {
    let env = Env::new([]);
    let named: Vec<_> = named
        .iter()
        .map(|(name, source)| (*name, env.parse(source).unwrap()))
        .collect();
    let parsed = env.parse(expression).unwrap();
    reads("o", named.iter().map(|(name, e)| (*name, e)), [&parsed])
}

fn printed(reads: &Reads) -> String {
    let mut out = Vec::new();
    print(reads, "", &mut out);
    out.join(" ")
}

#[test]
fn what_is_read_is_found_and_no_more() {
    for (expression, want) in [
        ("true", ""),
        ("p.a == 1", ""),
        ("o.a.b == 1", ".a.b!"),
        ("o['a'].b == 1", ".a.b!"),
        ("o.a[0].b == 1", ".a[].b! .a{}.b!"),
        ("o.a[p] == 1", ".a[]! .a{}!"),
        ("o[o.k].b == 1", ".k! .k.b! [].b! {}.b!"),
        ("has(o.a.b)", ".a.b"),
        ("o.a.?b.orValue('') == ''", ".a.b!"),
        ("o.?a[?'x'].hasValue()", ".a.x"),
        ("o.a.exists(c, c.b == 1)", ".a[].b! .a{}"),
        ("o.a.all(k, v, v.b == 1)", ".a[].b! .a{}.b!"),
        (
            "o.a.filter(c, c.b == 1).all(c, c.d == 2)",
            ".a[].b! .a[].d! .a{}",
        ),
        ("o.a.map(c, c.b).size() == 0", ".a[].b .a{}"),
        ("o.a.map(c, c.b) == []", ".a[].b! .a{}"),
        (
            "(o.a + o.?b.orValue([])).all(c, c.d)",
            ".a[].d! .a{} .b[].d! .b{}",
        ),
        ("(p ? o.a : o.b).c == 1", ".a.c! .b.c!"),
        ("o.a.size() == 1 && size(o.b) == 2", ".a[] .a{} .b[] .b{}"),
        ("'x' in o.a", ".a.x .a[]!"),
        ("o.a.b.c && o.a[p].d", ".a.b.c! .a.b.d! .a[].d! .a{}.d!"),
        ("p in o.a", ".a[]! .a{}"),
        ("[o.a, o.b].exists(x, x.c == 1)", ".a.c! .b.c!"),
        ("{'k': o.a}['k'].c == 1", ".a.c!"),
        ("o.a.matches('x')", ".a!"),
        ("p.f(o)", "!"),
        ("o == p", "!"),
        (".o.a == 1", ".a!"),
        ("p.exists(o, o.a)", ""),
        ("p.exists(o, .o.a)", ".a!"),
        ("o.a.optMap(x, x.b).orValue(1) == 1", ".a.b!"),
        ("o.a.sortBy(x, x.k)[0].v == 1", ".a[].k! .a[].v! .a{}.v!"),
        ("o.a.transformMap(k, v, v.b).x == 1", ".a[].b! .a{}.b!"),
    ] {
        let found = of(&[], expression);
        assert_eq!(printed(&found), want, "{expression}");
    }
}

#[test]
fn named_expressions_are_followed() {
    let named = [
        ("all", "o.a + o.b"),
        ("unused", "o.c == 1"),
        ("names", "variables.all.map(c, c.n)"),
    ];
    assert_eq!(
        printed(&of(&named, "variables.all.exists(c, c.d == 1)")),
        ".a[].d! .a[].n .a{} .b[].d! .b[].n .b{} .c!"
    );
    let whole = of(&[("all", "o.a")], "variables.f()");
    assert_eq!(printed(&whole), ".a!");
    let itself = of(&[("x", "variables.x || o.a")], "variables.x");
    assert_eq!(printed(&itself), ".a!");
}

#[test]
fn what_is_too_deep_is_read_as_a_whole() {
    let deep = of(&[], &format!("o{}.x == 1", ".a".repeat(40)));
    assert_eq!(printed(&deep), format!("{}!", ".a".repeat(32)));
    // Each turn of the loop would go one deeper.
    let ever = of(&[], "p.map(x, x).size() == 0 && [o].map(x, x.a)[0] == 1");
    assert_eq!(printed(&ever), ".a!");
}

#[test]
fn parts_cover_what_they_have() {
    let some = of(&[], "o.a.b == 1 && o.c.exists(x, x.d == 1)");
    for (expression, covered) in [
        ("true", true),
        ("has(o.a)", true),
        ("o.a.b.c == 1", true),
        ("o.a == 1", false),
        ("o.c.exists(x, has(x.d))", true),
        ("o.c.exists(x, x.e == 1)", false),
        ("o == p", false),
    ] {
        let other = of(&[], expression);
        assert_eq!(some.covers(&other), covered, "{expression}");
        let mut merged = some.clone();
        merged.merge(&other);
        assert!(
            merged.covers(&other) && merged.covers(&some),
            "{expression}"
        );
        assert!(Reads::everything().covers(&merged), "{expression}");
    }
    assert!(of(&[], "o.a.exists(k, v, v.b == 1)").covers(&Reads::path(&["a", "*", "b"])));
}

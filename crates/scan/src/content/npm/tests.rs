//! What a `package.json` states, also if somebody wants programs to read different things.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect is a panic"
)]

use super::*;
use std::io::Cursor;

fn shown(path: &str, bytes: &[u8]) -> Vec<String> {
    let mut shown = Vec::new();
    let mut add = |fact| match fact {
        Fact::Npm(of) => {
            let bundled = of.bundled_in.map(|by| format!(" in {by}"));
            shown.push(format!(
                "{} {}{}",
                of.name,
                of.version,
                bundled.unwrap_or_default()
            ));
        }
        Fact::NotRead { what, cause } => shown.push(format!("{what}: {cause}")),
        other => panic!("{other:?}"),
    };
    read(path.as_bytes(), &mut Cursor::new(bytes), &mut add);
    shown
}

const LODASH: &str = "app/node_modules/lodash/package.json";
const STATED: &[u8] = br#"{"name": "lodash", "version": "4.17.20"}"#;

#[test]
fn packages_directly_below_node_modules_are_read() {
    for (path, expected) in [
        (LODASH, "lodash 4.17.20"),
        ("node_modules/lodash/package.json", "lodash 4.17.20"),
        ("usr/lib/node_modules/lodash/package.json", "lodash 4.17.20"),
        ("node_modules/@scope/lodash/package.json", "lodash 4.17.20"),
        (
            "app/node_modules/.pnpm/lodash@4.17.20/node_modules/lodash/package.json",
            "lodash 4.17.20",
        ),
        (
            "usr/lib/node_modules/npm/node_modules/lodash/package.json",
            "lodash 4.17.20 in npm",
        ),
        (
            "node_modules/@a/b/node_modules/lodash/package.json",
            "lodash 4.17.20 in @a/b",
        ),
    ] {
        let interest = interest(path.as_bytes(), 9, b"");
        assert_eq!(interest, Interest::Whole(METADATA_LIMIT), "{path}");
        assert_eq!(shown(path, STATED), [expected], "{path}");
    }
    for path in [
        "app/package.json",
        "package.json",
        "node_modules/package.json",
        "node_modules/@scope/package.json",
        "node_modules/lodash/lib/package.json",
        "node_modules/.cache/package.json",
        "node_modules/lodash/package.json5",
        "node_modules//package.json",
    ] {
        assert_eq!(interest(path.as_bytes(), 9, b""), Interest::None, "{path}");
        assert_eq!(shown(path, STATED), [""; 0], "{path}");
    }
}

#[test]
fn the_file_names_the_package_and_an_alias_does_not() {
    let path = "node_modules/string-width-cjs/package.json";
    let stated = br#"{"name": "string-width", "version": "4.2.3"}"#;
    assert_eq!(shown(path, stated), ["string-width 4.2.3"]);
}

#[test]
fn each_of_several_names_and_versions_counts() {
    let stated = br#"{"version": "4.17.21", "name": "lodash", "n\u0061me": "other", "version": "4.17.20", "x": {"version": "1"}}"#;
    assert_eq!(
        shown(LODASH, stated),
        [
            "lodash 4.17.21",
            "lodash 4.17.20",
            "other 4.17.21",
            "other 4.17.20"
        ]
    );
}

#[test]
fn encodings_that_node_reads_are_read() {
    let mut marked = b"\xef\xbb\xbf".to_vec();
    marked.extend_from_slice(STATED);
    assert_eq!(shown(LODASH, &marked), ["lodash 4.17.20"]);
    let latin =
        b"{\"author\": \"Andr\xe9\", \"\xe9\": 1, \"name\": \"lodash\", \"version\": \"4.17.20\"}";
    assert_eq!(shown(LODASH, latin), ["lodash 4.17.20"]);
}

#[test]
fn a_file_that_cannot_be_read_leaves_the_directory_without_a_version() {
    let unknown = "lodash ";
    let of = |bytes: &[u8]| shown(LODASH, bytes);
    let utf16: Vec<u8> = str::from_utf8(STATED)
        .unwrap()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let [fault, package] = of(&utf16).try_into().unwrap();
    assert!(fault.starts_with("npm package: "), "{fault}");
    assert_eq!(package, unknown);
    assert_eq!(
        of(b""),
        [
            "npm package: EOF while parsing a value at line 1 column 0",
            unknown
        ]
    );
    let deep = format!(
        r#"{{"name": "lodash", "a": {}{}}}"#,
        "[".repeat(64),
        "]".repeat(64)
    );
    assert_eq!(
        of(deep.as_bytes()),
        ["npm package: it is nested deeper than 64 levels", unknown]
    );
    let mut large = STATED.to_vec();
    large.resize(METADATA_LIMIT + 1, b' ');
    assert_eq!(
        of(&large),
        [
            "npm package: it has more than the 4194304 bytes that are read",
            "lodash 4.17.20"
        ]
    );
    let mut padded = br#"{"a": ""#.to_vec();
    padded.resize(METADATA_LIMIT, b'a');
    padded.extend_from_slice(br#"", "name": "lodash", "version": "4.17.20"}"#);
    let [size, fault, package] = of(&padded).try_into().unwrap();
    assert_eq!(
        size,
        "npm package: it has more than the 4194304 bytes that are read"
    );
    assert!(
        fault.starts_with("npm package: a: EOF while parsing"),
        "{fault}"
    );
    assert_eq!(package, unknown);
}

#[test]
fn a_name_or_version_that_is_none_is_a_fault() {
    assert_eq!(shown(LODASH, b"{}"), ["lodash "]);
    assert_eq!(
        shown(LODASH, br#"{"name": "lodash\u001b[2J", "version": 4}"#),
        [
            r#"npm package: its name is "lodash\u{1b}[2J""#,
            "npm package: its version is empty",
            "lodash "
        ]
    );
    for wrong in ["@a", "@/a", "@a/", "a/b", "@a/b/c", ".a", "a@b", ""] {
        let stated = format!(r#"{{"name": "{wrong}", "version": "1"}}"#);
        let [fault, package] = shown(LODASH, stated.as_bytes()).try_into().unwrap();
        assert!(fault.starts_with("npm package: its name is "), "{fault}");
        assert_eq!(package, "lodash 1");
    }
    for right in ["JSONStream", "@Ab/c.d", "a~b", "l'ove!"] {
        let stated = format!(r#"{{"name": "{right}", "version": "1"}}"#);
        assert_eq!(shown(LODASH, stated.as_bytes()), [format!("{right} 1")]);
    }
    // Neither the file nor the directory has a name.
    assert_eq!(
        shown("node_modules/a\u{1b}/package.json", br#"{"version": "1"}"#),
        [r#"npm package: its name is "a\u{1b}""#]
    );
}

#[test]
fn links_to_packages_give_them_a_meaning() {
    for link in [
        "app/node_modules",
        "app/node_modules/lodash",
        "app/node_modules/@scope",
        "app/node_modules/@scope/lodash",
        "app/node_modules/lodash/package.json",
    ] {
        assert!(gives_meaning(link.as_bytes()), "{link}");
    }
    for link in [
        "app",
        "app/node_modules/.bin",
        "app/node_modules/.bin/x",
        "app/node_modules/lodash/lib",
        "app/package.json",
    ] {
        assert!(!gives_meaning(link.as_bytes()), "{link}");
    }
}

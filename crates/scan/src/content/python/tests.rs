//! What metadata of Python states, also if somebody wants programs to read different things.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect is a panic"
)]

use super::*;
use std::io::Cursor;

fn facts(path: &str, bytes: &[u8]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut content = Cursor::new(bytes);
    assert_eq!(
        interest(path.as_bytes(), bytes.len() as u64, bytes),
        Interest::Whole(METADATA_LIMIT)
    );
    read(path.as_bytes(), &mut content, &mut |fact| facts.push(fact));
    facts
}

/// Each fact on a line.
fn shown(path: &str, bytes: &[u8]) -> Vec<String> {
    let facts = facts(path, bytes).into_iter();
    let shown = facts.map(|fact| match fact {
        Fact::Python(of) => {
            let vendored = if of.vendored { " vendored" } else { "" };
            format!("{} {} {:?}{vendored}", of.name, of.version, of.source)
        }
        Fact::NotRead { what, cause } => format!("{what}: {cause}"),
        other => panic!("{other:?}"),
    });
    shown.collect()
}

const URLLIB3: &str = "usr/lib/python3.9/site-packages/urllib3-1.26.4.dist-info/METADATA";

#[test]
fn the_files_of_distributions_are_read() {
    let headers = b"Metadata-Version: 2.1\nName: Zope.Event\nVersion: 4.5\n\nVersion: 9\n";
    for path in [
        "site-packages/zope.event-4.5.dist-info/METADATA",
        "site-packages/zope.event-4.5.DIST-INFO/METADATA",
        "site-packages/zope.event-4.5.dist-info/PKG-INFO",
        "site-packages/zope.event-4.5-py3.9.egg-info/PKG-INFO",
        "site-packages/zope.event-4.5-py3.9-linux-x86_64.egg-info/PKG-INFO",
        "dist-packages/zope.event-4.5.egg-info",
        "src/zope.event.egg-info/PKG-INFO",
        "site-packages/zope.event-4.5-py3.9.egg/EGG-INFO/PKG-INFO",
    ] {
        assert_eq!(shown(path, headers), ["zope-event 4.5 Headers"], "{path}");
    }
    for path in [
        "METADATA",
        "PKG-INFO",
        "zope.event-4.5/PKG-INFO",
        "site-packages/zope.event-4.5.dist-info/WHEEL",
        "site-packages/zope.event-4.5.dist-info/METADATA/x",
        "site-packages/.egg-info",
        "vendor.txt",
        "usr/share/RECORD",
    ] {
        assert_eq!(interest(path.as_bytes(), 9, b""), Interest::None, "{path}");
    }
}

#[test]
fn headers_are_read_as_python_reads_them() {
    let of = |headers: &str| shown(URLLIB3, headers.as_bytes());
    let expected = ["urllib3 1.26.4 Headers"];
    for headers in [
        "Name: urllib3\r\nVersion: 1.26.4\r\n\r\nName: other\r\n",
        "Name: urllib3\rVersion: 1.26.4\r\rName: other\r",
        "name:urllib3\nVERSION:\t1.26.4 \n",
        "\u{feff}Name: urllib3\nVersion: 1.26.4\n",
        "Name:\n urllib3\nVersion:\n\t1.26.4\n\n",
        "From someone\nName: urllib3\nVersion: 1.26.4\n\nVersion: 2",
        " folded: first\nName: urllib3\nVersion: 1.26.4",
        // A line that is no header ends them.
        "Name: urllib3\nVersion: 1.26.4\nSome text\nName: other\nVersion: 2\n",
        // The description is not part of them.
        "Name: urllib3\nVersion: 1.26.4\nSummary: a\n  Version: 2\n\nVersion: 3\n",
    ] {
        assert_eq!(of(headers), expected, "{headers:?}");
    }
    let latin = b"Author: Andr\xe9\nName: urllib3\nVersion: 1.26.4\n";
    assert_eq!(shown(URLLIB3, latin), expected);
}

#[test]
fn each_of_several_names_and_versions_counts() {
    let headers = b"Name: innocuous\nName: urllib3\nVersion: 9.0\nVersion: 1.26.4\nVersion: 9.0\n";
    assert_eq!(
        shown(URLLIB3, headers),
        [
            "innocuous 9.0 Headers",
            "innocuous 1.26.4 Headers",
            "urllib3 9.0 Headers",
            "urllib3 1.26.4 Headers",
        ]
    );
    let many = "Version: 0\nVersion: 1\nVersion: 2\nVersion: 3\nVersion: 4\nVersion: 5\n";
    assert_eq!(
        shown(URLLIB3, format!("Name: urllib3\n{many}").as_bytes()),
        [
            "Python metadata: it states more than 4 names or versions",
            "urllib3 0 Headers",
            "urllib3 1 Headers",
            "urllib3 2 Headers",
            "urllib3 3 Headers",
            "urllib3 1.26.4 DirectoryName",
        ]
    );
}

#[test]
fn the_name_of_the_directory_counts_if_the_headers_disagree() {
    let of = |headers: &str| shown(URLLIB3, headers.as_bytes());
    assert_eq!(
        of("Name: innocuous\nVersion: 9.0\n"),
        ["innocuous 9.0 Headers", "urllib3 1.26.4 DirectoryName"]
    );
    assert_eq!(
        of("Name: urllib3\nVersion: 9.0\n"),
        ["urllib3 9.0 Headers", "urllib3 1.26.4 DirectoryName"]
    );
    // Another spelling is no other version.
    assert_eq!(
        of("Name: URLLib3\nVersion: 1.26.4.0\n"),
        ["urllib3 1.26.4.0 Headers"]
    );
    let path = "site-packages/foo_bar-1.0_1.dist-info/METADATA";
    let headers = b"Name: foo-bar\nVersion: 1.0-1\n";
    assert_eq!(shown(path, headers), ["foo-bar 1.0-1 Headers"]);
}

#[test]
fn what_cannot_be_read_leaves_the_name_of_the_directory() {
    let directory = "urllib3 1.26.4 DirectoryName";
    let of = |headers: &[u8]| shown(URLLIB3, headers);
    let no_name = "Python metadata: it has no header Name";
    let no_version = "Python metadata: it has no header Version";
    assert_eq!(of(b""), [no_name, no_version, directory]);
    let utf16: Vec<u8> = "\u{feff}Name: urllib3\nVersion: 1.26.4\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(of(&utf16), [no_name, no_version, directory]);
    assert_eq!(of(b"Name: urllib3\n"), [no_version, directory]);
    assert_eq!(
        of(b"Name: urllib3\x1b[2J\nVersion: 1.26.4\x1b[2J\n"),
        [
            r#"Python metadata: its name is "urllib3\u{1b}[2J""#,
            "Python metadata: its version is not printable ASCII without spaces",
            directory
        ]
    );
    // Headers after more than is read do not hide it.
    let mut long = b"Name: urllib3\nX: ".to_vec();
    long.resize(METADATA_LIMIT, b'x');
    long.extend_from_slice(b"\nVersion: 9\n");
    assert_eq!(
        of(&long),
        [
            "Python metadata: it has more than the 4194304 bytes that are read",
            no_version,
            directory
        ]
    );
    // Without a version anywhere, it is unknown.
    let path = "src/urllib3.egg-info/PKG-INFO";
    assert_eq!(
        shown(path, b"Name: urllib3\n"),
        [no_version, "urllib3  Headers"]
    );
    assert_eq!(
        shown(path, b"Version: 1.26.4\n"),
        [no_name, "urllib3 1.26.4 DirectoryName"]
    );
    assert_eq!(
        shown(path, b""),
        [no_name, no_version, "urllib3  DirectoryName"]
    );
    // Without a name anywhere, the fault says so.
    assert_eq!(
        shown("egg-info/x\u{1b}.egg-info", b""),
        [no_name, no_version]
    );
}

#[test]
fn copies_in_other_distributions_are_marked() {
    let headers = b"Name: urllib3\nVersion: 1.26.4\n";
    let name = "urllib3-1.26.4.dist-info/METADATA";
    for (directory, is_copy) in [
        ("usr/lib/python3/site-packages", false),
        ("usr/lib/python3/dist-packages", false),
        ("vendor/lib/site-packages", false),
        ("app", false),
        ("usr/lib/python3/site-packages/setuptools/_vendor", true),
        ("usr/lib/python3/site-packages/other/inside", true),
        ("app/_vendor", true),
        ("app/vendored/lib", true),
    ] {
        let expected = format!(
            "urllib3 1.26.4 Headers{}",
            if is_copy { " vendored" } else { "" }
        );
        assert_eq!(
            shown(&format!("{directory}/{name}"), headers),
            [expected],
            "{directory}"
        );
    }
}

#[test]
fn a_wheel_that_is_not_installed_is_marked() {
    let is_marked = |path: &str| {
        let mut marked = Vec::new();
        let mut add = |fact| match fact {
            Fact::Python(of) => marked.push((of.path_in_archive, of.vendored)),
            other => panic!("{other:?}"),
        };
        let headers = b"Name: a\nVersion: 1\n";
        read_bytes(path.as_bytes(), &format!("b!/{path}"), headers, &mut add);
        marked
    };
    for (path, is_wheel) in [
        ("a-1.dist-info/METADATA", true),
        ("EGG-INFO/PKG-INFO", false),
    ] {
        assert_eq!(is_marked(path), [(format!("b!/{path}"), is_wheel)]);
    }
}

#[test]
fn lists_of_copies_are_read() {
    let list = b"# of pip\nCacheControl==0.14.0\nrequests==2.31.0\n    urllib3[brotli]==1.26.4  # old\nmsgpack>=1\nresolvelib==1.0.1 --hash=sha256:0\nx==\x1b\n";
    assert_eq!(
        shown("lib/site-packages/pip/_vendor/vendor.txt", list),
        [
            "cachecontrol 0.14.0 VendorList vendored",
            "requests 2.31.0 VendorList vendored",
            "urllib3 1.26.4 VendorList vendored",
            "resolvelib 1.0.1 VendorList vendored",
        ]
    );
}

#[test]
fn the_files_of_a_distribution_are_those_of_its_lists() {
    let paths = |path: &str, bytes: &[u8]| match facts(path, bytes).as_slice() {
        [Fact::Python(of)] => {
            assert_eq!((of.name.as_str(), of.version.as_str()), ("foo-bar", "1.0"));
            assert_eq!(of.source, Source::FileList);
            let paths = of.files.iter().map(String::from_utf8_lossy);
            paths.map(String::from).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        paths(
            "usr/lib/site-packages/foo_bar-1.0.dist-info/RECORD",
            b"foo/__init__.py,sha256=x,12\r\n\"foo/a \"\"b\"\", c.so\",,\n../../bin/foo,,\n/etc/foo,,\n"
        ),
        ["foo/__init__.py", "foo/a \"b\", c.so", "../../bin/foo", "../../../etc/foo"]
    );
    assert_eq!(
        paths(
            "site-packages/foo_bar-1.0-py3.egg-info/installed-files.txt",
            b"../foo/__init__.py\nPKG-INFO\n../../../bin/foo\n"
        ),
        [
            "foo/__init__.py",
            "foo_bar-1.0-py3.egg-info/PKG-INFO",
            "../../bin/foo"
        ]
    );
    assert_eq!(
        shown("site-packages/foo.dist-info/RECORD", b"foo.py,,\n"),
        ["Python metadata: the name of its directory has no name and version"]
    );
}

#[test]
fn links_to_metadata_give_it_a_meaning() {
    for link in [
        "site-packages/urllib3-1.26.4.dist-info",
        "site-packages/urllib3.EGG-INFO",
        "site-packages/urllib3.egg/EGG-INFO",
        "site-packages/pip/_vendor",
        "site-packages/urllib3-1.26.4.dist-info/METADATA",
    ] {
        assert!(gives_meaning(link.as_bytes()), "{link}");
    }
    for link in ["site-packages", "site-packages/urllib3", "METADATA"] {
        assert!(!gives_meaning(link.as_bytes()), "{link}");
    }
}

#[test]
fn what_a_list_takes_is_bounded() {
    let depth = "a/".repeat(1000);
    let path = format!("{depth}foo-1.0.dist-info/RECORD");
    let list = b"/a\n".repeat(10_000);
    let [fault, distribution] = facts(&path, &list).try_into().unwrap();
    let cause = "its files have longer paths than are read".to_owned();
    let what = WHAT.to_owned();
    assert_eq!(fault, Fact::NotRead { what, cause });
    match distribution {
        Fact::Python(of) => {
            assert!((FILES_LIMIT..FILES_LIMIT + PATH_LIMIT).contains(&of.files.size()));
        }
        other => panic!("{other:?}"),
    }
    let copies = b"a==1\n".repeat(COPIES_LIMIT + 1);
    let shown = shown("pip/_vendor/vendor.txt", &copies);
    assert_eq!(shown.len(), COPIES_LIMIT + 1);
    assert_eq!(
        shown[0],
        "Python metadata: it lists more than the 1000 copies that are read"
    );
}

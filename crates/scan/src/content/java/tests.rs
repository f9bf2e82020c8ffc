//! What archives of Java identify, also if somebody wants them not to.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect is a panic"
)]

use super::made::{Made, Written, end};
use super::*;
use proptest::prelude::*;

/// Each artifact, archive without artifacts, other package and fault on a line.
fn shown(path: &str, bytes: &[u8]) -> Vec<String> {
    let mut shown = Vec::new();
    let mut add = |fact| match fact {
        Fact::Java(archive) if archive.artifacts.is_empty() => {
            shown.push(format!("[{}] nothing", archive.path));
        }
        Fact::Java(archive) => shown.extend(archive.artifacts.iter().map(|of| {
            format!(
                "[{}] {}:{} {} {:?}",
                archive.path,
                of.group.as_deref().unwrap_or("*"),
                of.artifact,
                of.version,
                of.source
            )
        })),
        Fact::Python(of) => shown.push(format!(
            "[{}] {} {}",
            of.path_in_archive, of.name, of.version
        )),
        Fact::Npm(of) => shown.push(format!(
            "[{}] {} {}",
            of.path_in_archive, of.name, of.version
        )),
        Fact::Packed(of) => shown.push(format!("[{}] packed", of.path)),
        Fact::NotRead { what, cause } => shown.push(format!("{what}: {cause}")),
        other => panic!("{other:?}"),
    };
    read(path.as_bytes(), &mut Cursor::new(bytes), &mut add);
    shown
}

const POM: &[u8] = b"version=2.14.1\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\n";
const POM_PATH: &str = "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties";
const POM_XML: &str = "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.xml";
const MANIFEST: &[u8] =
    b"Bundle-SymbolicName: org.apache.logging.log4j.core\r\nBundle-Version: 2.14.1\r\n";
const FOUND: &str = "org.apache.logging.log4j:log4j-core 2.14.1 PomProperties";

/// A jar as Maven makes it.
fn log4j() -> Vec<u8> {
    Made::new()
        .deflated("META-INF/MANIFEST.MF", MANIFEST)
        .deflated("org/apache/logging/log4j/core/A.class", b"\xca\xfe\xba\xbe")
        .stored(POM_XML, b"<project/>")
        .deflated(POM_PATH, POM)
        .end()
}

#[test]
fn a_jar_is_identified_whatever_it_is_called() {
    let jar = log4j();
    for path in [
        "app/log4j-core-2.14.1.jar",
        "app/log4j-core.jar",
        "app/x.JAR",
        "app/innocuous.png",
        "app/x",
        "app/innocuous-9.0",
    ] {
        assert_eq!(
            interest(path.as_bytes().into(), 999, &jar[..40]),
            Interest::Seek
        );
        let found = shown(path, &jar);
        assert!(found.contains(&format!("[] {FOUND}")), "{path}");
    }
    assert_eq!(
        shown("app/log4j-core-2.14.1.jar", &jar),
        [format!("[] {FOUND}")]
    );
    // A name that says something else counts as well.
    assert_eq!(
        shown("app/log4j-core-2.17.1.jar", &jar),
        [
            "[] *:log4j-core 2.17.1 FileName".to_owned(),
            format!("[] {FOUND}")
        ]
    );
    let script = [&b"#!/bin/sh\n"[..], &[b'\n'; 1024]].concat();
    assert_eq!(
        interest(b"app/run".as_slice().into(), 9999, &script[..512]),
        Interest::Seek
    );
    assert_eq!(
        interest(b"app/run".as_slice().into(), 97, b"#!/bin/sh"),
        Interest::None
    );
    let script = Made::after(&script).deflated(POM_PATH, POM).end();
    assert_eq!(shown("app/run", &script), [format!("[] {FOUND}")]);
}

#[test]
fn a_jar_after_what_starts_it_is_identified() {
    for (prefix, is_executable, expected) in [
        (&b"\x7fELF\x02\x01\x01 a program"[..], false, Interest::Seek),
        (b"MZ\x90 a program", true, Interest::Seek),
        (b"text", true, Interest::Seek),
        // Nothing starts it, and its name does not say that it is one: its end does.
        (b"text", false, Interest::Tail),
    ] {
        let jar = Made::after(prefix).deflated(POM_PATH, POM).end();
        let of = ReadAs {
            path: b"app/run",
            is_executable,
        };
        let mut facts = Vec::new();
        super::super::read(of, &mut Cursor::new(&jar), &mut |fact| facts.push(fact));
        let found = facts.iter().any(|fact| match fact {
            Fact::Java(archive) => archive.artifacts.len() == 1,
            _ => false,
        });
        assert!(found, "{}", prefix.escape_ascii());
        let interest = super::super::interest(of, jar.len() as u64, &jar[..40]);
        assert_eq!(interest, expected);
        assert!(can_end(&jar));
    }
}

#[test]
fn the_end_of_a_file_tells_whether_it_can_have_an_archive() {
    let tail = usize::try_from(TAIL).unwrap();
    let jar = |prefix: &[u8]| Made::after(prefix).deflated(POM_PATH, POM);
    let far = vec![b'x'; tail];
    let comment = vec![b'c'; 0xffff];
    let followed = |by: &[u8]| [&jar(b"text").end(), by].concat();
    for (name, bytes, expected) in [
        ("an archive", jar(b"text").end(), true),
        ("of zip64", jar(b"text").end_of_zip64(), true),
        ("far behind", jar(&far).end(), true),
        (
            "with the longest comment",
            jar(&far).end_with(&comment),
            true,
        ),
        ("that bytes follow", followed(&[0; 1000]), true),
        (
            "behind which a second end is",
            followed(&end(1, 46, 0, b"")),
            true,
        ),
        ("that too many bytes follow", followed(&far), false),
        ("text", far.clone(), false),
        (
            "an end that states another comment",
            [&far[..], &end(1, 46, 0, b""), b"x"].concat(),
            false,
        ),
        ("a signature alone", b"PK\x05\x06".to_vec(), false),
        ("no bytes", Vec::new(), false),
        // No more places are tried.
        (
            "many places",
            [&end(1, 46, 0, b"x").repeat(300)[..], b"x"].concat(),
            true,
        ),
    ] {
        assert_eq!(can_end(&bytes), expected, "{name}");
        let last = &bytes[bytes.len().saturating_sub(tail)..];
        assert_eq!(can_end(last), expected, "the last bytes of {name}");
    }
    // The directory can be in front of what is looked at.
    let long = end(1, u32::try_from(tail).unwrap(), 0, b"");
    let cut = [&far[..1000], &long, b"x"].concat();
    assert!(can_end(&cut));
}

#[test]
fn a_program_in_an_archive_that_names_no_package_is_listed() {
    let program = b"\x7fELF\x02\x01\x01";
    let packed = Made::new().deflated("tool", program).end();
    assert_eq!(shown("app/a.zip", &packed), ["[] packed"]);
    let jar = Made::new()
        .deflated(POM_PATH, POM)
        .deflated("linux/native.so", program)
        .end();
    assert_eq!(shown("app/a.jar", &jar), [format!("[] {FOUND}")]);
    // The program is of the archive that it is in.
    let both = Made::new().stored("a.jar", &jar).stored("b.zip", &packed);
    assert_eq!(
        shown("app/c.zip", &both.end()),
        [format!("[a.jar] {FOUND}"), "[b.zip] packed".to_owned()]
    );
    let wheel = Made::new()
        .deflated("x/x.so", program)
        .deflated(
            "x-1.0.dist-info/METADATA",
            b"Metadata-Version: 2.1\nName: x\nVersion: 1.0\n",
        )
        .end();
    assert_eq!(
        shown("app/x-1.0-py3-none-any.whl", &wheel),
        ["[x-1.0.dist-info/METADATA] x 1.0"]
    );
    let stripped = Made::new()
        .deflated("tool", program)
        .deflated("A.class", b"");
    assert_eq!(shown("app/a", &stripped.end()), ["[] nothing"]);
    let text = Made::new().deflated("tool", b"text").end();
    assert_eq!(shown("app/a.zip", &text), [""; 0]);
}

#[test]
fn a_jar_whose_properties_were_removed_is_guessed() {
    let manifest = Made::new().deflated("META-INF/MANIFEST.MF", MANIFEST);
    assert_eq!(
        shown("x.jar", &manifest.clone().end()),
        ["[] *:log4j-core 2.14.1 Manifest", "[] *:x 2.14.1 Manifest"]
    );
    assert_eq!(
        shown("innocuous-2.14.1.jar", &manifest.clone().end()),
        [
            "[] *:innocuous 2.14.1 FileName",
            "[] *:log4j-core 2.14.1 Manifest"
        ]
    );
    let path = "log4j-core-2.14.1.jar";
    let found = "[] *:log4j-core 2.14.1 FileName";
    assert_eq!(shown(path, &manifest.clone().end()), [found]);
    let classes = Made::new().stored("A.class", b"");
    assert_eq!(shown(path, &classes.clone().end()), [found]);
    // Its project still names the group.
    let project = manifest.stored(POM_XML, b"<project/>");
    assert_eq!(
        shown("x.jar", &project.end()),
        ["[] org.apache.logging.log4j:log4j-core 2.14.1 PomPath"]
    );
    // Nothing identifies it, and it is listed.
    assert_eq!(shown("x.jar", &classes.clone().end()), ["[] nothing"]);
    assert_eq!(shown("x", &classes.end()), ["[] nothing"]);
}

#[test]
fn each_artifact_of_a_shaded_jar_counts() {
    let shaded = Made::new()
        .deflated(
            "META-INF/maven/org.a/app/pom.properties",
            b"version=1.0\ngroupId=org.a\nartifactId=app",
        )
        .deflated(POM_PATH, POM)
        .deflated(
            "META-INF/maven/org.b/c/pom.properties",
            b"version=2\ngroupId=org.b\nartifactId=c",
        )
        .end();
    assert_eq!(
        shown("app-1.0.jar", &shaded),
        [
            "[] org.a:app 1.0 PomProperties".to_owned(),
            format!("[] {FOUND}"),
            "[] org.b:c 2 PomProperties".to_owned()
        ]
    );
}

#[test]
fn each_statement_of_properties_counts() {
    let forged = Made::new()
        .stored(
            POM_PATH,
            b"groupId=org.a\nartifactId=b\nversion=9\nversion=2.14.1\n",
        )
        .end();
    assert_eq!(
        shown("x.jar", &forged),
        [
            "[] org.a:b 2.14.1 PomProperties",
            "[] org.a:b 9 PomProperties",
            "[] org.apache.logging.log4j:log4j-core 2.14.1 PomProperties",
            "[] org.apache.logging.log4j:log4j-core 9 PomProperties",
        ]
    );
    let hostile = Made::new()
        .stored(
            POM_PATH,
            b"groupId=\\u001b[2J\nversion=${project.version}\n",
        )
        .end();
    assert_eq!(
        shown("x.jar", &hostile),
        [
            format!(r#"Java archive: "{POM_PATH}": its name is "\u{{1b}}[2J""#),
            format!(r#"Java archive: "{POM_PATH}": its version is "${{project.version}}""#),
            format!(r#"Java archive: "{POM_PATH}": it has no version"#),
            "[] org.apache.logging.log4j:log4j-core  PomProperties".to_owned()
        ]
    );
}

#[test]
fn archives_in_archives_are_read_whatever_they_are_called() {
    let jar = log4j();
    let boot = Made::after(b"#!/bin/sh\n")
        .deflated("META-INF/MANIFEST.MF", b"Main-Class: a.B\n")
        .deflated("BOOT-INF/classes/a/B.class", b"")
        .stored("BOOT-INF/lib/log4j-core-2.14.1.jar", &jar)
        .end();
    let inner = format!("BOOT-INF/lib/log4j-core-2.14.1.jar] {FOUND}");
    assert_eq!(
        shown("app.jar", &boot),
        [format!("[{inner}"), "[] nothing".to_owned()]
    );
    let ear = Made::new().deflated("web.war", &boot).end();
    let outer = Made::new()
        .deflated("docs/readme.txt", &ear)
        .stored("a.txt", b"a")
        .end();
    assert_eq!(
        shown("backup.dat", &outer),
        [
            format!("[docs/readme.txt!/web.war!/{inner}"),
            "[docs/readme.txt!/web.war] nothing".to_owned(),
        ]
    );
}

#[test]
fn archives_are_read_down_to_a_limit() {
    let nested = |levels: usize| {
        (0..levels).fold(log4j(), |jar, level| {
            Made::new().deflated(&format!("{level}.zip"), &jar).end()
        })
    };
    assert_eq!(
        shown("x.zip", &nested(DEPTH_LIMIT)),
        [format!("[3.zip!/2.zip!/1.zip!/0.zip] {FOUND}")]
    );
    assert_eq!(
        shown("x.zip", &nested(DEPTH_LIMIT + 1)),
        [
            r#"Java archive: "4.zip!/3.zip!/2.zip!/1.zip!/0.zip": it is more than 4 archives deep in the file"#
        ]
    );
}

/// What is said within other limits: faults, and the number of artifacts of each archive.
fn within(limits: impl FnOnce(&mut Reader<'_>), bytes: &[u8]) -> Vec<String> {
    let mut shown = Vec::new();
    let mut add = |fact| match fact {
        Fact::NotRead { cause, .. } => shown.push(cause),
        Fact::Java(of) => shown.push(format!("{:?} has {}", of.path, of.artifacts.len())),
        Fact::Npm(of) => shown.push(format!("{} {}", of.name, of.version)),
        other => panic!("{other:?}"),
    };
    let mut reader = Reader {
        facts: Facts::of(WHAT, &mut add),
        entries: ENTRIES_LIMIT,
        packages: PACKAGES_LIMIT,
        text: TEXT_LIMIT,
        is_cut: false,
        inflated: INFLATED_LIMIT,
        memory: MEMORY_LIMIT,
        inflate: Decompress::new(false),
    };
    limits(&mut reader);
    let mut content = Cursor::new(bytes);
    reader.archive(&mut Part::all(&mut content).unwrap(), b"x.zip", "", 0);
    reader.end();
    shown
}

#[test]
fn a_large_archive_in_an_archive_is_a_fault_and_hides_no_other() {
    let jar = log4j();
    let large = Made::new()
        .stored("b.jar", &jar)
        .stored("c", &[0; 9000])
        .end();
    let bomb = Made::new()
        .deflated("bomb.jar", &large)
        .deflated("a.jar", &jar)
        .stored("stored.jar", &large)
        .end();
    assert_eq!(
        within(|reader| reader.memory = 8000, &bomb),
        [
            r#""bomb.jar": it is larger than what is read of such an entry"#,
            r#""a.jar" has 1"#,
            // Nothing of it is in memory.
            r#""stored.jar!/b.jar" has 1"#,
            r#""stored.jar" has 0"#,
        ]
    );
    // Memory counts only as long as it is used.
    let two = Made::new()
        .deflated("a.jar", &jar)
        .deflated("b.jar", &jar)
        .end();
    let enough = u64::try_from(jar.len() + 10).unwrap();
    assert_eq!(
        within(|reader| reader.memory = enough, &two),
        [r#""a.jar" has 1"#, r#""b.jar" has 1"#]
    );
    let nested = Made::new().deflated("c.jar", &two).end();
    let [fault, second, outer] = within(
        |reader| reader.memory = enough + two.len() as u64 - 20,
        &nested,
    )
    .try_into()
    .unwrap();
    assert_eq!(
        fault,
        r#""c.jar!/a.jar": it is larger than what is read of such an entry"#
    );
    assert!(
        second.starts_with(r#""c.jar!/b.jar": it is larger"#),
        "{second}"
    );
    assert_eq!(outer, r#""c.jar" has 0"#);
}

#[test]
fn what_is_read_of_a_file_is_bounded() {
    let properties = "META-INF/maven/org.b/c/pom.properties";
    let many = Made::new()
        .deflated(POM_PATH, POM)
        .deflated(properties, &[b'#'; 500])
        .deflated("c", b"")
        .deflated("d", b"")
        .end();
    let limits = |reader: &mut Reader<'_>| {
        reader.entries = 3;
        reader.packages = 2;
        reader.inflated = 200;
    };
    assert_eq!(
        within(limits, &many),
        [
            format!("\"{properties}\": it has no version"),
            format!("\"{properties}\": more than 2 GiB of the file would be inflated"),
            "it has more than the 1000000 entries that are read".to_owned(),
            "\"\" has 1".to_owned(),
            "it has more than the 100000 packages, with 32 MiB of names, versions and paths, that are read".to_owned(),
        ]
    );
    let text = |reader: &mut Reader<'_>| reader.text = 44;
    assert_eq!(
        within(text, &many),
        [
            format!("\"{properties}\": it has no version"),
            "\"\" has 1".to_owned(),
            "it has more than the 100000 packages, with 32 MiB of names, versions and paths, that are read".to_owned(),
        ]
    );
    // Archives that take no memory are opened up to a limit as well.
    let inner = Made::new().stored("A.class", b"").end();
    let stored = Made::new()
        .stored("a.jar", &inner)
        .stored("b.jar", &inner)
        .end();
    assert_eq!(
        within(|reader| reader.inflated = 100_000, &stored),
        [
            "\"a.jar\" has 0",
            "\"b.jar\": more than 2 GiB of the file would be inflated"
        ]
    );
    // So are packages of other ecosystems.
    let npm = Made::new()
        .stored("node_modules/a/package.json", b"{}")
        .stored("node_modules/b/package.json", b"{}")
        .end();
    assert_eq!(
        within(|reader| reader.packages = 1, &npm),
        [
            "a ",
            "it has more than the 100000 packages, with 32 MiB of names, versions and paths, that are read"
        ]
    );
}

#[test]
fn other_files_are_no_archives() {
    assert_eq!(shown("a.zip", b"PK\x03\x04 no end"), [""; 0]);
    assert_eq!(
        shown("a.zip", &Made::new().stored("a.txt", b"text").end()),
        [""; 0]
    );
    assert_eq!(shown("run", &[b'#'; 2000]), [""; 0]);
    assert_eq!(
        shown("a.jar", b"text"),
        [
            "Java archive: it is no archive: it has no directory at its end",
            "[] nothing"
        ]
    );
    let encrypted = |name: &str| {
        let how = Written {
            flags: 1,
            ..Written::default()
        };
        Made::new().written(name, b"PK\x03\x04", how).end()
    };
    // Nobody can tell what is in it.
    assert_eq!(shown("a.zip", &encrypted("a.txt")), ["[] packed"]);
    assert_eq!(
        shown("a.jar", &encrypted("b.jar")),
        [r#"Java archive: "b.jar": it is encrypted"#, "[] nothing"]
    );
}

#[test]
fn a_damaged_archive_keeps_what_was_read_before() {
    let made = Made::new().deflated(POM_PATH, POM).in_directory(&[0; 60]);
    assert_eq!(
        shown("x.jar", &made.end()),
        [
            "Java archive: its directory has something else than entries".to_owned(),
            format!("[] {FOUND}")
        ]
    );
    let other = Written {
        local_name: Some("innocuous"),
        ..Written::default()
    };
    assert_eq!(
        shown("x.jar", &Made::new().written(POM_PATH, POM, other).end()),
        [
            format!(
                r#"Java archive: "{POM_PATH}": its header before the content has another name"#
            ),
            format!("[] {FOUND}")
        ]
    );
    let hidden = [&log4j()[..], &end(0, 0, 0, b"")].concat();
    assert_eq!(
        shown("x.jar", &hidden),
        [
            "Java archive: its directory is empty, and it has other content",
            "[] nothing"
        ]
    );
}

#[test]
fn packages_of_other_ecosystems_in_archives_are_read() {
    let lodash = br#"{"name": "lodash", "version": "4.17.20"}"#;
    let cache = Made::new()
        .deflated("node_modules/lodash/package.json", lodash)
        .end();
    assert_eq!(
        shown(".yarn/cache/lodash.zip", &cache),
        ["[node_modules/lodash/package.json] lodash 4.17.20"]
    );
    let wheel = "urllib3-1.26.4.dist-info/METADATA";
    let headers = b"Name: urllib3\nVersion: 1.26.4\n";
    let jar = Made::new().deflated(wheel, headers).end();
    assert_eq!(
        shown("a.zip", &Made::new().stored("b.jar", &jar).end()),
        [
            "[b.jar!/urllib3-1.26.4.dist-info/METADATA] urllib3 1.26.4",
            "[b.jar] nothing"
        ]
    );
}

#[test]
fn a_link_with_the_name_of_an_archive_gives_it_a_meaning() {
    assert!(gives_meaning(b"lib/log4j-core-2.14.1.jar"));
    assert!(!gives_meaning(b"lib/log4j-core-2.14.1"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_jar_is_listed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let jar = log4j();
        let mut bytes = Made::new().stored("a.txt", &jar).deflated("b.jar", &jar).end();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let found = shown("x.jar", &bytes);
        prop_assert!(found.iter().any(|line| line.starts_with("[] ")), "{found:?}");
        prop_assert!(found.iter().flat_map(|line| line.chars()).all(|c| !c.is_ascii_control()));
        // What is read of a file that nothing but its end tells of is found by it.
        prop_assert!(can_end(&bytes) || shown("x", &bytes).is_empty());
    }
}

#[test]
fn the_properties_of_an_unpacked_archive_are_read() {
    let path = format!("app/{POM_PATH}");
    assert_eq!(
        interest(path.as_bytes().into(), 99, b"version="),
        Interest::Whole(METADATA_LIMIT)
    );
    assert_eq!(shown(&path, POM), [format!("[] {FOUND}")]);
    assert_eq!(
        shown(&path, b"groupId=g\n"),
        [
            "Java archive: it has no version",
            "[] org.apache.logging.log4j:log4j-core  PomProperties"
        ]
    );
    let long = [POM, &vec![b'#'; METADATA_LIMIT]].concat();
    assert_eq!(
        shown(&path, &long),
        [
            "properties of a Java archive: it has more than the 4194304 bytes that are read",
            &format!("[] {FOUND}")
        ]
    );
    // An archive in its place is read as one too.
    assert!(shown(&path, &log4j()).contains(&format!("[] {FOUND}")));
    assert_eq!(
        interest(
            b"app/META-INF/pom.properties".as_slice().into(),
            99,
            b"version="
        ),
        Interest::Tail
    );
}

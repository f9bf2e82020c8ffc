//! What properties, manifests and file names state.

use super::*;

#[test]
fn properties_are_read_as_java_reads_them() {
    for text in [
        "groupId=org.a\nartifactId=b\nversion=1.0\n",
        "#version=2\r\n!version=3\r\n\r\ngroupId = org.a\r\n artifactId:b\r\nversion 1.0",
        "groupId=org.\\\n   a\nartifactId=\\u0062\nversion\\\n=1.0",
        "gro\\u0075pId=org.a\nartifactId:=b\\\nversion==1.0",
    ] {
        let properties = Properties::of(text.as_bytes());
        let of = |values: &Values| values.iter().collect::<Vec<_>>().join(" ");
        let stated = [
            of(&properties.groups),
            of(&properties.artifacts),
            of(&properties.versions),
        ];
        let expected = match text {
            // The value begins after the first sign, and goes on in the next line.
            _ if text.contains("==") => ["org.a", "=bversion==1.0", ""],
            _ => ["org.a", "b", "1.0"],
        };
        assert_eq!(stated, expected, "{text:?}");
    }
    let twice = Properties::of(b"version=2\nversion=1\nversion=2");
    assert_eq!(twice.versions.iter().collect::<Vec<_>>(), ["2", "1"]);
}

#[test]
fn paths_of_maven_are_found_wherever_they_are() {
    let of = |path: &'static str| of_maven_path(path.as_bytes(), b"pom.properties");
    let expected = Some((&b"org.a"[..], &b"b"[..]));
    assert_eq!(of("META-INF/maven/org.a/b/pom.properties"), expected);
    assert_eq!(
        of("WEB-INF/classes/meta-inf/maven/org.a/b/pom.properties"),
        expected
    );
    assert_eq!(of("META-INF/maven/b/pom.properties"), None);
    assert_eq!(of("META-INF/maven/org.a/b/pom.xml"), None);
    assert_eq!(of("META-INF/other/org.a/b/pom.properties"), None);
}

#[test]
fn the_file_name_has_the_artifact_and_the_version() {
    let of = |stem: &str| of_file_name(stem).map(|(a, v)| format!("{a} {v}"));
    for (stem, expected) in [
        ("log4j-core-2.14.1", "log4j-core 2.14.1"),
        ("log4j-1.2-api-2.14.1", "log4j-1.2-api 2.14.1"),
        ("guava-31.0.1-jre", "guava 31.0.1-jre"),
        ("guava-r09-31-1-android", "guava-r09 31-1-android"),
        ("spring-core-5.3.1.RELEASE", "spring-core 5.3.1.RELEASE"),
        ("a-1.0-SNAPSHOT", "a 1.0-SNAPSHOT"),
        ("a-1.0-20110101.1-3", "a 1.0-20110101.1-3"),
        ("a-1.0-rc.1", "a 1.0-rc.1"),
        ("netty-4.1.50.Final-linux-x86_64", "netty 4.1.50.Final"),
        ("a-1.0-shaded", "a 1.0"),
    ] {
        assert_eq!(of(stem).as_deref(), Some(expected), "{stem}");
    }
    for stem in [
        "app",
        "log4j-core",
        "-1.0",
        "a-b-",
        "a b-1.0",
        "a\u{1b}-1.0",
        "",
    ] {
        assert_eq!(of(stem), None, "{stem:?}");
    }
}

#[test]
fn a_manifest_states_names_that_artifacts_can_have() {
    let manifest = Manifest::of(
        b"Manifest-Version: 1.0\r\nImplementation-Title: Apache Log4j Core\r\nBundle-SymbolicName: org.apache.logging.lo\r\n g4j.core;singleton:=true\r\nImplementation-Version: 2.1\r\n 4.1\r\nbundle-version: 2.14.1.v1\r\n\r\nName: x\r\nImplementation-Version: 9\r\n",
    );
    assert_eq!(manifest.artifacts(), ["log4j-core"]);
    assert_eq!(manifest.version().as_deref(), Some("2.14.1"));
    let manifest = Manifest::of(
        b"Implementation-Title: commons-text\nAutomatic-Module-Name: org.apache.commons-text\nBundle-Version: 1.9.0\nImplementation-Version: ${x}",
    );
    assert_eq!(manifest.artifacts(), ["commons-text"]);
    assert_eq!(manifest.version().as_deref(), Some("1.9.0"));
    let hostile = Manifest::of(b"Implementation-Title: a\x1b\nImplementation-Version: 1\x1b\n");
    assert_eq!(hostile.artifacts(), [""; 0]);
    assert_eq!(hostile.version(), None);
}

#[test]
fn an_extension_of_archives_is_not_part_of_the_name() {
    assert_eq!(stem(b"lib/log4j-core-2.14.1.jar"), "log4j-core-2.14.1");
    assert_eq!(stem(b"a.WAR"), "a");
    assert_eq!(stem(b"lib/log4j-core-2.14.1"), "log4j-core-2.14.1");
}

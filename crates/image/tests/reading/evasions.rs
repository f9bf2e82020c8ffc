//! Images that hide a package, as layers that are read: the package counts, or what hides it is listed.
//!
//! Here: what the inventory makes of real layers. Not here: each case of the inventory (`bailiff_scan::inventory`).

use super::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const STATUS: &str = "var/lib/dpkg/status";
const LIBRARY: &str = "usr/lib/libssl.so.3";
const LIST: &[u8] = b"/.\n/usr/lib\n/usr/lib/libssl.so.3\n";

/// Stanzas of dpkg: names and versions.
fn stanzas(packages: &[(&str, &str)]) -> String {
    let stanza = |(name, version): &(&str, &str)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
        )
    };
    packages.iter().map(stanza).collect()
}

const BASE: (&str, &str) = ("base-files", "12.4+deb12u5");
const SSL: (&str, &str) = ("libssl3", "3.0.9-1");

/// An ELF file that is loaded with this data.
fn elf(data: &[u8]) -> Vec<u8> {
    let size = u64::try_from(data.len()).unwrap();
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    // A shared object for x86-64.
    bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0_u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0, 0, 0, 0]);
    for half in [64_u16, 56, 1, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    // One segment: LOAD, read and write.
    bytes.extend([1, 0, 0, 0, 6, 0, 0, 0]);
    for word in [128_u64, 0x40_0080, 0, size, size, 16] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.resize(128, 0);
    bytes.extend(data);
    bytes
}

/// A binary of Go with a module.
fn go() -> Vec<u8> {
    let modules =
        "path\texample.com/app\nmod\texample.com/app\tv1.0.0\ndep\tgolang.org/x/net\tv0.1.0\n";
    let framed = [&[1; 16], modules.as_bytes(), &[2; 16]].concat();
    let mut data = b"\xff Go buildinf:\x08\x02".to_vec();
    data.resize(32, 0);
    for text in ["go1.20.1".as_bytes(), &framed] {
        let length = text.len();
        if length >= 128 {
            data.extend([
                u8::try_from(length % 128).unwrap() | 128,
                u8::try_from(length / 128).unwrap(),
            ]);
        } else {
            data.push(u8::try_from(length).unwrap());
        }
        data.extend(text);
    }
    elf(&data)
}

/// A jar of these entries.
fn jar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut jar = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in entries {
        jar.start_file(*path, SimpleFileOptions::default()).unwrap();
        jar.write_all(content).unwrap();
    }
    jar.finish().unwrap().into_inner()
}

/// A Debian image without its database.
fn without_database() -> Archive {
    Archive::new()
        .file("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\n")
        .file("etc/debian_version", b"12.5\n")
        .file("var/lib/dpkg/info/libssl3:amd64.list", LIST)
        .file(LIBRARY, &elf(b"libssl"))
}

fn debian() -> Archive {
    without_database().file(STATUS, stanzas(&[BASE, SSL]).as_bytes())
}

fn found(layers: Vec<Archive>) -> Vec<String> {
    let layers: Vec<_> = layers.into_iter().map(Archive::layer).collect();
    packages(&layers)
}

const FOUND: [&str; 2] = [
    "Debian:12 base-files 12.4+deb12u5 at var/lib/dpkg/status from 0",
    "Debian:12 libssl3 3.0.9-1 at var/lib/dpkg/status from 0",
];
const BASE_REMOVED: &str =
    "Debian:12 base-files 12.4+deb12u5 at var/lib/dpkg/status from 0 NotInDatabase";
const SSL_REMOVED: &str = "Debian:12 libssl3 3.0.9-1 at var/lib/dpkg/status from 0 NotInDatabase";

#[test]
fn an_image_that_hides_nothing_is_covered() {
    assert_eq!(found(vec![debian()]), FOUND);
}

#[test]
fn a_database_that_the_last_layer_deletes_keeps_its_packages() {
    let last = Archive::new().delete("var/lib/dpkg");
    assert_eq!(
        found(vec![debian(), last]),
        [
            BASE_REMOVED,
            SSL_REMOVED,
            "deleted dpkg after 0",
            "removed base-files after 0",
            "removed libssl3 after 0",
        ]
    );
}

#[test]
fn a_stanza_that_is_deleted_keeps_its_package_while_its_library_stays() {
    let last = Archive::new()
        .file(STATUS, stanzas(&[BASE]).as_bytes())
        .delete("var/lib/dpkg/info/libssl3:amd64.list");
    assert_eq!(
        found(vec![debian(), last]),
        [FOUND[0], SSL_REMOVED, "removed libssl3 after 0"]
    );
}

#[test]
fn a_forged_owner_identifies_no_file() {
    // One that is not installed, and one that owns what it did not install: the module counts in spite of it.
    let not_installed = debian()
        .file("var/lib/dpkg/info/forged.list", b"/opt/app\n")
        .file("opt/app", &elf(b"app"));
    assert_eq!(
        found(vec![not_installed]),
        [
            FOUND[0],
            FOUND[1],
            "unidentified opt/app",
            "list without package var/lib/dpkg/info/forged.list"
        ]
    );
    let installed = debian()
        .file("var/lib/dpkg/info/base-files.list", b"/opt/app\n")
        .file("opt/app", &go());
    assert_eq!(
        found(vec![installed]),
        [
            FOUND[0],
            FOUND[1],
            "Go stdlib go1.20.1 of base-files at opt/app from 0",
            "Go example.com/app v1.0.0 of base-files at opt/app from 0",
            "Go golang.org/x/net v0.1.0 of base-files at opt/app from 0",
        ]
    );
}

#[test]
fn a_forged_release_does_not_replace_the_others() {
    let last = Archive::new().file("etc/os-release", b"ID=debian\nVERSION_ID=\"13\"\n");
    let lines = found(vec![debian(), last]);
    for release in ["12", "13"] {
        for (name, version) in [BASE, SSL] {
            let expected = format!(
                "Debian:{release} {name} {version} at var/lib/dpkg/status from 0 ReleaseConflict"
            );
            assert!(lines.contains(&expected), "{lines:?}");
        }
    }
    assert_eq!(
        lines.last().map(String::as_str),
        Some("conflict dpkg Debian 13, Debian 12, Debian 12")
    );
}

#[test]
fn a_binary_is_found_whatever_it_is_called() {
    for path in ["opt/app", "opt/README.txt", "usr/share/doc/a.gz", "x/.wh"] {
        assert_eq!(
            found(vec![Archive::new().file(path, &go())]),
            [
                format!("Go stdlib go1.20.1 at {path} from 0"),
                format!("Go example.com/app v1.0.0 at {path} from 0"),
                format!("Go golang.org/x/net v0.1.0 at {path} from 0"),
            ]
        );
    }
}

#[test]
fn a_stripped_jar_is_listed() {
    let whole = jar(&[
        ("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n"),
        (
            "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties",
            b"version=2.14.1\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\n",
        ),
        ("org/apache/A.class", b"\xca\xfe\xba\xbe"),
    ]);
    let stripped = jar(&[("org/apache/A.class", b"\xca\xfe\xba\xbe")]);
    let archive = Archive::of(&[
        ("opt/a.jar", &whole),
        ("opt/b.png", &whole),
        ("opt/c.jar", &stripped),
        ("opt/d.png", &stripped),
        ("opt/log4j-core-2.14.1.jar", &stripped),
    ]);
    assert_eq!(
        found(vec![archive]),
        [
            "Maven org.apache.logging.log4j:log4j-core 2.14.1 at opt/a.jar from 0",
            "Maven org.apache.logging.log4j:log4j-core 2.14.1 at opt/b.png from 0",
            "Maven *:log4j-core 2.14.1 at opt/log4j-core-2.14.1.jar from 0 AnyGroup",
            "unidentified opt/c.jar",
            "unidentified opt/d.png",
        ]
    );
}

#[test]
fn bytes_that_a_package_installed_have_it_in_each_layer() {
    let list = b"/usr/lib/libssl.so.3\n/usr/lib/libssl.so\n";
    let both = || {
        Archive::new()
            .file("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\n")
            .file("var/lib/dpkg/info/libssl3:amd64.list", list)
            .file(LIBRARY, &elf(b"libssl"))
            .hard_link("usr/lib/libssl.so", LIBRARY)
            .file(STATUS, stanzas(&[SSL]).as_bytes())
    };
    let ssl = "Debian:12 libssl3 3.0.9-1 at var/lib/dpkg/status from 0";
    let same = || Archive::new().file(LIBRARY, &elf(b"libssl"));
    for (above, gaps) in [
        (same(), &[][..]),
        (
            Archive::new().file("usr/lib/libssl.so", &elf(b"libssl")),
            &[],
        ),
        (Archive::new().file("opt/a", &elf(b"libssl")), &[]),
        (
            Archive::new().file(LIBRARY, &elf(b"libssL")),
            &["unidentified usr/lib/libssl.so.3"],
        ),
    ] {
        let expected: Vec<&str> = std::iter::once(ssl).chain(gaps.iter().copied()).collect();
        assert_eq!(found(vec![both(), above]), expected);
    }
    // An upgrade, and the old library above it.
    let upgrade = Archive::new()
        .file(STATUS, stanzas(&[("libssl3", "3.0.9-2")]).as_bytes())
        .file(LIBRARY, &elf(b"new"))
        .delete("usr/lib/libssl.so");
    assert_eq!(
        found(vec![both(), upgrade, same()]),
        [
            "Debian:12 libssl3 3.0.9-2 at var/lib/dpkg/status from 1",
            SSL_REMOVED,
            "removed libssl3 after 0",
        ]
    );
}

#[test]
fn a_library_that_is_larger_than_the_memory_for_it_has_its_package() {
    let data = vec![7; 5 << 20];
    let base = debian().file(LIBRARY, &elf(&data));
    let above = Archive::new().file(LIBRARY, &elf(&data));
    assert_eq!(found(vec![base, above]), FOUND);
}

fn gzip(bytes: &[u8], level: flate2::Compression) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_program_in_a_compressed_file_is_listed() {
    let gzip = |bytes: &[u8]| gzip(bytes, flate2::Compression::fast());
    let xz = b"\xfd7zXZ\0";
    let text = vec![b'a'; 100_000];
    let with_program = Archive::of(&[("doc/a", &text), ("bin/a", &go())]);
    let archive = Archive::of(&[
        ("srv/tool.gz", &gzip(&go())),
        ("srv/tools.tar.gz", &gzip(&with_program.bytes())),
        ("srv/tools.zip", &jar(&[("tool", &go())])),
        ("usr/local/bin/tool.xz", xz),
        ("usr/share/doc/a.gz", &gzip(b"text")),
        (
            "usr/share/doc/a.tar.gz",
            &gzip(&Archive::of(&[("doc/a", &text)]).bytes()),
        ),
        ("usr/share/doc/a.xz", xz),
        ("usr/share/doc/a.zip", &jar(&[("a", b"text")])),
    ])
    .executable("srv/tool.zst", b"\x28\xb5\x2f\xfd");
    assert_eq!(
        found(vec![archive]),
        [
            "unidentified srv/tool.gz",
            "unidentified srv/tool.zst",
            "unidentified srv/tools.tar.gz",
            "unidentified srv/tools.zip",
            "unidentified usr/local/bin/tool.xz",
        ]
    );
}

#[test]
fn an_archive_behind_other_bytes_is_read_or_listed() {
    let with_pom = jar(&[(
        "META-INF/maven/a/b/pom.properties",
        b"version=1.0\ngroupId=a\nartifactId=b\n",
    )]);
    let after = |start: &[u8]| [start, &with_pom].concat();
    let start = b"a start that is no script\n";
    let large = vec![b'a'; 5 << 20];
    let stored = gzip(&large, flate2::Compression::none());
    let archive = Archive::of(&[
        ("srv/large", &after(&large)),
        ("srv/large.gz", &after(&stored)),
        ("srv/not-run", &after(start)),
        ("srv/text", &large),
        ("srv/text.gz", &stored),
    ])
    .executable("srv/run", &after(start));
    assert_eq!(
        found(vec![archive]),
        [
            "Maven a:b 1.0 at srv/not-run from 0",
            "Maven a:b 1.0 at srv/run from 0",
            "unidentified srv/large",
            "unidentified srv/large.gz",
        ]
    );
}

#[test]
fn an_archive_at_its_end_hides_nothing_of_a_file_that_a_link_gives_a_meaning() {
    let metadata = b"Metadata-Version: 2.1\nName: x\nVersion: 1.0\n\n";
    let archive = jar(&[("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n")]);
    let layer = Archive::new()
        .file("opt/x", &[&metadata[..], &archive].concat())
        .symlink(
            "usr/lib/python3/site-packages/x-1.0.dist-info/METADATA",
            "/opt/x",
        );
    assert_eq!(
        found(vec![layer]),
        ["PyPI x 1.0 at opt/x from 0", "unidentified opt/x"]
    );
}

#[test]
fn a_database_is_found_through_symbolic_links() {
    let all = stanzas(&[BASE, SSL]);
    let at = |path: &str| FOUND.map(|line| line.replace(STATUS, path));
    let moved = without_database()
        .file("opt/x", all.as_bytes())
        .symlink(STATUS, "../../../opt/x");
    assert_eq!(found(vec![moved]), at("opt/x"));
    let last = Archive::new().delete("var/lib/dpkg").delete("opt/x");
    let moved = without_database()
        .file("opt/x", all.as_bytes())
        .symlink(STATUS, "../../../opt/x");
    assert_eq!(
        found(vec![moved, last]),
        [
            BASE_REMOVED,
            SSL_REMOVED,
            "deleted dpkg after 0",
            "removed base-files after 0",
            "removed libssl3 after 0",
        ]
    );
}

#[test]
fn padding_hides_no_package() {
    let mut status: String = (0..20_000)
        .map(|number| stanzas(&[(&format!("pad{number}"), "1")]))
        .collect();
    status.push_str(&stanzas(&[BASE, SSL]));
    let lines = found(vec![without_database().file(STATUS, status.as_bytes())]);
    assert_eq!(lines.len(), 20_002);
    assert_eq!(lines.get(20_000..).unwrap(), FOUND);
}

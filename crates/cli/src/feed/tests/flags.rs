//! Places of the index, and sources on the command line.

use super::*;

#[test]
fn without_an_index_the_error_names_the_command() {
    let files = Files::new();
    let (result, out, _) = files.scan("--packages - --index {}/none", "pkg:npm/a@1.0.0\n");
    assert_eq!(
        (result.unwrap_err().as_str(), out.as_str()),
        (
            "cannot open the index {}/none: there is no such file; build it with `bailiff feed build --defaults`",
            ""
        )
    );
}

#[test]
fn the_index_is_in_the_directory_for_caches() {
    let path = |cache: &str, home: &str| {
        let of = |text: &str| (!text.is_empty()).then(|| OsString::from(text));
        default_path(of(cache), of(home)).map(|path| path.to_str().unwrap().to_owned())
    };
    assert_eq!(path("/c", "/home/a").as_deref(), Some("/c/bailiff/index"));
    assert_eq!(
        path("", "/home/a").as_deref(),
        Some("/home/a/.cache/bailiff/index")
    );
    assert_eq!(
        path("relative", "/home/a").as_deref(),
        Some("/home/a/.cache/bailiff/index")
    );
    assert_eq!(path("", ""), None);
    let named = |text: &str| named_path(Some(text.into()));
    assert_eq!((named("a"), named("")), (Some("a".into()), None));
    assert_eq!(path("relative", "relative"), None);
}

#[test]
fn a_source_has_a_kind_and_a_place() {
    let files = Files::new();
    for (source, want) in [
        (
            "osv",
            "must be KIND=PLACE, such as osv=PyPI/all.zip; the kinds are osv, alpine-secdb, debian-tracker, debian-list, kev, cve-list, nvd",
        ),
        (
            "nvt=a",
            "\"nvt\" is no kind of source; the kinds are osv, alpine-secdb, debian-tracker, debian-list, kev, cve-list, nvd",
        ),
        ("osv=", "must have a URL, a file or a directory after the ="),
        (
            "osv=http://a.test/all.zip",
            "must be an https URL without a user name",
        ),
        (
            "osv=https://me:secret@a.test/",
            "must be an https URL without a user name",
        ),
        (
            "osv=ftp://a.test/",
            "must be an https URL without a user name",
        ),
    ] {
        let error = files.parse(&format!("build {source}")).unwrap_err();
        let first = error.lines().next().unwrap();
        assert_eq!(
            first,
            format!("error: invalid value '{source}' for '[KIND=PLACE]...': {want}")
        );
    }
    let secret: SourceArg = "osv=https://a.test/all.zip?token=secret".parse().unwrap();
    assert_eq!(secret.to_string(), "osv=https://a.test/all.zip");
    assert!(files.parse("build").unwrap_err().contains("required"));
}

#[test]
fn the_index_is_written_to_a_file() {
    let files = Files::new();
    let error = files.parse("build --defaults --output json").unwrap_err();
    assert_eq!(
        error.lines().next(),
        Some("error: unexpected argument '--output' found")
    );
    for flag in ["-f", "--file"] {
        assert!(files.parse(&format!("build --defaults {flag} a")).is_ok());
        let error = files
            .parse(&format!("build --defaults {flag} -"))
            .unwrap_err();
        assert_eq!(
            error.lines().next(),
            Some(
                "error: invalid value '-' for '--file <FILE>': must be a file, because an index is not written to standard output"
            )
        );
    }
}

#[test]
fn each_ecosystem_has_a_public_source() {
    let sources: Vec<_> = defaults::sources()
        .iter()
        .map(ToString::to_string)
        .collect();
    for name in [
        "Debian",
        "Ubuntu",
        "Alpine",
        "PyPI",
        "npm",
        "Go",
        "crates.io",
        "Maven",
    ] {
        let url = format!("osv=https://osv-vulnerabilities.storage.googleapis.com/{name}/all.zip");
        assert!(sources.contains(&url), "{url}");
    }
    assert!(
        sources
            .iter()
            .any(|source| source.starts_with("kev=https://www.cisa.gov/"))
    );
}

#[test]
fn each_release_of_alpine_with_a_known_end_has_its_public_source() {
    let sources: Vec<_> = defaults::sources()
        .iter()
        .map(ToString::to_string)
        .filter(|source| source.starts_with("alpine-secdb="))
        .collect();
    let is_known = |minor: &u32| {
        let ecosystem = Ecosystem::parse(&format!("Alpine:v3.{minor}")).unwrap();
        support(&ecosystem, NOW[..10].parse().unwrap()) != Support::Unknown
    };
    let wanted: Vec<_> = (10..100)
        .take_while(is_known)
        .flat_map(|minor| {
            ["main", "community"].map(|repository| {
                format!("alpine-secdb=https://secdb.alpinelinux.org/v3.{minor}/{repository}.json")
            })
        })
        .collect();
    assert!(wanted.len() >= 28, "{wanted:?}");
    assert_eq!(sources, wanted);
}

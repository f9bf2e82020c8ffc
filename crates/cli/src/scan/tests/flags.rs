//! Flags and arguments that cannot be used, and what is said about them.

use super::*;

/// What is said about a command line that is invalid. None if it is valid.
fn invalid(flags: &str) -> Option<String> {
    let flags = flags.split_whitespace();
    let line = Line::try_parse_from(["scan"].into_iter().chain(flags));
    line.err().map(|error| {
        let text = error.to_string();
        let (cause, _usage) = text.split_once("\n\n").unwrap();
        cause.to_owned()
    })
}

#[test]
fn something_to_scan_is_required() {
    assert_eq!(
        invalid("").as_deref(),
        Some(
            "error: the following required arguments were not provided:\n  <IMAGE|--packages <FILE>|--schema>"
        )
    );
    assert_eq!(
        invalid("nginx --packages -").as_deref(),
        Some("error: the argument '[IMAGE]' cannot be used with '--packages <FILE>'")
    );
}

#[test]
fn a_flag_without_effect_is_an_error() {
    for (flags, want) in [
        ("--platform linux/arm64", "'--platform <PLATFORM>'"),
        ("--plain-http", "'--plain-http'"),
        ("--no-sandbox", "'--no-sandbox'"),
        ("--registries file", "'--registries <FILE>'"),
        ("--pull-timeout 1h", "'--pull-timeout <DURATION>'"),
    ] {
        let want = format!("error: the argument '--packages <FILE>' cannot be used with {want}");
        assert_eq!(
            invalid(&format!("--packages - {flags}")),
            Some(want),
            "{flags}"
        );
    }
    assert_eq!(
        invalid("nginx --index a --advisories b").as_deref(),
        Some("error: the argument '--index <FILE>' cannot be used with '--advisories <PATH>'")
    );
}

#[test]
fn values_are_the_same_in_upper_and_lower_case() {
    for flags in ["--fail-on HIGH", "--platform ALL", "--platform Linux/ARM64"] {
        assert_eq!(invalid(&format!("nginx {flags}")), None, "{flags}");
    }
}

#[test]
fn what_is_known_is_opened_before_the_image() {
    let files = Files::new();
    for (flags, want) in [
        (
            "--index {}/none",
            "cannot open the index {}/none: there is no such file; build it with `bailiff feed build --defaults`",
        ),
        (
            "--index {}/packages.json",
            "cannot read the index {}/packages.json: it is not an index of advisories; build it again with `bailiff feed build`",
        ),
        (
            "--advisories {}/gone",
            "cannot read advisories of {}/gone: cannot read {}/gone: No such file or directory (os error 2); set --advisories to files of OSV",
        ),
        (
            "--advisories {}/osv --known-exploited {}/gone",
            "cannot read the known exploited vulnerabilities of {}/gone: No such file or directory (os error 2); set --known-exploited to a file that exists",
        ),
    ] {
        let (result, _, _) = files.run(&format!("oci:{{}}/image {flags}"), "");
        assert_eq!(result, Err(want.to_owned()), "{flags}");
    }
    // One of several that cannot be opened leaves the result incomplete.
    let (result, _, _) = files.run("oci:{}/image --advisories {}/osv --advisories {}/gone", "");
    assert_eq!(
        result,
        Err("cannot scan oci:{}/image: cannot read {}/image: No such file or directory (os error 2)".to_owned())
    );
}

#[test]
fn an_image_of_which_nothing_is_read_is_an_error() {
    let files = Files::new();
    std::fs::create_dir(files.path("root")).unwrap();
    let (result, out, _) = files.run("dir:{}/root --advisories {}/osv", "");
    // The program of the tests is none that reads layers, so its answer is invalid.
    let error = result.unwrap_err();
    let want = "cannot scan dir:{}/root: no layer was read: layer 1: the answer of the process that reads the layer is invalid: ";
    assert!(error.starts_with(want) && out.is_empty(), "{error} {out}");
    let image = |layers: &Json| {
        let list = json!([{"Config": "c", "Layers": layers}]).to_string();
        std::fs::create_dir_all(files.path("image")).unwrap();
        files.add("image/manifest.json", list.as_bytes());
        files.add("image/c", b"{}");
        let flags = "docker-archive:{}/image --advisories {}/osv";
        files.run(flags, "").0
    };
    assert_eq!(
        image(&json!(["l"])),
        Err("cannot scan docker-archive:{}/image: no layer was read: layer 1: cannot read l: No such file or directory (os error 2)".to_owned())
    );
    assert_eq!(image(&json!([])), Ok(ScanOutcome::Done));
}

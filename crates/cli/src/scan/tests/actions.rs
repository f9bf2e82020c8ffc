//! What is to be done.

use super::*;

#[test]
fn an_action_is_what_is_true_of_the_findings() {
    let files = Files::new();
    let pro = json!({"package": {"ecosystem": "Ubuntu:Pro:16.04:LTS", "name": "unzip"}, "ranges": [
        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "6.0-20+esm1"}]}]});
    let more = json!({"affected": [pro]});
    let of_ubuntu = record("UBUNTU-CVE-2024-1", &[], ("", ""), &all(), &more);
    files.add("osv/pro.json", of_ubuntu.to_string().as_bytes());
    let list = r#"[
        {"ecosystem": "Ubuntu:16.04:LTS", "name": "unzip", "version": "6.0-20", "source": {"name": "unzip"}},
        {"ecosystem": "Go", "name": "golang.org/x/net", "version": "(devel)"},
        {"ecosystem": "PyPI", "name": "django", "version": "3.2.14"}]"#;
    let scan = |flags: &str| {
        let flags = format!("--packages - --advisories {{}}/osv {flags}");
        files.run(&flags, list).1
    };
    let table = scan("");
    for line in [
        "Ubuntu:16.04:LTS/unzip 6.0-20: Upgrade with Ubuntu Pro\n",
        "Go/golang.org/x/net (devel): Check whether it is affected\n",
        "PyPI/django 3.2.14: No fixed version is known\n",
    ] {
        assert!(table.contains(line), "{table}");
    }
    let json: Json = serde_json::from_str(&scan("-o json")).unwrap();
    let actions = json["actions"].as_array().unwrap().iter();
    let actions: BTreeSet<_> = actions
        .map(|of| {
            (
                of["package"]["name"].as_str().unwrap(),
                of["action"].as_str().unwrap(),
            )
        })
        .collect();
    let want = [
        ("django", "NoFix"),
        ("golang.org/x/net", "Check"),
        ("unzip", "Subscribe"),
    ];
    assert_eq!(actions, BTreeSet::from(want));
    let log = scan("-o sarif");
    assert!(
        log.contains("Upgrade with Ubuntu Pro.") && log.contains("Check whether it is affected."),
        "{log}"
    );
}

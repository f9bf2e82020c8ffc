//! Images of several platforms.

use super::*;
use bailiff_scan::inventory::Located;
use bailiff_scan::result::Target;

/// An image for a platform with these packages of the list that tests use.
fn target(platform: &str, names: &[&str]) -> Target {
    let all: Vec<Json> = serde_json::from_str(PACKAGES).unwrap();
    let packages = names.iter().map(|name| {
        let package = all.iter().find(|package| package["name"] == *name).unwrap();
        Located {
            package: bailiff_scan::package::Package {
                ecosystem: bailiff_scan::ecosystem::Ecosystem::parse(
                    package["ecosystem"].as_str().unwrap(),
                )
                .unwrap(),
                name: name.to_lowercase(),
                version: package["version"].as_str().unwrap().to_owned(),
                source: None,
                path: Some(format!("srv/{name}")),
            },
            architecture: None,
            layer: Some(0),
            marks: Vec::new(),
            owner: None,
        }
    });
    let mut target = Target {
        platform: Some(platform.to_owned()),
        ..Target::default()
    };
    target.inventory.packages = packages.collect();
    target
}

/// What is printed about images.
fn printed(targets: Vec<Target>, flags: &str) -> String {
    let files = Files::new();
    let flags = format!("--packages - --advisories {{}}/osv {flags}");
    let args = Line::try_parse_from(files.arguments("scan", &flags)).unwrap();
    let args = args.scan;
    let now: Timestamp = NOW.parse().unwrap();
    let counting =
        super::super::counting::gather(&args, Offset::UTC.to_datetime(now).date()).unwrap();
    let opened = advisories::open(&args).unwrap();
    let knowledge = advisories::gather(&args, &opened, &targets, now).unwrap();
    let report = Report {
        from: "web".to_owned(),
        images: None,
        result: result::scan(targets, knowledge, counting, result::Unread::default()),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let destinations = Destinations::open(&args).unwrap();
    output::write(&args, &report, destinations, &mut out, &mut err).unwrap();
    assert_eq!(files.printed(err), "");
    files.printed(out)
}

fn several() -> Vec<Target> {
    vec![
        target("linux/amd64", &["Django", "golang.org/x/net"]),
        target("linux/arm64", &["golang.org/x/net", "stdlib", "fine"]),
        target("linux/s390x", &["fine"]),
    ]
}

#[test]
fn each_platform_has_a_table_and_all_have_their_findings_once() {
    assert_eq!(printed(several(), ""), include_str!("platforms.txt"));
}

#[test]
fn one_platform_has_no_heading() {
    let twice = || target("linux/amd64", &["fine"]);
    let text = printed(vec![twice(), twice()], "");
    assert!(text.starts_with("No findings in 1 package.\n"), "{text}");
}

#[test]
fn programs_get_one_result_about_all_platforms() {
    let json: Json = serde_json::from_str(&printed(several(), "-o json")).unwrap();
    let packages = json["packages"].as_array().unwrap().iter();
    let platforms: Vec<_> = packages.map(|of| (&of["name"], &of["platforms"])).collect();
    assert_eq!(
        platforms,
        [
            (&json!("django"), &json!(["linux/amd64"])),
            (&json!("fine"), &json!(["linux/arm64", "linux/s390x"])),
            (
                &json!("golang.org/x/net"),
                &json!(["linux/amd64", "linux/arm64"])
            ),
            (&json!("stdlib"), &json!(["linux/arm64"])),
        ]
    );
    let log: Json = serde_json::from_str(&printed(several(), "-o sarif")).unwrap();
    let runs = log["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0]["results"].as_array().unwrap().len(), 4);
}

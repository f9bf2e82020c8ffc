//! What the rendered policy costs in the API server, for the largest policy.

use super::*;

/// A policy of 64 patterns, of which 16 need a regular expression: together as long as is allowed.
fn largest(regex_bytes: usize) -> Json {
    let long = |start: String, end: &str, bytes: usize| {
        let rest = bytes - start.len() - end.len() - 1;
        format!("{start}/{}{end}", "a".repeat(rest))
    };
    let plain = (0..48).map(|n| long(format!("r{n:02}.example.com"), "/**", 256));
    // The regular expression of such a pattern is longer by 13 bytes: escapes, anchors, the classes.
    let regexes = (0..16).map(|n| long(format!("x{n:02}.example.com"), "*b", regex_bytes / 16 - 9));
    let all: Vec<_> = plain.chain(regexes).collect();
    json!({"allowedRepositories": all, "digest": {"required": true, "pinExclude": all}})
}

/// A pod of so many images with references of 245 bytes, which match no pattern.
fn large_pod(images: usize) -> Json {
    let reference = format!("x00.example.com/{}", "a".repeat(245 - 16));
    pod(&vec![reference.as_str(); images])
}

#[test]
fn a_pod_of_50_long_references_is_within_the_budget_of_the_largest_policy() {
    let policy = compiled(&largest(2400));
    let denied = denials(&policy, &large_pod(50), None);
    assert_eq!(denied.len(), 2, "{denied:?}");
    assert!(denied[0].contains("(and 49 more)"), "{denied:?}");
}

#[test]
fn a_pod_over_the_budget_is_denied_with_the_reason() {
    let policy = compiled(&largest(2400));
    let pod = large_pod(400);
    assert_eq!(evaluated(&policy, &pod, None).len(), 2);
    for release in [OLDEST_RELEASE, NEWEST_RELEASE] {
        let rendered = rendered(&policy, &pod, None, release);
        assert!(rendered[0].contains("cost limit exceeded"), "{rendered:?}");
    }
}

#[test]
fn an_update_that_adds_no_image_is_allowed_whatever_the_number() {
    let policy = compiled(&largest(2400));
    let references: Vec<_> = (0..1500).map(|n| format!("a/{n}")).collect();
    let old = pod(&references.iter().map(String::as_str).collect::<Vec<_>>());
    let mut labeled = old.clone();
    labeled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(denials(&policy, &labeled, Some(&old)), [""; 0]);
}

#[test]
fn longer_patterns_are_a_fault_of_the_policy() {
    let faults = compile(&source(&largest(2600))).unwrap_err();
    assert_eq!(faults.len(), 2);
    let fault = faults[0].to_string();
    assert!(
        fault.starts_with(
            "spec.allowedRepositories: the patterns with wildcards are regular expressions of 25"
        ),
        "{fault}"
    );
    assert!(fault.ends_with("use at most 2400 bytes: shorter patterns, fewer of them, or \"/**\" at the end as the only wildcard"), "{fault}");
}

//! Who is limited, and who is not.

use super::*;
use crate::tests::incident_of;
use proptest::prelude::*;
use serde_json::json;

fn counted(namespace: &str, node: &str) -> Counted {
    Counted {
        namespace: namespace.to_owned(),
        node: node.to_owned(),
        fallback: false,
        standing: Standing::Closed,
    }
}

fn several(number: usize, one: &Counted) -> Vec<Counted> {
    vec![one.clone(); number]
}

fn settings(max_per_namespace: usize, max_in_cluster: usize) -> RetentionSettings {
    RetentionSettings {
        max_per_namespace,
        max_in_cluster,
        ..RetentionSettings::default()
    }
}

/// The limits in a line: `cluster`, `namespace@nodes` and `fallback:namespace`.
fn names(limits: &Limits) -> Vec<String> {
    let published = limits.published();
    let cluster = published.cluster_full.then(|| "cluster".to_owned());
    let name = |full: &FullNamespace| format!("{}@{}", full.name, full.nodes.join(","));
    let namespaces = published.namespaces.iter().map(name);
    let fallback = published.fallback_namespaces.iter();
    cluster
        .into_iter()
        .chain(namespaces)
        .chain(fallback.map(|full| format!("fallback:{}", name(full))))
        .collect()
}

#[test]
fn a_namespace_is_full_at_its_limit_and_free_again_at_nine_tenths() {
    let mut limits = Limits::default();
    for (number, full) in [
        (99, false),
        (100, true),
        (130, true),
        (91, true),
        (90, false),
        (99, false),
        (100, true),
    ] {
        let mut all = several(number, &counted("shop", "n"));
        all.push(counted("other", "n"));
        limits = Limits::reached(&all, &settings(100, 9999), &limits);
        let want: &[&str] = if full { &["shop@n"] } else { &[] };
        assert_eq!(names(&limits), want, "{number}");
        assert_eq!(limits.full_namespaces(), usize::from(full));
        let excess = if full { number - 90 } else { 0 };
        assert_eq!(limits.excess("shop"), excess, "{number}");
    }
    let one = Limits::reached(&[counted("a", "n")], &settings(1, 99), &Limits::default());
    assert_eq!((names(&one), one.excess("a")), (vec!["a@n".to_owned()], 1));
}

#[test]
fn what_is_open_or_confirmed_by_no_live_pod_fills_nothing() {
    let mut all = several(9, &counted("shop", "n"));
    for standing in [Standing::Open, Standing::Unconfirmed] {
        let one = Counted {
            standing,
            ..counted("shop", "n")
        };
        all.extend(several(50, &one));
    }
    let limits = Limits::reached(&all, &settings(10, 10), &Limits::default());
    assert_eq!(limits, Limits::default());
}

#[test]
fn in_a_full_cluster_only_those_with_more_than_their_share_are_limited() {
    let mut all = several(60, &counted("flood", "n"));
    all.extend(several(30, &counted("busy", "n")));
    all.extend(several(10, &counted("quiet", "n")));
    let limits = Limits::reached(&all, &settings(1000, 100), &Limits::default());
    // 50, 30 and 10 are nine tenths.
    assert_eq!(names(&limits), ["cluster", "flood@n"]);
    assert_eq!((limits.excess("flood"), limits.excess("busy")), (10, 0));
    // It stays so until nine tenths are left.
    let left: Vec<_> = all.iter().skip(5).cloned().collect();
    let limits = Limits::reached(&left, &settings(1000, 100), &limits);
    assert_eq!(names(&limits), ["cluster", "flood@n"]);
    let left: Vec<_> = all.iter().skip(10).cloned().collect();
    let limits = Limits::reached(&left, &settings(1000, 100), &limits);
    assert_eq!(limits, Limits::default());
    // What a namespace has above its own limit fills the cluster for no other.
    all.extend(several(500, &counted("flood", "n")));
    let limits = Limits::reached(&all, &settings(50, 100), &limits);
    assert_eq!(names(&limits), ["flood@n"]);
}

#[test]
fn a_stolen_token_of_one_node_limits_no_other_node() {
    let mut all = several(1000, &counted("shop", "stolen"));
    all.extend(several(3, &counted("shop", "honest")));
    let limits = Limits::reached(&all, &settings(100, 9999), &Limits::default());
    assert_eq!(names(&limits), ["shop@stolen"]);
    // Where many have more than their share, all are limited: to name them would take room.
    let nodes = |number: usize| -> Vec<_> {
        let of = |node| several(10, &counted("shop", &format!("n{node}")));
        (0..number).flat_map(of).collect()
    };
    let limits = Limits::reached(&nodes(3), &settings(20, 9999), &Limits::default());
    assert_eq!(names(&limits), ["shop@n0,n1,n2"]);
    let limits = Limits::reached(&nodes(9), &settings(20, 9999), &Limits::default());
    assert_eq!(names(&limits), ["shop@"]);
}

#[test]
fn only_what_is_open_fills_bailiffs_namespace_for_a_namespace() {
    let fallback = |standing| Counted {
        fallback: true,
        standing,
        ..counted("shop", "n")
    };
    let mut limits = Limits::default();
    for (open, closed, full) in [
        (99, 500, false),
        (100, 0, true),
        (91, 40, true),
        (90, 40, false),
        (99, 0, false),
    ] {
        let mut all = several(open, &fallback(Standing::Open));
        all.extend(several(closed, &fallback(Standing::Closed)));
        all.push(counted("other", "n"));
        limits = Limits::reached(&all, &settings(1000, 9999), &limits);
        let want: &[&str] = if full { &["fallback:shop@n"] } else { &[] };
        assert_eq!(names(&limits), want, "{open}");
        let excess = (open + closed).saturating_sub(100);
        assert_eq!(limits.fallback_excess("shop"), excess);
    }
    // A stolen token fills it for no other node.
    let mut all = several(500, &fallback(Standing::Open));
    all.push(Counted {
        node: "honest".to_owned(),
        ..fallback(Standing::Open)
    });
    let limits = Limits::reached(&all, &settings(1000, 9999), &limits);
    assert_eq!(names(&limits), ["fallback:shop@n"]);
}

#[test]
fn of_too_many_namespaces_those_that_have_most_are_published() {
    let of = |number: usize| several(2 + number % 2, &counted(&format!("n{number:03}"), "n"));
    let all: Vec<_> = (0..600).flat_map(of).collect();
    let limits = Limits::reached(&all, &settings(2, 9999), &Limits::default());
    let published = limits.published();
    assert_eq!(limits.full_namespaces(), 600);
    assert_eq!(published.namespaces.len(), LIMITED_NAMESPACES_LIMIT);
    assert_eq!(published.namespaces[0].name, "n001");
    assert_eq!(published.namespaces[1].name, "n003");
}

#[test]
fn an_incident_counts_for_the_namespace_of_its_pod() {
    let with = |namespace: &str, status: &str, reason: &str| {
        let counted = Counted::of(&incident_of(&json!({
            "metadata": {"namespace": namespace},
            "status": {"conditions": [{"type": "Responded", "status": status, "reason": reason,
                "message": "", "lastTransitionTime": "2026-01-02T00:00:00Z"}]},
        })));
        assert_eq!(
            (counted.namespace.as_str(), counted.node.as_str()),
            ("shop", "node-1")
        );
        (counted.fallback, counted.standing)
    };
    assert_eq!(with("shop", "True", "AuditOnly"), (false, Standing::Closed));
    assert_eq!(
        with("bailiff-system", "Unknown", "Cooldown"),
        (true, Standing::Open)
    );
    for reason in ["PodNotFound", "PodMismatch"] {
        assert_eq!(with("shop", "True", reason), (false, Standing::Unconfirmed));
    }
    let open = Counted::of(&incident_of(&json!({})));
    assert_eq!(open.standing, Standing::Open);
}

proptest! {
    #[test]
    fn a_level_is_the_largest_that_fits(counts in prop::collection::vec(0_usize..50, 0..20), target in 0_usize..400) {
        let sum = |level: usize| counts.iter().map(|count| (*count).min(level)).sum::<usize>();
        let found = level(counts.iter().copied(), target);
        prop_assert!(sum(found) <= target);
        prop_assert!(found == usize::MAX || sum(found + 1) > target);
    }
}

//! Pods that have very many cgroups, and records that are on their way.

use super::*;

fn of_pod(pod: &str, below: &str) -> String {
    format!("/kubepods/burstable/pod{pod}/{}{below}", "a".repeat(64))
}

/// As the reader does: all that was read before is in the order of the ring.
fn read(cgroups: &mut Cgroups) -> usize {
    let begins = cgroups.must_begin_round();
    if begins {
        cgroups.begin_round();
    }
    usize::from(begins)
}

#[test]
fn a_path_is_known_until_the_round_after_the_one_in_which_it_was_told() {
    let mut cgroups = Cgroups::default();
    assert_eq!(cgroups.path(1), None);
    cgroups.is_told(1, "/a");
    cgroups.is_told(2, "/b");
    cgroups.begin_round();
    assert_eq!(cgroups.path(1), Some("/a"));
    assert_eq!(cgroups.path(2), Some("/b"));
    cgroups.is_told(2, "/c");
    assert_eq!(cgroups.path(2), Some("/c"), "what is told later counts");
    cgroups.begin_round();
    assert_eq!(cgroups.path(1), None);
    assert_eq!(cgroups.path(2), Some("/c"));
}

#[test]
fn a_path_is_kept_up_to_its_container() {
    let mut cgroups = Cgroups::default();
    let long = format!("/{}", "d".repeat(250)).repeat(12);
    for (number, told, kept) in [
        (1, of_pod("x", &long), of_pod("x", "")),
        (2, of_pod("x", ""), of_pod("x", "")),
        (
            3,
            format!("/kubepods/podx/no-container{long}"),
            "/kubepods/podx".to_owned(),
        ),
        (
            4,
            "/system.slice/a.service".to_owned(),
            "/system.slice/a.service".to_owned(),
        ),
        (
            5,
            format!("/system.slice{long}"),
            "/system.slice/".to_owned(),
        ),
        (6, "/".to_owned(), "/".to_owned()),
    ] {
        cgroups.is_told(number, &told);
        assert_eq!(cgroups.path(number), Some(&*kept), "{told}");
    }
    // Long ones end no round.
    for number in 100..1000 {
        cgroups.is_told(number, &of_pod("x", &format!("/{number}{long}")));
    }
    cgroups.ring_is_empty();
    assert!(!cgroups.must_begin_round());
}

#[test]
fn cgroups_without_end_take_bounded_memory() {
    let one = |_: u64| of_pod("x", "");
    let each = |number: u64| of_pod(&format!("{number}"), "");
    let none = |number: u64| format!("/{number:0>4000}");
    let all: [(&dyn Fn(u64) -> String, u64); 3] =
        [(&one, 20_000), (&each, 13_000), (&none, 10_000)];
    for (kind, (told, count)) in all.into_iter().enumerate() {
        for reads_to_the_end in [false, true] {
            let mut cgroups = Cgroups::default();
            let mut rounds = 0;
            for cgroup in 0..count {
                cgroups.is_told(cgroup, &told(cgroup));
                if reads_to_the_end {
                    cgroups.ring_is_empty();
                }
                rounds += read(&mut cgroups);
                assert!(cgroups.now.told.len() <= LIMIT && cgroups.before.len() <= LIMIT);
                assert!(cgroups.now.bytes <= LIMIT_BYTES + 4096);
            }
            let in_order: usize = cgroups.now.by_pod.values().map(VecDeque::len).sum();
            assert_eq!(in_order, cgroups.now.told.len());
            let paths: HashSet<_> = cgroups.now.told.values().map(|told| &told.path).collect();
            assert_eq!(paths.len(), cgroups.now.paths.len());
            let bytes: usize = paths.iter().map(|path| path.len()).sum();
            assert_eq!(bytes, cgroups.now.bytes);
            // Cgroups of one pod end no round.
            assert_eq!(rounds > 0, reads_to_the_end && kind == 1, "{kind}");
        }
    }
}

#[test]
fn a_pod_with_very_many_cgroups_forgets_its_own_alone() {
    let mut cgroups = Cgroups::default();
    cgroups.is_told(1, &of_pod("victim", ""));
    cgroups.is_told(2, &of_pod("greedy", ""));
    cgroups.is_told(3, &of_pod("greedy", "/used"));
    for number in 2000..20_000 {
        cgroups.is_told(number, &of_pod("greedy", &format!("/{number}")));
        assert!(cgroups.path(3).is_some(), "what is used is kept");
        assert!(number < 3000 || cgroups.path(number - 1000).is_some());
        // As long as the ring is never empty, and where it is.
        if number > 12_000 {
            cgroups.ring_is_empty();
        }
        assert_eq!(read(&mut cgroups), 0, "{number}");
    }
    assert_eq!(cgroups.path(1), Some(&*of_pod("victim", "")));
    assert_eq!(cgroups.path(2), None);
}

#[test]
fn many_pods_with_many_cgroups_push_out_no_path_of_a_record_on_its_way() {
    let mut cgroups = Cgroups::default();
    cgroups.is_told(1, &of_pod("victim", ""));
    cgroups.ring_is_empty();
    let mut rounds = 0;
    for number in 10..40_000 {
        let pod = format!("greedy{}", number % 50);
        cgroups.is_told(number, &of_pod(&pod, ""));
        rounds += read(&mut cgroups);
    }
    // The kernel side was asked, and a record of the victim from before that comes only now.
    assert_eq!(rounds, 1);
    assert_eq!(cgroups.path(1), Some(&*of_pod("victim", "")));
}

#[test]
fn errors_begin_one_round_until_a_path_comes() {
    let mut cgroups = Cgroups::default();
    cgroups.is_told(1, "/kubepods/podx");
    cgroups.ring_is_empty();
    for (number, want) in [(10, 1), (11, 0), (12, 0)] {
        assert_eq!(cgroups.path(number), None);
        assert_eq!(read(&mut cgroups), want, "{number}");
        assert_eq!(cgroups.path(1), Some("/kubepods/podx"), "{number}");
    }
    cgroups.ring_is_empty();
    assert_eq!(cgroups.path(13), None);
    assert_eq!(read(&mut cgroups), 0, "no path came");
    assert_eq!(cgroups.path(1), Some("/kubepods/podx"));
    // A path is there, and the next error begins another, once nothing is on its way.
    cgroups.is_told(1, "/kubepods/podx");
    assert_eq!(cgroups.path(14), None);
    assert_eq!(read(&mut cgroups), 1);
    cgroups.is_told(2, "/kubepods/pody");
    assert_eq!(cgroups.path(15), None);
    assert_eq!(read(&mut cgroups), 0, "records may be on their way");
    assert_eq!(cgroups.path(1), Some("/kubepods/podx"));
    cgroups.ring_is_empty();
    assert_eq!(read(&mut cgroups), 1);
}

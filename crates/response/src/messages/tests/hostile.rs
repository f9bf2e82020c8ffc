//! Text that strangers wrote, in messages.

use super::*;

#[test]
fn no_name_that_an_incident_claims_breaks_a_line_or_colors_a_terminal() {
    let mut forged = incident();
    let shown = "\\u{1b}[31m\\u{a}";
    for name in [&mut forged.spec.pod.name, &mut forged.spec.policy_ref.name] {
        *name = "\u{1b}[31m\n".to_owned();
    }
    forged.spec.container.name = Some("\u{1b}[31m\n".to_owned());
    let event = |outcome: &Outcome, about| note(&forged, outcome, about).unwrap().text;
    let changed = no_action(NoActionReason::PolicyChanged);
    let ready = Recovery::Ready(Replacement {
        name: "web-2".to_owned(),
        uid: "u".to_owned(),
        node_name: "node-1".to_owned(),
        ready_time: Time(now()),
    });
    let evict = Would::Evict {
        binding: "a".to_owned(),
    };
    for text in [
        responded(&forged, &evicted()),
        dry_run(&forged, &evict),
        event(&changed, Regarding::Pod),
        event(&changed, Regarding::Workload("Deployment")),
        recovered_note(&forged, &ready).unwrap().text,
    ] {
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.contains(shown), "{text}");
    }
    assert_eq!(
        printable("/tmp/\u{1b}[31m\n\u{202e}x"),
        "/tmp/\\u{1b}[31m\\u{a}\\u{202e}x"
    );
}

#[test]
fn a_note_is_short_and_carries_no_arguments() {
    let mut incident = incident();
    incident.spec.process.executable = "\u{1b}é".repeat(4000);
    incident.spec.policy_ref.name = "p".repeat(253);
    incident.metadata.name = Some("é".repeat(400));
    for outcome in [
        evicted(),
        Outcome::waiting(WaitReason::Cooldown),
        Outcome::waiting(WaitReason::BlockedByWebhook("é".repeat(4000))),
        no_action(NoActionReason::Unmanaged),
    ] {
        let note = note(&incident, &outcome, Regarding::Workload("Deployment")).unwrap();
        assert!(note.text.len() <= NOTE_LIMIT_BYTES && !note.text.contains('\u{1b}'));
        let messages = [on_pod(&outcome).text, responded(&incident, &outcome)];
        assert!(messages.iter().all(|m| !m.contains("SECRET")));
    }
}

#[test]
fn characters_that_hide_text_are_escaped() {
    for c in [
        '\u{ad}',
        '\u{61c}',
        '\u{180e}',
        '\u{200b}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{fff9}',
        '\u{fffb}',
        '\u{e0000}',
        '\u{e0041}',
        '\u{e007f}',
    ] {
        let shown = format!("a\\u{{{:x}}}b", u32::from(c));
        assert_eq!(printable(&format!("a{c}b")), shown);
    }
    for c in ['é', '漢', '😀', '\u{fffd}', '\u{e0080}'] {
        assert_eq!(printable(&format!("a{c}b")), format!("a{c}b"));
    }
}

#[test]
fn commands_of_ci_runners_are_broken() {
    for (text, shown) in [
        ("a ##[error]b", "a ##\\u{5b}error]b"),
        ("a ##vso[task.complete]", "a ##vso\\u{5b}task.complete]"),
        ("##VSO[x]", "##VSO\\u{5b}x]"),
        ("::error::b", ":\\u{3a}error::b"),
        ("  ::stop", "  :\\u{3a}stop"),
        (":::x", ":\\u{3a}:x"),
        // Names of Rust, and what is no command.
        ("a::b #[x] ##a[", "a::b #[x] ##a["),
    ] {
        assert_eq!(printable(text), shown, "{text}");
    }
}

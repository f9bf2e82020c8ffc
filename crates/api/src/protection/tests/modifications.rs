//! What counts as a modification of the shipped policy and binding.

use super::*;

fn compared(change: impl Fn(&mut ValidatingAdmissionPolicy)) -> Result<(), Difference> {
    let mut live = policy("bailiff-system");
    change(&mut live);
    compare("bailiff-system", Some(&live), Some(&binding()))
}

#[test]
fn the_shipped_policy_and_binding_are_unmodified() {
    assert_eq!(compared(|_| {}), Ok(()));
    // Metadata and status do not count.
    let generation = compared(|live| live.metadata.generation = Some(7));
    assert_eq!(generation, Ok(()));
}

#[test]
fn a_missing_or_terminating_object_is_missing() {
    let (live, bound) = (policy("bailiff-system"), binding());
    for (policy, binding) in [(None, Some(&bound)), (Some(&live), None), (None, None)] {
        assert_eq!(
            compare("bailiff-system", policy, binding),
            Err(Difference::Missing)
        );
    }
    let terminating = compared(|live| {
        live.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
    });
    assert_eq!(terminating, Err(Difference::Missing));
}

#[test]
fn every_modification_of_a_rule_is_noticed() {
    type Change = fn(&mut ValidatingAdmissionPolicySpec);
    let changes: [Change; 6] = [
        |spec| spec.failure_policy = Some("Ignore".to_owned()),
        |spec| spec.validations.as_mut().unwrap().truncate(3),
        |spec| spec.validations.as_mut().unwrap()[0].expression = "true".to_owned(),
        |spec| spec.variables.as_mut().unwrap()[0].expression = "true".to_owned(),
        |spec| {
            let constraints = spec.match_constraints.as_mut().unwrap();
            constraints.object_selector = Some(LabelSelector {
                match_labels: Some([("a".to_owned(), "b".to_owned())].into()),
                ..LabelSelector::default()
            });
        },
        |spec| spec.match_conditions = Some(Vec::new()),
    ];
    for change in changes {
        let noticed = compared(|live| change(live.spec.as_mut().unwrap()));
        assert!(
            matches!(noticed, Err(Difference::Changed(_))),
            "{noticed:?}"
        );
    }
    // Shipped for another namespace: other accounts.
    let elsewhere = compare("other", Some(&policy("bailiff-system")), Some(&binding()));
    assert!(matches!(elsewhere, Err(Difference::Changed(_))));
    let mut audits = binding();
    audits.spec.validation_actions = vec!["Audit".to_owned()];
    let audited = compare(
        "bailiff-system",
        Some(&policy("bailiff-system")),
        Some(&audits),
    );
    assert!(matches!(audited, Err(Difference::Changed(_))));
}

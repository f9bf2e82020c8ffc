//! What the API server allows an estimate to be, and what it says about more.
//!
//! Here: limits of estimates and of match conditions. Not here: the limit of an evaluation
//! (`eval::LIMIT`), the budget of a policy (`admission::BUDGET`).
//! Invariant: the words are the API server's.

use super::range::double;

/// The largest estimate of a rule of a `CustomResourceDefinition`, or of its message
/// (k8s.io/apiextensions-apiserver v0.37.2, pkg/apis/apiextensions/validation/validation.go,
/// `StaticEstimatedCostLimit`).
pub const RULE_LIMIT: u64 = 10_000_000;

/// The largest sum of the estimates of a `CustomResourceDefinition`'s rules and messages (there,
/// `StaticEstimatedCRDCostLimit`).
pub const CRD_LIMIT: u64 = 100_000_000;

/// What the match conditions of a webhook or a binding together may cost for one request
/// (k8s.io/apiserver v0.37.2, pkg/apis/cel/config.go, `RuntimeCELCostBudgetMatchConditions`).
pub const MATCH_CONDITIONS_BUDGET: u64 = 2_500_000;

/// What was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimated {
    /// A rule; its cost for one value times how many such values there may be.
    Rule,
    /// The expression of a rule's message.
    Message,
    /// All rules and messages of a schema.
    Schema,
}

/// What the API server refuses an estimate with, or nothing where it is within its limit. The
/// cost is the upper bound of the estimate.
#[must_use]
pub fn exceeds_budget(what: Estimated, cost: u64) -> Option<String> {
    let (name, limit) = match what {
        Estimated::Rule => ("estimated rule cost", RULE_LIMIT),
        Estimated::Message => ("estimated messageExpression cost", RULE_LIMIT),
        Estimated::Schema => (
            "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema",
            CRD_LIMIT,
        ),
    };
    if cost <= limit {
        return None;
    }
    let times = double(cost) / double(limit);
    let factor = if times > 100.0 {
        "more than 100x".to_owned()
    } else if times < 1.5 {
        // With one digit it would be 1.0.
        format!("{times:.6}x")
    } else {
        format!("{times:.1}x")
    };
    Some(format!(
        "{name} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_said_with_its_factor() {
        let words = |what, cost| {
            exceeds_budget(what, cost).map(|text| {
                text.split_once(" (try simplifying")
                    .map_or(String::new(), |(start, _)| start.to_owned())
            })
        };
        for (what, cost, want) in [
            (Estimated::Rule, RULE_LIMIT, None),
            (
                Estimated::Rule,
                RULE_LIMIT + 1,
                Some("estimated rule cost exceeds budget by factor of 1.000000x"),
            ),
            (
                Estimated::Rule,
                25_000_000,
                Some("estimated rule cost exceeds budget by factor of 2.5x"),
            ),
            (
                Estimated::Message,
                1_000_000_000,
                Some("estimated messageExpression cost exceeds budget by factor of 100.0x"),
            ),
            (
                Estimated::Message,
                u64::MAX,
                Some("estimated messageExpression cost exceeds budget by factor of more than 100x"),
            ),
            (Estimated::Schema, CRD_LIMIT, None),
            (
                Estimated::Schema,
                250_000_000,
                Some(
                    "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of 2.5x",
                ),
            ),
        ] {
            assert_eq!(words(what, cost).as_deref(), want, "{what:?} {cost}");
        }
    }
}

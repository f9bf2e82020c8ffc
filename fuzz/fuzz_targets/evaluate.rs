//! Law: whatever an expression is and whatever it is given, it ends within its budget, without a
//! panic, and holds no more memory than a bound.
//!
//! An input is an expression, the object as JSON, and the budget, with NUL between them; what is
//! missing is `null` and a small budget.

#![no_main]

use bailiff_cel::admission::{self, Bindings};
use bailiff_cel::{Env, Evaluation, LIMIT};
use bailiff_fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static ENV: OnceLock<Env> = OnceLock::new();

fuzz_target!(|input: &str| {
    let env = ENV.get_or_init(|| {
        let optional = admission::Optional {
            params: true,
            authorizer: false,
            mutation: true,
        };
        admission::environment(bailiff_cel::NEWEST_RELEASE, optional)
    });
    let mut parts = input.splitn(3, '\0');
    let source = parts.next().unwrap_or_default();
    let object = parts
        .next()
        .and_then(|json| serde_json::from_str(json).ok());
    let budget = parts.next().and_then(|text| text.parse().ok());
    let budget: u64 = budget.unwrap_or(100_000);
    bounded(|| {
        let Ok(program) = env.compile(source) else {
            return;
        };
        let bindings = Bindings {
            object: object.as_ref(),
            old_object: object.as_ref(),
            params: object.as_ref(),
            ..Bindings::default()
        };
        let mut evaluation = Evaluation::new(env, &bindings, budget);
        let outcome = evaluation.run(&program);
        // The last step of a program may cost more than is left.
        assert!(
            outcome.is_err() || evaluation.spent() <= budget.min(LIMIT),
            "{} of {budget} was spent",
            evaluation.spent()
        );
        if let Ok(value) = outcome {
            drop(value.to_json());
        }
    });
});

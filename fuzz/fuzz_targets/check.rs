//! Law: what type-checks without `dyn` and without `null` raises no error of types when it is run.
//! With `null` the language itself lets some through: `(b ? null : duration('1s')) + e`; and of an
//! address that can't be read `containsIP` says that there is no such overload, as in the API server.

#![no_main]

use bailiff_cel::Evaluation;
use bailiff_fuzz::{Typed, bounded, typed};
use libfuzzer_sys::fuzz_target;

const OF_TYPES: &[&str] = &[
    "no such overload",
    "unsupported index type",
    "expected iterable type",
    "unsupported comprehension range type",
    "invalid qualifier type",
    "no such attribute",
];

fuzz_target!(|source: &str| {
    if ["dyn", "null", "containsIP"]
        .iter()
        .any(|words| source.contains(words))
    {
        return;
    }
    bounded(|| {
        let env = typed();
        let Ok(program) = env.compile(source) else {
            return;
        };
        let mut evaluation = Evaluation::new(env, &Typed, 200_000);
        if let Err(error) = evaluation.run(&program) {
            let words = error.to_string();
            assert!(
                !OF_TYPES.iter().any(|of_types| words.contains(of_types)),
                "{source:?} has type {} and fails: {words}",
                program.result_type()
            );
        }
    });
});

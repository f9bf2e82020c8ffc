//! Law: what type-checks without `dyn` and without `null` raises no error of types when it is run.
//! With `null` the language itself lets some through: `(b ? null : duration('1s')) + e`; and of an
//! address that can't be read `containsIP` says that there is no such overload, as in the API server.
//! Lists that are given to `format` may be of several types, which no word tells, and
//! what messages of struct.proto and any.proto hold is `dyn` without the word.

#![no_main]

use bailiff_cel::{Env, Evaluation};
use bailiff_fuzz::bounded;
use bailiff_fuzz::typed::{ERRORS_OF_TYPES, Values, environment};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static ENV: OnceLock<Env> = OnceLock::new();

fuzz_target!(|source: &str| {
    // An error may quote the expression's own words.
    let left_out = [
        "dyn",
        "null",
        "containsIP",
        "protobuf.Any",
        "protobuf.ListValue",
        "protobuf.Struct",
        "protobuf.Value",
        "list{",
        "format(",
    ];
    if left_out
        .iter()
        .chain(ERRORS_OF_TYPES)
        .any(|words| source.contains(words))
    {
        return;
    }
    bounded(|| {
        let env = ENV.get_or_init(environment);
        let Ok(program) = env.compile(source) else {
            return;
        };
        let mut evaluation = Evaluation::new(env, &Values, 200_000);
        if let Err(error) = evaluation.run(&program) {
            let words = error.to_string();
            assert!(
                !ERRORS_OF_TYPES
                    .iter()
                    .any(|of_types| words.contains(of_types)),
                "{source:?} has type {} and fails: {words}",
                program.result_type()
            );
        }
    });
});

//! Law: a body is a review or has an error; decoding takes memory in proportion to it. Any start of a
//! review names the request as the whole does, or not at all. No managed fields are kept.

#![no_main]

// Only this module: the webhook has a runtime and a client, which nothing here needs.
#[allow(dead_code, reason = "what the webhook alone uses")]
#[path = "../../crates/webhook/src/review/mod.rs"]
mod review;

use bailiff_policy::Reads;
use bailiff_policy::image::pod_reads;
use libfuzzer_sys::fuzz_target;
use review::{Identity, Keep, Review, decode, identity};
use std::sync::{Arc, LazyLock};

/// What is kept without any policy.
static READS: LazyLock<Arc<Reads>> = LazyLock::new(|| Arc::new(pod_reads([])));

/// The most memory that decoding takes for each byte of a body: that of many tiny objects.
const MEMORY_PER_BYTE: u64 = 128;
/// The most memory besides.
const MEMORY: u64 = 16 << 10;

fuzz_target!(|body: &[u8]| {
    let limit = MEMORY + MEMORY_PER_BYTE * body.len() as u64;
    for keep in [Keep::Parts(READS.clone()), Keep::Everything] {
        let mut decoded = None;
        let taken = allocation_counter::measure(|| decoded = Some(decode(body, keep.clone())));
        assert!(taken.bytes_max < limit, "{} bytes", taken.bytes_max);
        match decoded.expect("the body was decoded") {
            Ok(review) => laws(body, &review),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let taken = allocation_counter::measure(|| drop(identity(body)));
    assert!(taken.bytes_max < limit, "{} bytes", taken.bytes_max);
});

fn laws(body: &[u8], review: &Review) {
    let Identity { uid, namespace } = &review.identity;
    for cut in [body.len() / 3, body.len() / 2, body.len() - 1, body.len()] {
        let found = identity(&body[..cut]);
        assert!(found.uid.is_empty() || found.uid == *uid);
        assert!(found.namespace.is_empty() || found.namespace == *namespace);
    }
    for object in [&review.object, &review.old_object] {
        assert!(object.is_null() || object.is_object());
        assert!(object["metadata"]["managedFields"].is_null());
    }
}

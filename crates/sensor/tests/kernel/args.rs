//! Which arguments are told of a program that has many.

use crate::pod::{Pod, execs, load};
use bailiff_sensor::{Exec, Records};
use std::ffi::OsStr;

/// Most bytes of the beginning and of the end.
const HEAD: usize = 4096;
const TAIL: usize = 1024;

/// `true` with these arguments.
fn run(records: &mut Records, pod: &Pod, arguments: &[&str]) -> Exec {
    let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
    let output = pod.run("exec true \"$@\"", &arguments);
    assert!(output.status.success(), "{output:?}");
    let found = execs(records, pod);
    let [exec] = found.as_slice() else {
        panic!("{found:#?}")
    };
    exec.clone()
}

#[tokio::test]
async fn the_last_argument_is_told_behind_any_padding() {
    let pod = Pod::new("padding");
    let mut records = load();
    // In one argument, and in very many.
    let one = "x".repeat(100 << 10);
    let many = vec!["xy"; 40 << 10];
    for padding in [&[one.as_str()][..], &many] {
        let arguments = [&["--first"][..], padding, &["--telling", "it"]].concat();
        let exec = run(&mut records, &pod, &arguments);
        assert!(exec.args_cut);
        let first: Vec<_> = exec.args.iter().take(2).collect();
        assert_eq!(first, [&b"true"[..], b"--first"]);
        let tail: Vec<_> = exec.args_tail.iter().collect();
        assert!(tail.ends_with(&[&b"--telling"[..], b"it"]), "{tail:?}");
        assert_eq!(exec.args_tail.joined().len() + 1, TAIL);
    }
}

#[tokio::test]
async fn arguments_that_fit_into_both_parts_are_whole() {
    let pod = Pod::new("fits");
    let mut records = load();
    for bytes in [
        HEAD - 1,
        HEAD,
        HEAD + 1,
        HEAD + TAIL - 1,
        HEAD + TAIL,
        HEAD + TAIL + 1,
        HEAD + 2 * TAIL,
    ] {
        // With the name, the end, and a NUL behind each.
        let padding = "x".repeat(bytes - "true\0\0end\0".len());
        let exec = run(&mut records, &pod, &[&padding, "end"]);
        let whole = [b"true".to_vec(), padding.into_bytes(), b"end".to_vec()];
        if bytes <= HEAD + TAIL {
            assert!(!exec.args_cut && exec.args_tail.is_empty(), "{bytes}");
            assert_eq!(exec.args, whole, "{bytes}");
            continue;
        }
        assert!(exec.args_cut, "{bytes}");
        let whole = [whole.join(&0_u8), vec![0]].concat();
        assert_eq!(exec.args.joined(), &whole[..HEAD], "{bytes}");
        let tail = &whole[bytes - TAIL..];
        assert_eq!([exec.args_tail.joined(), &[0]].concat(), tail, "{bytes}");
    }
}

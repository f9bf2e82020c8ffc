//! How long a process lives that has several threads.

use crate::compiled::compile;
use crate::pod::{Pod, events, load};
use bailiff_sensor::{Event, Exec};
use std::path::PathBuf;

/// `threads.c` as a static program, for as long as this lives.
pub(crate) struct Threads(pub(crate) PathBuf);

impl Threads {
    pub(crate) fn compiled(test: &str) -> Self {
        let program =
            std::env::temp_dir().join(format!("bailiff-threads-{test}-{}", std::process::id()));
        compile("threads", &program);
        Self(program)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// What happened to the program, in order.
fn run(test: &str, what: &str) -> (Exec, Vec<Event>) {
    let pod = Pod::new(test);
    let threads = Threads::compiled(test);
    let mut records = load();
    let line = format!("exec \"$1\" {what} /bin/sh");
    let output = pod.run(&line, &[threads.0.as_os_str()]);
    assert!(output.status.success(), "{output:?}");
    let mut events = events(&mut records).into_iter();
    let exec = events.find_map(|event| match event {
        Event::Exec(exec) if exec.executable.ends_with(threads.0.to_str().unwrap()) => Some(*exec),
        _ => None,
    });
    (exec.expect("the program is seen"), events.collect())
}

#[tokio::test]
async fn a_process_lives_until_its_last_thread_ends() {
    let (program, events) = run("last-thread", "fork");
    let place = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted);
    let exec = place(&|event| matches!(event, Event::Exec(exec) if exec.parent == program.process));
    let exec = exec.unwrap_or_else(|| panic!("no exec: {events:#?}"));
    let ends: Vec<_> = (0..events.len())
        .filter(|at| events[*at] == Event::Exit(program.process))
        .collect();
    assert_eq!(ends.len(), 1, "it ends once: {events:#?}");
    assert!(exec < ends[0], "{events:#?}");
    let Event::Exec(exec) = &events[exec] else {
        panic!("an exec")
    };
    assert_eq!(exec.forked, Some(exec.process.start));
}

#[tokio::test]
async fn a_program_that_another_thread_executes_is_the_same_process() {
    let (program, events) = run("other-thread", "exec");
    let mine: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Exec(exec) if exec.process == program.process => Some("exec"),
            Event::Exit(process) if *process == program.process => Some("exit"),
            _ => None,
        })
        .collect();
    assert_eq!(mine, ["exec", "exit"], "{events:#?}");
}

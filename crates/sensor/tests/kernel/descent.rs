//! What a process descends from, though forks are told by nothing.
//!
//! Here: processes that are forked and execute nothing, orphans. Not here: what is found after a loss (`runtime`).

use crate::pod::{Pod, events, load};
use bailiff_sensor::{Event, Exec, Records};
use std::time::{Duration, Instant};

/// What happened to the programs of a pod.
#[derive(Debug, Default)]
struct Told {
    execs: Vec<Exec>,
    /// In order: `exec NAME`, `end NAME`.
    lines: Vec<String>,
}

impl Told {
    fn now(records: &mut Records, pod: &Pod) -> Self {
        let mut told = Self::default();
        told.read(records, pod);
        told
    }

    fn read(&mut self, records: &mut Records, pod: &Pod) {
        for event in events(records) {
            match event {
                Event::Exec(exec) if pod.has(&exec) => {
                    self.lines.push(format!("exec {}", name(&exec)));
                    self.execs.push(*exec);
                }
                Event::Exit(process) => {
                    let mut execs = self.execs.iter().rev();
                    let last = execs.find(|exec| exec.process == process);
                    self.lines
                        .extend(last.map(|exec| format!("end {}", name(exec))));
                }
                Event::Exec(_) | Event::Found(_) => {}
            }
        }
    }

    fn exec(&self, program: &str) -> &Exec {
        let mut execs = self.execs.iter();
        let found = execs.find(|exec| name(exec) == program);
        found.unwrap_or_else(|| panic!("{program}: {self:#?}"))
    }
}

fn name(exec: &Exec) -> &str {
    exec.executable.rsplit('/').next().unwrap_or_default()
}

#[tokio::test]
async fn only_what_executed_something_reports_its_end() {
    let pod = Pod::new("ends");
    let mut records = load();
    pod.run("exec bash -c '(:); (exec cat /dev/null); (:); true'", &[]);
    let told = Told::now(&mut records, &pod);
    assert_eq!(told.lines, ["exec bash", "exec cat", "end cat", "end bash"]);
    let cat = told.exec("cat");
    assert_eq!(cat.parent, told.exec("bash").process);
    assert_eq!(cat.forked, Some(cat.process.start));
}

#[tokio::test]
async fn what_a_process_that_executed_nothing_starts_descends_from_the_one_that_did() {
    let pod = Pod::new("through");
    let mut records = load();
    // Two shells below the first one execute nothing, and each starts something.
    let line = "exec bash -c '( (cat /dev/null; :); od /dev/null; :); wc /dev/null; :'";
    assert!(pod.run(line, &[]).status.success());
    let told = Told::now(&mut records, &pod);
    let shell = told.exec("bash").process;
    for program in ["cat", "od", "wc"] {
        let exec = told.exec(program);
        assert_eq!(exec.parent, shell, "{program}");
        // When the first of the shells between was forked.
        let forked = exec.forked.unwrap();
        assert!(forked > shell.start, "{program}");
        assert_eq!(forked == exec.process.start, program == "wc", "{program}");
    }
    let forked = |program| told.exec(program).forked;
    assert_eq!(forked("cat"), forked("od"), "one shell is above both");
}

#[tokio::test]
async fn an_orphan_descends_from_who_forked_it_which_is_known_until_then() {
    let pod = Pod::new("orphan");
    let mut records = load();
    // The first shell ends, and so does the one below it. The orphan, which executed nothing, waits for the first.
    let line =
        "exec bash -c '( (while kill -0 $$; do :; done; exec cat /dev/null) & ) >/dev/null 2>&1 &'";
    assert!(pod.run(line, &[]).status.success());
    let mut told = Told::default();
    let deadline = Instant::now() + Duration::from_secs(30);
    let ended = |told: &Told| told.lines.iter().any(|line| line == "end cat");
    while !ended(&told) && Instant::now() < deadline {
        told.read(&mut records, &pod);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(told.exec("cat").parent, told.exec("bash").process);
    assert_eq!(told.lines, ["exec bash", "exec cat", "end bash", "end cat"]);
}

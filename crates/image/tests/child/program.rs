//! The process that reads a layer, with readers that attack, and a process that lies.
//!
//! Here: what a parser could do that a layer has taken over, each chosen by the name of a file in the layer, and
//! answers that no reading process gives. Not here: tests.
//! Invariant: an attack that is not stopped is reported as a fact, so that no test mistakes one that does not work for
//! one that is stopped.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::too_many_lines,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a program for tests: it reports to them, panics on purpose, and lists what it can do"
)]

use bailiff_image::child;
use bailiff_image::reading::Readers;
use bailiff_image::report::{Done, Frame, Writer};
use bailiff_image::sandbox::{self, SandboxError};
use bailiff_oci::layer::{Entry, EntryKind};
use bailiff_scan::content::rust::Crate;
use bailiff_scan::content::{Content, Fact, Interest, ReadAs};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::kill;
use nix::unistd::getppid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("lie"), Some(lie)) => lies(&lie).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        (Some("landlock"), None) => landlock().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        (Some(child::SUBCOMMAND), None) => child::run(Readers { interest, read }),
        (Some("real"), None) => child::run(Readers::default()),
        (Some("without"), Some(feature)) => {
            deny(&feature);
            child::run(Readers { interest, read })
        }
        _ => ExitCode::FAILURE,
    }
}

/// Makes the kernel answer as one that does not have a feature, or as a container whose runtime denies it.
fn deny(feature: &str) {
    let call = match feature {
        "seccomp" => libc::SYS_seccomp,
        "landlock" => libc::SYS_landlock_create_ruleset,
        _ => return,
    };
    let architecture = TargetArch::try_from(std::env::consts::ARCH).expect("known");
    let filter = SeccompFilter::new(
        [(call, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        architecture,
    );
    let filter = filter.and_then(BpfProgram::try_from).expect("valid");
    seccompiler::apply_filter(&filter).expect("the tests need seccomp");
}

/// Files in the directory `attack` are read, those that end in `.fact` or `.long`, those that end in `.seek`, and those
/// that are at the path of a database of dpkg.
fn interest(of: ReadAs<'_>, _size: u64, _head: &[u8]) -> Interest {
    let path = of.path;
    if path.starts_with(b"attack/") || path.ends_with(b".fact") || path.ends_with(b".many") {
        Interest::Whole(1 << 20)
    } else if path == b"var/lib/dpkg/status" || path.starts_with(b"var/lib/dpkg/status.d/") {
        Interest::Whole(64 << 20)
    } else if path.ends_with(b".seek") {
        Interest::Seek
    } else {
        Interest::None
    }
}

fn say(what: &str, cause: impl Into<String>) -> Fact {
    Fact::NotRead {
        what: what.to_owned(),
        cause: cause.into(),
    }
}

fn read(of: ReadAs<'_>, content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let name = String::from_utf8_lossy(of.path).into_owned();
    if let Some(attack) = name.strip_prefix("attack/") {
        facts(say("attack", "begins"));
        facts(say("attack", perform(attack)));
        return;
    }
    let mut text = String::new();
    let count = content.take(100).read_to_string(&mut text);
    facts(match count {
        Ok(_) => say(&name, text),
        Err(error) => say(&name, error.to_string()),
    });
    if name.ends_with(".many") {
        for number in 0..1000 {
            facts(say(&name, number.to_string()));
        }
    }
    if name.ends_with(".long.fact") {
        facts(say(&name, "x".repeat(5 << 20)));
    }
    if name.ends_with(".seek") {
        let length = content.seek(io::SeekFrom::End(0));
        facts(say("length", length.unwrap_or(0).to_string()));
        let mut last = [0; 4];
        let read = content
            .seek(io::SeekFrom::End(-4))
            .and_then(|_| content.read_exact(&mut last));
        facts(say("end", format!("{read:?} {}", last.escape_ascii())));
    }
}

/// Performs an attack, and says what became of it if that is still possible.
fn perform(attack: &str) -> String {
    let result = match attack {
        "open" => File::open("/proc/self/exe").map(drop),
        "list" => std::fs::read_dir("/").map(drop),
        "socket" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "pair" => std::os::unix::net::UnixStream::pair().map(drop),
        "execve" => nix::unistd::execv(c"/bin/true", &[c"true"])
            .map(drop)
            .map_err(io::Error::from),
        "clone" => std::thread::Builder::new().spawn(|| {}).map(drop),
        "kill" => kill(getppid(), None).map_err(io::Error::from),
        "limits" => setrlimit(Resource::RLIMIT_CPU, 1, 1).map_err(io::Error::from),
        "sleep" => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        "write-blob" => nix::unistd::write(io::stdin(), b"")
            .map(drop)
            .map_err(io::Error::from),
        "dup" => nix::unistd::dup(io::stdout())
            .map(drop)
            .map_err(io::Error::from),
        "stat" => std::fs::metadata("/").map(drop),
        "panic" => panic!("on purpose"),
        "overflow" => return deeper(1).to_string(),
        "descriptors" => return names("/proc/self/fd"),
        "environment" => {
            let names = std::env::vars().map(|(name, _)| name);
            return names.collect::<Vec<_>>().join(" ");
        }
        "directory" => {
            let directory = std::env::current_dir().unwrap_or_default();
            return directory.display().to_string();
        }
        "memory" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 16 << 20]);
            }
        }
        "spin" => {
            let mut count = 0_u64;
            loop {
                count = std::hint::black_box(count).wrapping_add(1);
            }
        }
        _ => return "unknown".to_owned(),
    };
    match result {
        Ok(()) => "succeeded".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The names in a directory, in their order.
fn names(directory: &str) -> String {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
    names.join(" ")
}

/// Takes more stack than there is.
#[allow(unconditional_recursion, reason = "that is the attack")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 512]);
    deeper(depth.wrapping_add(1)).wrapping_add(room.iter().sum())
}

/// Applies Landlock alone, and reports what it denies.
fn landlock() -> Result<(), SandboxError> {
    let applied = sandbox::restrict()?;
    let file = File::open("/proc/self/exe").map_err(|error| error.kind());
    let listing = std::fs::read_dir("/").map_err(|error| error.kind());
    println!("{applied:?} {:?} {:?}", file.err(), listing.err());
    Ok(())
}

/// An answer that no reading process gives. The request is not read, and there is no sandbox.
fn lies(lie: &str) -> io::Result<()> {
    let mut answer = Writer::new(io::stdout());
    let entry = |path: &str, kind: EntryKind, size| Frame::Entry {
        entry: Entry {
            path: path.into(),
            kind,
            size,
            mode: 0o644,
        },
        read: true,
    };
    let file = |path: &str| entry(path, EntryKind::File, 4);
    let fact = |ordinal| Frame::Fact {
        ordinal,
        fact: say("lie", "told"),
    };
    let done = || {
        Frame::Done(Done {
            digests: Some((vec![0; 32], vec![0; 32])),
            unpacked: 1,
        })
    };
    let started = Frame::Started(Some(sandbox::Landlock::Full));
    let mut raw: &[u8] = b"";
    let frames = match lie {
        "begin" => vec![file("a")],
        "unsandboxed" => vec![Frame::Started(None)],
        "twice" => vec![started, Frame::Started(Some(sandbox::Landlock::Full))],
        "parent" => vec![started, file("usr/../../etc/passwd")],
        "absolute" => vec![started, file("/etc/passwd")],
        "slashes" => vec![started, file("usr//bin")],
        "empty" => vec![started, file("")],
        "zero" => vec![started, file("a\0b")],
        "long" => vec![started, file(&format!("{}a", "a/".repeat(2048)))],
        "target" => vec![
            started,
            Frame::Entry {
                entry: Entry {
                    path: b"a".to_vec(),
                    kind: EntryKind::Symlink(b"a\0b".to_vec()),
                    size: 0,
                    mode: 0o777,
                },
                read: false,
            },
        ],
        "directory-size" => vec![
            started,
            Frame::Entry {
                entry: Entry {
                    path: b"a".to_vec(),
                    kind: EntryKind::Directory,
                    size: 1,
                    mode: 0o755,
                },
                read: false,
            },
        ],
        "size" => vec![started, entry("a", EntryKind::File, u64::MAX)],
        "read-directory" => vec![started, entry("a", EntryKind::Directory, 0)],
        "mode" => vec![
            started,
            Frame::Entry {
                entry: Entry {
                    path: b"a".to_vec(),
                    kind: EntryKind::File,
                    size: 0,
                    mode: 0o10_0644,
                },
                read: false,
            },
        ],
        "fact-before" => vec![started, fact(0)],
        "fact-of-other" => vec![started, file("a"), file("b"), fact(0)],
        "fact-of-later" => vec![started, file("a"), fact(1)],
        "digest-of-other" => vec![
            started,
            file("a"),
            file("b"),
            Frame::Content {
                ordinal: 0,
                digest: [0; 32],
            },
        ],
        "fact-content" => vec![
            started,
            file("a"),
            Frame::Fact {
                ordinal: 0,
                fact: Fact::Rust(vec![Crate {
                    name: "a".repeat(1025),
                    version: "1.0.0".to_owned(),
                    is_of_crates_io: true,
                }]),
            },
        ],
        "after-end" => vec![started, file("a"), fact(0), done(), fact(0)],
        "no-digest" => vec![
            started,
            Frame::Done(Done {
                digests: None,
                unpacked: 1,
            }),
        ],
        "long-digest" => vec![
            started,
            Frame::Done(Done {
                digests: Some((vec![0; 65], vec![0; 32])),
                unpacked: 1,
            }),
        ],
        "unpacked" => vec![
            started,
            Frame::Done(Done {
                digests: Some((vec![0; 32], vec![0; 32])),
                unpacked: u64::MAX,
            }),
        ],
        "progress-beyond" => vec![started, Frame::Progress(u64::MAX)],
        "progress-again" => vec![started, Frame::Progress(1), Frame::Progress(1)],
        "digest" => vec![started, file("a"), fact(0), done()],
        "cut" => {
            raw = &[200, 0, 0, 0, 3];
            vec![started, file("a"), fact(0)]
        }
        "large" => {
            raw = &[255, 255, 255, 255, 3];
            vec![started, file("a"), fact(0)]
        }
        "malformed" => {
            raw = &[2, 0, 0, 0, 200, 200];
            vec![started, file("a"), fact(0)]
        }
        "trailing" => {
            // A report of progress, with one byte more than it has.
            raw = &[3, 0, 0, 0, 2, 1, 0];
            vec![started, file("a"), fact(0)]
        }
        "silent" => vec![started, file("a"), fact(0)],
        "endless" => {
            answer.write(&started)?;
            loop {
                answer.write(&file("a"))?;
            }
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    for frame in frames {
        answer.write(&frame)?;
    }
    answer.flush()?;
    io::stdout().write_all(raw)?;
    io::stdout().flush()
}

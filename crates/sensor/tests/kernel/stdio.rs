//! What comes with an exec: its descriptors and its rights.

use crate::pod::{Folder, Pod, execs, load};
use bailiff_api::DescriptorType::{Closed, File, Null, Other, Pipe, Socket, Terminal};
use bailiff_sensor::{Exec, Records};
use std::ffi::OsStr;

/// What `cat` was told to be, started by a shell line. Its own input is the null device, its output and errors are pipes.
fn cat(records: &mut Records, pod: &Pod, line: &str, arguments: &[&OsStr]) -> Exec {
    let output = pod.run(line, arguments);
    assert!(output.status.success(), "{line}: {output:?}");
    let found = execs(records, pod);
    let cat = found.iter().find(|exec| exec.filename.ends_with("/cat"));
    cat.unwrap_or_else(|| panic!("{line}: {found:#?}")).clone()
}

/// A shell with a connection for all three, as a reverse shell is started: the other end only listens.
const REVERSE_SHELL: &str = r#"perl -e '
    use Socket;
    socket(my $listener, PF_INET, SOCK_STREAM, 0) or die $!;
    bind($listener, sockaddr_in(0, INADDR_LOOPBACK)) && listen($listener, 1) or die $!;
    socket(my $connection, PF_INET, SOCK_STREAM, 0) or die $!;
    connect($connection, getsockname($listener)) or die $!;
    open(STDIN, "<&", $connection) && open(STDOUT, ">&", $connection) &&
        open(STDERR, ">&", $connection) or die $!;
    exec "/bin/sh", "-c", "exec cat /dev/null";
'"#;

#[tokio::test]
async fn a_reverse_shell_is_told_from_a_pipe_and_a_terminal() {
    let pod = Pod::new("stdio");
    let folder = Folder::new("stdio");
    let mut records = load();
    for (line, want) in [
        ("cat /dev/null", [Null, Pipe, Pipe]),
        ("true | cat", [Pipe, Pipe, Pipe]),
        (REVERSE_SHELL, [Socket; 3]),
        // `script` gives what it runs a pseudo-terminal.
        ("script -qec 'exec cat /dev/null' /dev/null", [Terminal; 3]),
        ("cat < \"$1\" > \"$1/out\" 2>&1 /dev/null", [File; 3]),
        ("cat /dev/null 0<&- 2>&-", [Closed, Pipe, Closed]),
        (
            "cat /dev/null < /dev/zero 2> /dev/full",
            [Other, Pipe, Other],
        ),
        ("mkfifo \"$1/p\" && cat <> \"$1/p\" /dev/null", [Pipe; 3]),
    ] {
        let exec = cat(&mut records, &pod, line, &[folder.0.as_os_str()]);
        assert_eq!(exec.descriptors, want, "{line}");
        assert!(!exec.secure_exec, "{line}");
    }
}

#[tokio::test]
async fn descriptors_that_end_with_the_exec_are_closed() {
    let pod = Pod::new("cloexec");
    let mut records = load();
    // F_SETFD, FD_CLOEXEC. The others stay, whichever number they had before.
    let line = r#"exec perl -e 'fcntl(STDIN, 2, 1) or die $!; exec "cat", "/dev/null"'"#;
    let exec = cat(&mut records, &pod, line, &[]);
    assert_eq!(exec.descriptors, [Closed, Pipe, Pipe]);
}

#[tokio::test]
async fn a_program_that_has_more_rights_by_its_file_is_told_apart() {
    let pod = Pod::new("secure");
    let folder = Folder::new("secure");
    let mut records = load();
    for (prepare, secure, uid) in [
        ("true", false, 0),
        ("chmod u+s \"$1/cat\"", true, 65534),
        ("chmod u-s,g+s \"$1/cat\"", true, 0),
        ("chmod g-s \"$1/cat\"", false, 0),
    ] {
        let line = format!(
            "test -e \"$1/cat\" || cp /bin/cat \"$1/cat\"; chown 65534:65534 \"$1/cat\"; {prepare}; \"$1/cat\" /dev/null"
        );
        let exec = cat(&mut records, &pod, &line, &[folder.0.as_os_str()]);
        assert_eq!((exec.secure_exec, exec.uid), (secure, uid), "{prepare}");
    }
}

//! The images that tests and the demo run.
//!
//! Here: pause, busybox, a small Debian, one static program. Not here: how an image is written.
//! Invariant: everything in them comes from packages that `install.sh` names.

use crate::image::Image;
use crate::process::run;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sandbox of every pod.
pub(crate) const PAUSE: &str = "bailiff.dev/testbed/pause:1";

/// An image that waits for ever: the sandbox of every pod.
///
/// # Errors
/// When there is no C compiler.
pub fn pause() -> Result<Image> {
    let folder = std::env::temp_dir().join(format!("bailiff-testbed-pause-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (source, program) = (folder.join("pause.c"), folder.join("pause"));
    std::fs::write(
        &source,
        "#include <unistd.h>\n#include <signal.h>\nstatic void end(int s) { _exit(0); }\nint main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }\n",
    )?;
    run(Command::new("cc")
        .args(["-static", "-Os", "-s", "-o"])
        .arg(&program)
        .arg(&source))
    .context("cannot compile the sandbox's program; it needs the package gcc")?;
    let mut image = Image::new(PAUSE);
    image
        .host_file("pause", &program)?
        .entrypoint(&["/pause"])
        .user("65535:65535");
    std::fs::remove_dir_all(&folder)?;
    Ok(image)
}

/// The folders that programs expect.
fn folders(image: &mut Image) -> Result<()> {
    for (path, mode) in [
        ("tmp", 0o1777),
        ("etc", 0o755),
        ("proc", 0o755),
        ("sys", 0o755),
        ("dev", 0o755),
        ("root", 0o700),
    ] {
        image.folder(path, mode)?;
    }
    image.file(
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        0o644,
    )?;
    image.file("etc/group", b"root:x:0:\nnobody:x:65534:\n", 0o644)?;
    Ok(())
}

/// An image with busybox and a link for each of its applets.
///
/// # Errors
/// When the package busybox-static is missing.
pub fn busybox() -> Result<Image> {
    let program = ["/usr/bin/busybox", "/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let program =
        program.context("busybox is missing: `testbed/install.sh` installs busybox-static")?;
    let mut image = Image::new("bailiff.dev/testbed/busybox:1");
    folders(&mut image)?;
    image
        .folder("bin", 0o755)?
        .host_file("bin/busybox", Path::new(program))?;
    for applet in run(Command::new(program).arg("--list"))?
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        image.link(&format!("bin/{applet}"), "busybox")?;
    }
    image.entrypoint(&["/bin/sh"]);
    Ok(image)
}

/// An image with dash, bash, coreutils and what they are linked with, laid out as Debian is.
///
/// # Errors
/// When a program is missing on this machine.
pub fn debian() -> Result<Image> {
    let mut image = Image::new("bailiff.dev/testbed/debian:1");
    folders(&mut image)?;
    for (path, target) in [
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
    ] {
        image.link(path, target)?;
    }
    let mut libraries = BTreeSet::new();
    for name in [
        "bash", "dash", "cat", "cp", "id", "ls", "sleep", "tac", "true", "env", "mkdir", "chmod",
        "seq",
    ] {
        let path = PathBuf::from("/usr/bin").join(name);
        image.host_file(&format!("usr/bin/{name}"), &path)?;
        // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)"
        let linked = run(Command::new("ldd").arg(&path))?;
        libraries.extend(
            linked
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(ToOwned::to_owned),
        );
    }
    image.link("usr/bin/sh", "dash")?;
    for library in libraries {
        let inside = library.trim_start_matches('/');
        let inside = if inside.starts_with("usr/") {
            inside.to_owned()
        } else {
            format!("usr/{inside}")
        };
        image.host_file(&inside, Path::new(&library))?;
    }
    image.entrypoint(&["/bin/bash"]);
    Ok(image)
}

/// An image with one static program and nothing else.
///
/// # Errors
/// When the program can't be read.
pub fn program(name: &str, binary: &Path) -> Result<Image> {
    let mut image = Image::new(name);
    let file = binary
        .file_name()
        .context("the program's path has no name")?
        .to_string_lossy()
        .into_owned();
    image
        .host_file(&file, binary)?
        .entrypoint(&[&format!("/{file}")])
        // `kubectl exec … -- bailiff observe` finds it.
        .path("/")
        .user("65532:65532");
    Ok(image)
}

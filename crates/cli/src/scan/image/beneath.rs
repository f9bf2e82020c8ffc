//! Files beneath a directory that strangers filled.
//!
//! Here: opening them. Not here: what they mean.
//! Invariant: nothing outside of the directory is opened, whatever its symbolic links say, and no device or pipe. The
//! kernel resolves the path, so nothing can be exchanged between a check and its use.

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A directory.
#[derive(Debug)]
pub(super) struct Beneath(OwnedFd);

/// Which symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Those that stay beneath the directory.
    Within,
    /// None.
    No,
}

impl Beneath {
    /// The directory at a path that the user named.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let directory = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_DIRECTORY.bits())
            .open(path)?;
        Ok(Self(directory.into()))
    }

    /// Opens a regular file for reading.
    pub(super) fn file(&self, path: &Path, links: Links) -> io::Result<File> {
        let file = File::from(self.opened(path, links, OFlag::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(file)
    }

    /// Opens a directory, without following a link.
    pub(super) fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.opened(path, Links::No, OFlag::O_DIRECTORY)
    }

    fn opened(&self, path: &Path, links: Links, more: OFlag) -> io::Result<OwnedFd> {
        let links = match links {
            Links::Within => ResolveFlag::RESOLVE_NO_MAGICLINKS,
            Links::No => ResolveFlag::RESOLVE_NO_SYMLINKS,
        };
        // A pipe without a writer is opened at once, and then is no regular file.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let how = OpenHow::new()
            .flags(flags | more)
            .resolve(ResolveFlag::RESOLVE_BENEATH | links);
        openat2(self.0.as_fd(), path, how).map_err(io::Error::from)
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_of_the_directory_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::write(directory.path().join("secret"), "x").unwrap();
        std::fs::write(root.join("in/file"), "content").unwrap();
        symlink("in/file", root.join("within")).unwrap();
        symlink("../secret", root.join("above")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        symlink("..", root.join("parent")).unwrap();
        symlink("/proc/self/fd/0", root.join("magic")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let beneath = Beneath::open(&root).unwrap();
        let mut text = String::new();
        let mut within = beneath.file(Path::new("within"), Links::Within).unwrap();
        within.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert!(beneath.file(Path::new("within"), Links::No).is_err());
        for path in [
            "above",
            "absolute",
            "parent/secret",
            "magic",
            "../secret",
            "/etc/passwd",
            "pipe",
            "in",
        ] {
            for links in [Links::Within, Links::No] {
                let opened = beneath.file(Path::new(path), links);
                assert!(opened.is_err(), "{path} {links:?}");
            }
        }
        assert!(beneath.directory(Path::new("in")).is_ok());
        assert!(beneath.directory(Path::new("parent")).is_err());
    }
}

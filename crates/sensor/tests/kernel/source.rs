//! Where an executable is told to come from, by the kernel's types as a whole and in pieces.

use crate::pod::{Folder, Pod, execs, load};
use bailiff_sensor::{Exec, Records};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Five programs on an overlay, each named after where it comes from. With `metacopy`, of one of them only the
/// permissions were changed: the data of another is written.
const LINE: &str = r#"exec unshare --mount sh -c '
    mount -t tmpfs t "$1" && cd "$1" && mkdir up work root volume &&
    mount -t overlay o -o lowerdir=/,upperdir=up,workdir=work,metacopy=on root &&
    cp /bin/true root/new && chmod 700 root/usr/bin/wc &&
    cp /usr/bin/od copy && cat copy > root/usr/bin/od &&
    mount --bind volume root/mnt && cp /bin/true root/mnt/mounted &&
    exec chroot root sh -c "/usr/bin/cat /dev/null; /usr/bin/wc /dev/null; /usr/bin/od /dev/null; /new; /mnt/mounted"
' sh "$1""#;

/// The source of each program by the last part of its path.
fn sources(test: &str, types: &Path) -> BTreeMap<String, &'static str> {
    let mut records = Records::load_by_types(1 << 20, types).unwrap();
    // Of a container that was there before, no source is known.
    let pod = Pod::new(test);
    let folder = new_folder(test);
    let output = pod.run(LINE, &[folder.as_os_str()]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{output:?}");
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    execs(&mut records, &pod)
        .iter()
        .map(|exec| (name(&exec.executable), exec.source.as_str()))
        .filter(|(name, _)| ["cat", "wc", "od", "new", "mounted"].contains(&name.as_str()))
        .collect()
}

fn new_folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("bailiff-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn of(
    image: &'static str,
    modified: &'static str,
    new: &'static str,
) -> BTreeMap<String, &'static str> {
    [
        ("cat", image),
        ("wc", image),
        ("od", modified),
        ("new", new),
        ("mounted", "Volume"),
    ]
    .map(|(name, source)| (name.to_owned(), source))
    .into()
}

fn known() -> BTreeMap<String, &'static str> {
    of("Image", "ImageModified", "WritableLayer")
}

fn unknown() -> BTreeMap<String, &'static str> {
    of("Unknown", "Unknown", "Unknown")
}

/// Programs of a folder by how they were started, and whether each was told to have no name any more.
const DELETED: [(&str, bool); 5] = [
    ("\"$1/x\"", false),
    ("exec 9< \"$1/x\" && /proc/self/fd/9", false),
    ("exec 9< \"$1/x\" && rm \"$1/x\" && /proc/self/fd/9", true),
    (
        "exec 9< \"$1/x\" && mv \"$1/x\" \"$1/y\" && /proc/self/fd/9",
        false,
    ),
    // Another file took its name.
    (
        "cp \"$1/x\" \"$1/new\" && exec 9< \"$1/x\" && mv \"$1/new\" \"$1/x\" && /proc/self/fd/9",
        true,
    ),
];

#[tokio::test]
async fn an_executable_without_a_name_is_told_apart_wherever_it_was() {
    let pod = Pod::new("deleted");
    let folder = Folder::new("deleted");
    let mut records = load();
    for mount in ["true", "mount -t tmpfs t \"$1\""] {
        for (line, want) in DELETED {
            let line = format!(
                "unshare --mount sh -c '{mount} && cp /bin/true \"$1/x\" && {line} && rm -f \"$1\"/*' sh \"$1\""
            );
            let output = pod.run(&line, &[folder.0.as_os_str()]);
            assert!(output.status.success(), "{line}: {output:?}");
            let found = execs(&mut records, &pod);
            let name = |exec: &Exec| {
                exec.executable
                    .strip_prefix(folder.path())
                    .map(str::to_owned)
            };
            let ran = found.iter().find(|exec| name(exec).is_some());
            let ran = ran.unwrap_or_else(|| panic!("{line}: {found:#?}"));
            assert_eq!(ran.executable_deleted, want, "{line}");
            assert_ne!(ran.source.as_str(), "Memory", "{line}");
            // All others have their names.
            let deleted = found.iter().filter(|exec| exec.executable_deleted).count();
            assert_eq!(deleted, usize::from(want), "{line}");
        }
    }
}

#[tokio::test]
async fn where_an_executable_comes_from_is_told() {
    assert_eq!(sources("source", Path::new("/sys/kernel/btf")), known());
}

/// The kernel's types, and those of a module, as the kernel shows both.
struct Types {
    kernel: Vec<u8>,
    module: Vec<u8>,
}

impl Types {
    /// Types of the running kernel, with `struct ovl_inode` in a module, and this `struct` there besides, if any: its
    /// name, and that of a field at its beginning.
    fn taken_apart(besides: Option<(&str, &str)>) -> Self {
        let mut kernel = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let texts_len = number_at(&kernel, 20);
        let (mut records, mut names) = match std::fs::read("/sys/kernel/btf/overlay") {
            Ok(module) => parts(&module),
            Err(error) if error.kind() == ErrorKind::NotFound => take_out(&mut kernel),
            Err(error) => panic!("{error}"),
        };
        if let Some((name, field)) = besides {
            records.extend(text_number(texts_len + names.len()));
            names.extend([name.as_bytes(), b"\0"].concat());
            // A structure with one field, of 8 bytes.
            records.extend([4 << 24 | 1, 8_u32].map(u32::to_ne_bytes).concat());
            records.extend(text_number(texts_len + names.len()));
            names.extend([field.as_bytes(), b"\0"].concat());
            records.extend(
                [number_of_an_integer(&kernel), 0]
                    .map(u32::to_ne_bytes)
                    .concat(),
            );
        }
        let mut module = kernel[..4].to_vec();
        let lengths = [records.len(), names.len()].map(|length| u32::try_from(length).unwrap());
        for number in [24, 0, lengths[0], lengths[0], lengths[1]] {
            module.extend(number.to_ne_bytes());
        }
        module.extend([records, names].concat());
        Self { kernel, module }
    }

    /// A folder like `/sys/kernel/btf`.
    fn folder(&self, test: &str, with_module: bool) -> PathBuf {
        let folder = new_folder(&format!("types-{test}"));
        std::fs::write(folder.join("vmlinux"), &self.kernel).unwrap();
        if with_module {
            std::fs::write(folder.join("overlay"), &self.module).unwrap();
        }
        folder
    }
}

/// Takes `struct ovl_inode` out of the kernel's types: its record, and the names that it has of its own.
fn take_out(kernel: &mut [u8]) -> (Vec<u8>, Vec<u8>) {
    let [header, texts, texts_len] = [4, 16, 20].map(|at| number_at(kernel, at));
    let is_it = |at: &usize| {
        let text = &kernel[header + texts + number_at(kernel, *at)..];
        text.starts_with(b"ovl_inode\0")
    };
    let found: Vec<_> = types_of(kernel).filter(is_it).collect();
    assert!(found.len() < 2, "two types of this name");
    let found = found.first().map(|at| *at..*at + length_at(kernel, *at));
    let found = found.expect("overlayfs is built into the kernel, or a module that is loaded");
    // Fields have their names from the kernel's texts, as split types do.
    let mut records = kernel[found.clone()].to_vec();
    records[..4].copy_from_slice(&text_number(texts_len));
    kernel[found][..4].fill(0);
    (records, b"ovl_inode\0".to_vec())
}

/// Where the types are, in the order of their numbers, which begin with 1.
fn types_of(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let [header, types, types_len] = [4, 8, 12].map(|at| number_at(bytes, at));
    let next = |at: &usize| Some(*at + length_at(bytes, *at));
    let all = std::iter::successors(Some(header + types), next);
    all.take_while(move |at| *at < header + types + types_len)
}

fn length_at(bytes: &[u8], at: usize) -> usize {
    length_of(u32::try_from(number_at(bytes, at + 4)).unwrap())
}

/// The number of some integer type of the kernel.
fn number_of_an_integer(kernel: &[u8]) -> u32 {
    let is_integer = |at: usize| (number_at(kernel, at + 4) >> 24) & 0x1f == 1;
    let place = types_of(kernel).position(is_integer).unwrap();
    u32::try_from(place).unwrap() + 1
}

/// Types and texts (Linux 6.18, `Documentation/bpf/btf.rst`, section 2.1).
fn parts(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let [header, types, types_len, texts, texts_len] =
        [4, 8, 12, 16, 20].map(|at| number_at(bytes, at));
    let part = |start: usize, length: usize| bytes[header + start..][..length].to_vec();
    (part(types, types_len), part(texts, texts_len))
}

fn number_at(bytes: &[u8], at: usize) -> usize {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The number of a text of a module, whose texts go on where the kernel's end.
fn text_number(at: usize) -> [u8; 4] {
    u32::try_from(at).unwrap().to_ne_bytes()
}

/// Bytes of a type, by its second word (Linux 6.18, `include/uapi/linux/btf.h`).
fn length_of(info: u32) -> usize {
    let members = (info & 0xffff) as usize;
    12 + match (info >> 24) & 0x1f {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * members,
        6 | 13 => 8 * members,
        _ => 0,
    }
}

#[tokio::test]
async fn types_of_a_module_count_like_those_of_the_kernel() {
    for (test, besides, with_module, want) in [
        ("module", None, true, known()),
        ("no-module", None, false, unknown()),
        // Its structure has a name of the kernel's and another layout: it does without the module.
        ("conflict", Some(("task_struct", "tgid")), true, unknown()),
    ] {
        let types = Types::taken_apart(besides).folder(test, with_module);
        let found = sources(test, &types);
        std::fs::remove_dir_all(&types).unwrap();
        assert_eq!(found, want, "{test}");
    }
}

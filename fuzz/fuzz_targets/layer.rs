//! Law: a layer has entries that a tree can keep, or an error that can be printed, within bounded memory. No path leads
//! outside the root.
//!
//! An input is the layers of an image, separated with `|`. One that is neither an archive nor packed has the members of
//! an archive, separated with `;`: the type of the header, the name, a tab, and the target or the content, in which `^`
//! is a line feed.

#![no_main]

use bailiff_oci::layer::{CannotUnpack, Compression, Layer, Limits, MAX_PATH_BYTES};
use bailiff_oci::tree::{Node, Resolved, Tree, View};
use libfuzzer_sys::fuzz_target;
use std::io::Read as _;

/// The most memory that an input takes, in bytes: a window of zstd data, and one block of nodes and names.
const MEMORY: u64 = 4 << 20;

fuzz_target!(|input: &[u8]| {
    let taken = allocation_counter::measure(|| image(input));
    assert!(taken.bytes_max < MEMORY, "{} bytes", taken.bytes_max);
});

fn image(input: &[u8]) {
    let limits = Limits {
        unpacked: 1 << 22,
        lookups: 1 << 16,
        ..Limits::default()
    };
    let mut tree = Tree::new(&limits);
    for bytes in input.split(|byte| *byte == b'|').take(4) {
        tree.begin_layer();
        let written = written(bytes);
        let result = layer(&mut tree, written.as_deref().unwrap_or(bytes), &limits);
        printable(result);
        printable(tree.end_layer());
    }
    for layers in 0..=tree.layers() {
        look(&tree.view_to(layers));
    }
}

fn layer(tree: &mut Tree, bytes: &[u8], limits: &Limits) -> Result<(), CannotUnpack> {
    let mut layer = Layer::new(bytes, limits);
    let mut ordinal = 0;
    while let Some(entry) = layer.next()? {
        let mut content = layer.content();
        let mut buffer = [0; 4096];
        let mut size = 0;
        while let Ok(read @ 1..) = content.read(&mut buffer) {
            size += u64::try_from(read).expect("a buffer is small");
        }
        drop(content);
        let unpacked = layer.unpacked();
        assert!(unpacked <= limits.unpacked && size <= entry.size);
        printable(tree.apply(ordinal, &entry));
        ordinal += 1;
    }
    Ok(())
}

fn look(view: &View<'_>) {
    let mut last: Option<Vec<u8>> = None;
    for (path, node) in view.walk() {
        is_path(&path);
        let Node { kind: _, id } = node;
        assert!(id.layer < 4);
        if let Some(last) = &last {
            let components = |path: &[u8]| -> Vec<_> {
                path.split(|byte| *byte == b'/')
                    .map(<[u8]>::to_vec)
                    .collect()
            };
            assert!(components(last) < components(&path), "a path comes twice");
        }
        if let Resolved::Found { path, .. } = view.resolve(&path) {
            is_path(&path);
        }
        last = Some(path);
    }
}

fn is_path(path: &[u8]) {
    assert!(path.len() <= MAX_PATH_BYTES);
    let is_valid =
        |component: &[u8]| !matches!(component, b"" | b"." | b"..") && !component.contains(&0);
    assert!(path.is_empty() || path.split(|byte| *byte == b'/').all(is_valid));
}

fn printable(result: Result<(), CannotUnpack>) {
    if let Err(cause) = result {
        let message = cause.to_string();
        assert!(message.len() < 300, "{message}");
        assert!(message.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
    }
}

/// An archive of these members; none if the input is an archive or packed itself.
fn written(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.get(257..262) == Some(b"ustar") || Compression::of(bytes) != Compression::None {
        return None;
    }
    let mut archive = Vec::new();
    for member in bytes.split(|byte| *byte == b';') {
        let Some((kind, rest)) = member.split_first() else {
            continue;
        };
        let mut parts = rest.splitn(2, |byte| *byte == b'\t');
        let name = parts.next().unwrap_or_default();
        let second = parts.next().unwrap_or_default();
        let second = &*second
            .split(|byte| *byte == b'^')
            .collect::<Vec<_>>()
            .join(&b'\n');
        let has_content = matches!(kind, b'0' | b'x' | b'g' | b'L' | b'K' | b'S' | b'7' | 0);
        let mut block = [0; 512];
        let mut put = |at: usize, text: &[u8], most: usize| {
            let text = &text[..text.len().min(most)];
            block[at..at + text.len()].copy_from_slice(text);
        };
        put(0, name, 100);
        if has_content {
            put(124, format!("{:o}", second.len()).as_bytes(), 12);
        } else {
            put(157, second, 100);
        }
        put(156, &[*kind], 1);
        put(257, b"ustar\x0000", 8);
        put(148, b"        ", 8);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&block);
        if has_content {
            archive.extend_from_slice(second);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
    }
    Some(archive)
}

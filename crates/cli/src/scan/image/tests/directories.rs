//! Root file systems.

use super::*;

#[test]
fn a_directory_has_no_platform() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("dir:{}", directory.path().display());
    for platform in ["linux/amd64", "all"] {
        assert_eq!(
            gather_text(&text, Some(platform)).unwrap_err(),
            format!("cannot scan {text}: a directory does not say its platform; remove --platform")
        );
    }
    let gathered = gather_text(&text, None).unwrap();
    assert_eq!(gathered.images[0].platform, "unknown");
}

#[test]
fn a_directory_is_one_layer_and_leads_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::fs::write(root.join("etc/os-release"), "ID=debian\n").unwrap();
    std::fs::hard_link(root.join("etc/os-release"), root.join("other-name")).unwrap();
    symlink("../secret", root.join("link")).unwrap();
    symlink("..", root.join("parent")).unwrap();
    std::fs::write(root.join(".wh.etc"), "").unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gathered = gather_text(&format!("dir:{}", root.display()), None).unwrap();
    let image = &gathered.images[0];
    assert_eq!(
        image.faults,
        ["cannot read .wh.etc: in a layer, its name would delete another file"]
    );
    let [layer] = image.layers.as_slice() else {
        panic!("{:?}", image.layers);
    };
    assert_eq!(layer.digest, layer.diff_id);
    let LayerContent::File(stored) = &layer.content else {
        panic!("{layer:?}");
    };
    assert_eq!(stored.file.metadata().unwrap().len(), layer.size);
    let mut bytes = Vec::new();
    (&stored.file).read_to_end(&mut bytes).unwrap();
    let digest = bailiff_oci::Hasher::digest(bailiff_oci::Algorithm::Sha256, &bytes);
    assert_eq!(Some(digest), layer.digest);
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut entries = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let link = entry
            .link_name()
            .unwrap()
            .map(|link| link.display().to_string());
        let path = entry.path().unwrap().display().to_string();
        entries.push((path, entry.header().entry_type(), link.unwrap_or(text)));
    }
    let entry = |path: &str, kind, text: &str| (path.to_owned(), kind, text.to_owned());
    assert_eq!(
        entries,
        [
            entry("etc", tar::EntryType::Directory, ""),
            entry("link", tar::EntryType::Symlink, "../secret"),
            entry("other-name", tar::EntryType::Regular, "ID=debian\n"),
            entry("parent", tar::EntryType::Symlink, ".."),
            entry("pipe", tar::EntryType::Fifo, ""),
            entry("etc/os-release", tar::EntryType::Link, "other-name"),
        ]
    );
}

#[test]
fn holes_of_files_take_no_room_and_a_file_that_is_too_large_hides_no_other() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let sparse = |name: &str, size| {
        let file = std::fs::File::create(root.join(name)).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(b"data", 1 << 20).unwrap();
    };
    sparse("a-large", 40 << 30);
    sparse("b-sparse", 3 << 30);
    std::fs::write(root.join("c"), "content").unwrap();
    let gathered = gather_text(&format!("dir:{}", root.display()), None).unwrap();
    let image = &gathered.images[0];
    assert_eq!(
        image.faults,
        [
            "cannot read a-large: with its 42949672960 bytes, the files have more than the 34359738368 that are read"
        ]
    );
    let [layer] = image.layers.as_slice() else {
        panic!("{:?}", image.layers);
    };
    assert!(layer.size < 1 << 20, "{}", layer.size);
    let LayerContent::File(stored) = &layer.content else {
        panic!("{layer:?}");
    };
    let limits = bailiff_oci::layer::Limits::default();
    let mut layer = bailiff_oci::layer::Layer::new(&stored.file, &limits);
    let entry = layer.next().unwrap().unwrap();
    assert_eq!((&*entry.path, entry.size), (&b"b-sparse"[..], 3 << 30));
    let mut start = vec![0; (1 << 20) + 8];
    layer.content().read_exact(&mut start).unwrap();
    assert_eq!(start.get(1 << 20..), Some(&b"data\0\0\0\0"[..]));
    let entry = layer.next().unwrap().unwrap();
    let mut text = String::new();
    layer.content().read_to_string(&mut text).unwrap();
    assert_eq!((&*entry.path, &*text), (&b"c"[..], "content"));
    assert_eq!(layer.next().unwrap(), None);
}

//! Images of layouts, archives and directories, made by hand, and of real and hostile registries (`registries`).

mod docker;
mod made;
mod registries;

use super::*;
use bailiff_oci::image::{LayerBlob, LayerContent};
use made::{CONFIG, INDEX, Layout, MANIFEST, platform};
use serde_json::json;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;

fn gather_text(image: &str, platform: Option<&str>) -> Result<Gathered, String> {
    let args = ImageArgs {
        image: Some(image.to_owned()),
        platform: platform.map(|text| text.parse().unwrap()),
        ..ImageArgs::default()
    };
    let mut err = Vec::new();
    let gathered = gather(&args, &Environment::default(), &mut err);
    assert_eq!(String::from_utf8(err).unwrap(), "");
    gathered.map_err(|error| error.to_string())
}

/// The bytes of a layer.
fn content(layer: &LayerBlob) -> Result<String, String> {
    match &layer.content {
        LayerContent::File(file) => {
            let mut text = String::new();
            (&file.file).read_to_string(&mut text).unwrap();
            assert_eq!(u64::try_from(text.len()).unwrap(), layer.size);
            assert!((&file.file).write(b"x").is_err(), "it is open for writing");
            Ok(text)
        }
        LayerContent::Unavailable(cause) => Err(cause.clone()),
    }
}

fn contents(image: &Image) -> Vec<Result<String, String>> {
    image.layers.iter().map(content).collect()
}

/// Platforms and layers of images.
fn found(gathered: &Gathered) -> Vec<(String, Vec<String>)> {
    let found = gathered.images.iter().map(|image| {
        let layers = contents(image).into_iter().map(Result::unwrap).collect();
        (image.platform.clone(), layers)
    });
    found.collect()
}

fn one(platform: &str, layers: &[&str]) -> Vec<(String, Vec<String>)> {
    let layers = layers.iter().map(|layer| (*layer).to_owned()).collect();
    vec![(platform.to_owned(), layers)]
}

fn expect(text: &str, want: &str) {
    assert_eq!(
        gather_text(text, None).unwrap_err(),
        format!("cannot scan {text}: {want}")
    );
}

#[test]
fn the_image_of_a_layout_is_found_in_a_directory_and_in_an_archive() {
    let layout = Layout::new();
    let image = layout.image("linux/s390x", &["one", "two"]);
    layout.index(std::slice::from_ref(&image));
    let directory = layout.path().display().to_string();
    let archive = layout.archive().display().to_string();
    for path in [directory, archive] {
        let text = format!("oci:{path}");
        let error = gather_text(&text, Some("linux/mips64le")).unwrap_err();
        let want = "it is for linux/s390x, not for linux/mips64le; remove --platform";
        assert_eq!(error, format!("cannot scan {text}: {want}"));
        for name in [
            String::new(),
            format!("@{}", image["digest"].as_str().unwrap()),
        ] {
            let gathered = gather_text(&format!("oci:{path}{name}"), None).unwrap();
            assert_eq!(found(&gathered), one("linux/s390x", &["one", "two"]));
            let image = &gathered.images[0];
            assert_eq!(image.reference, format!("oci:{path}{name}"));
            assert!(image.faults.is_empty(), "{:?}", image.faults);
            for layer in &image.layers {
                assert_eq!(layer.digest, layer.diff_id);
            }
        }
    }
}

#[test]
fn a_tag_selects_an_image_of_a_layout() {
    let layout = Layout::new();
    let path = layout.path().display().to_string();
    let tagged = |tag: &str, layer: &str| {
        let mut entry = layout.image(&machine().to_string(), &[layer]);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        entry
    };
    let mut second = tagged("2", "two");
    second["annotations"]["io.containerd.image.name"] = json!("docker.io/library/web:2");
    layout.index(&[tagged("1", "one"), second]);
    let machine = machine().to_string();
    for (tag, layer) in [
        ("1", "one"),
        ("2", "two"),
        ("docker.io/library/web:2", "two"),
    ] {
        let gathered = gather_text(&format!("oci:{path}:{tag}"), None).unwrap();
        assert_eq!(found(&gathered), one(&machine, &[layer]), "{tag}");
    }
    expect(
        &format!("oci:{path}"),
        "the layout has several images; write oci:PATH:TAG with one of 1, 2, docker.io/library/web:2",
    );
    expect(
        &format!("oci:{path}:3"),
        "the layout has no image with the tag 3; it has 1, 2, docker.io/library/web:2",
    );
    layout.index(&[layout.image(&machine, &["one"])]);
    expect(
        &format!("oci:{path}:3"),
        "the layout has no image with the tag 3, and none with another; remove the tag",
    );
}

#[test]
fn platforms_are_selected_and_the_others_named() {
    let layout = Layout::new();
    let text = format!("oci:{}", layout.path().display());
    let (amd64, arm64) = (
        layout.image("linux/amd64", &["a"]),
        layout.image("linux/arm64", &["b"]),
    );
    let mut attestation = layout.image("linux/amd64", &["attestation"]);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let mut unmarked = layout.image("linux/amd64", &["unmarked"]);
    unmarked["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let mut silent = layout.image("linux/riscv64", &["silent"]);
    silent.as_object_mut().unwrap().remove("platform");
    let nested = layout.put(INDEX, &json!({"manifests": [arm64, attestation, silent]}));
    let second = layout.put(INDEX, &json!({"manifests": [nested, unmarked]}));
    layout.index(&[amd64, second]);
    for (platform, layer, others) in [
        (
            "linux/amd64",
            "a",
            vec!["linux/arm64", "linux/riscv64", "unknown/unknown"],
        ),
        (
            "linux/arm64/v8",
            "b",
            vec!["linux/amd64", "linux/riscv64", "unknown/unknown"],
        ),
        // What the index does not say, the configuration does.
        (
            "linux/riscv64",
            "silent",
            vec!["linux/amd64", "linux/arm64", "unknown/unknown"],
        ),
    ] {
        let gathered = gather_text(&text, Some(platform)).unwrap();
        let normal = platform.trim_end_matches("/v8");
        assert_eq!(found(&gathered), one(normal, &[layer]));
        assert_eq!(gathered.other_platforms, others);
        assert_eq!(gathered.attestations, 1);
        assert!(gathered.faults.is_empty(), "{:?}", gathered.faults);
    }
    let all = gather_text(&text, Some("all")).unwrap();
    let layers: Vec<_> = found(&all)
        .into_iter()
        .flat_map(|(_, layers)| layers)
        .collect();
    assert_eq!(layers, ["a", "b", "silent", "unmarked"]);
    assert!(all.other_platforms.is_empty());
    let error = gather_text(&text, Some("linux/mips64")).unwrap_err();
    let want = "it has no image for linux/mips64; set --platform to one of linux/amd64, linux/arm64, linux/riscv64, unknown/unknown";
    assert_eq!(error, format!("cannot scan {text}: {want}"));
}

#[test]
fn all_images_that_a_runtime_could_start_are_selected() {
    let layout = Layout::new();
    let machine = machine().to_string();
    let twice = layout.image(&machine, &["one"]);
    layout.index(&[twice.clone(), layout.image(&machine, &["two"]), twice]);
    let gathered = gather_text(&format!("oci:{}", layout.path().display()), None).unwrap();
    let layers: Vec<_> = found(&gathered)
        .into_iter()
        .flat_map(|(_, layers)| layers)
        .collect();
    assert_eq!(layers, ["one", "two"]);
}

#[test]
fn an_index_is_bounded() {
    let layout = Layout::new();
    let text = format!("oci:{}", layout.path().display());
    let machine = machine().to_string();
    let image = layout.image(&machine, &["one"]);
    let mut deep = layout.image(&machine, &["deep"]);
    for _ in 0..4 {
        deep = layout.put(INDEX, &json!({"manifests": [deep]}));
    }
    layout.index(&[image.clone(), deep]);
    let gathered = gather_text(&text, None).unwrap();
    assert_eq!(found(&gathered), one(&machine, &["one"]));
    assert_eq!(gathered.faults, ["indexes are nested deeper than 4 levels"]);
    let many = vec![image.clone(); 600];
    let many = layout.put(INDEX, &json!({ "manifests": many }));
    layout.index(&[many.clone(), many]);
    let gathered = gather_text(&text, None).unwrap();
    assert_eq!(found(&gathered), one(&machine, &["one"]));
    assert_eq!(gathered.faults, ["the indexes have more than 1000 entries"]);
    let empty: Vec<_> = (0..32)
        .map(|number| layout.put(INDEX, &json!({"manifests": [], "a": number})))
        .collect();
    layout.index(&[empty, vec![image]].concat());
    let gathered = gather_text(&text, None).unwrap();
    assert_eq!(gathered.images.len(), 1);
    assert_eq!(gathered.faults, ["there are more than 32 indexes"]);
}

#[test]
fn what_cannot_be_read_of_an_index_hides_nothing_else() {
    let layout = Layout::new();
    let machine = machine().to_string();
    let mut missing = layout.put(INDEX, &json!({"manifests": []}));
    layout.remove(&missing);
    missing["platform"] = platform("linux/arm64");
    let mut odd = layout.image(&machine, &["odd"]);
    odd["mediaType"] = json!("application/x\u{1b}[2J");
    let digest = odd["digest"].as_str().unwrap().to_owned();
    layout.index(&[
        json!(1),
        missing.clone(),
        odd,
        layout.image(&machine, &["one"]),
    ]);
    let gathered = gather_text(&format!("oci:{}", layout.path().display()), None).unwrap();
    assert_eq!(found(&gathered), one(&machine, &["one"]));
    let blob = missing["digest"].as_str().unwrap().replace(':', "/");
    assert_eq!(
        gathered.faults,
        [
            "entry 1 of an index cannot be read: manifests must be a list of objects".to_owned(),
            format!("cannot read blobs/{blob}: No such file or directory (os error 2)"),
            format!(
                "{digest} is no image that can be read: its media type is \"application/x\\u{{1b}}[2J\""
            ),
        ]
    );
}

#[test]
fn a_layer_that_cannot_be_read_hides_no_other() {
    let layout = Layout::new();
    let machine = machine().to_string();
    let layers = ["one", "two", "three", "four"].map(|text| layout.layer(text));
    let [one, mut two, three, mut four] = layers;
    two["size"] = json!(4);
    layout.remove(&three);
    layout.remove(&four);
    four["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    four["urls"] = json!(["https://169.254.169.254/"]);
    let diff_ids = [&one["digest"], &two["digest"], &three["digest"]];
    let image = layout.image_of(
        &machine,
        &[one.clone(), two.clone(), three.clone(), four],
        &json!(diff_ids),
    );
    layout.index(&[image]);
    let gathered = gather_text(&format!("oci:{}", layout.path().display()), None).unwrap();
    let image = &gathered.images[0];
    let blob = |layer: &serde_json::Value| layer["digest"].as_str().unwrap().replace(':', "/");
    assert_eq!(
        contents(image),
        [
            Ok("one".to_owned()),
            Err(format!(
                "blobs/{} has 3 bytes, and its manifest says 4",
                blob(&two)
            )),
            Err(format!(
                "cannot read blobs/{}: No such file or directory (os error 2)",
                blob(&three)
            )),
            Err(
                "its content is only at URLs that the manifest names, which Bailiff does not ask"
                    .to_owned()
            ),
        ]
    );
    assert_eq!(
        image.faults,
        ["the manifest has 4 layers and the configuration 3, which a container runtime rejects"]
    );
    let diff_ids: Vec<_> = image
        .layers
        .iter()
        .map(|layer| layer.diff_id.is_some())
        .collect();
    assert_eq!(diff_ids, [true, true, true, false]);
}

#[test]
fn a_document_that_is_not_the_one_that_is_named_is_not_read() {
    let layout = Layout::new();
    let text = format!("oci:{}", layout.path().display());
    let machine = machine().to_string();
    let image = layout.image(&machine, &["one"]);
    let name = image["digest"].as_str().unwrap().replace(':', "/");
    let file = layout.path().join("blobs").join(&name);
    layout.index(std::slice::from_ref(&image));
    let bytes = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, bytes.replace("layers", "Layers")).unwrap();
    let want = "it has another digest than the one by which it is named";
    expect(&text, &format!("cannot read blobs/{name}: {want}"));
    expect(
        &format!("{text}@{}", image["digest"].as_str().unwrap()),
        &format!("cannot read blobs/{name}: {want}"),
    );
    // The configuration is another one: the layers count.
    let config = layout.put(CONFIG, &json!({"os": "linux"}));
    let mut named = config.clone();
    named["size"] = json!(1);
    let layer = layout.layer("one");
    let image = layout.put(MANIFEST, &json!({"config": named, "layers": [layer]}));
    layout.index(&[image]);
    let gathered = gather_text(&text, Some("all")).unwrap();
    assert_eq!(found(&gathered), one("unspecified/unspecified", &["one"]));
    let blob = config["digest"].as_str().unwrap().replace(':', "/");
    assert_eq!(
        gathered.images[0].faults,
        [format!(
            "cannot read blobs/{blob}: it has another size than the one by which it is named"
        )]
    );
}

#[test]
fn a_layout_leads_nowhere_else() {
    let layout = Layout::new();
    let text = format!("oci:{}", layout.path().display());
    let machine = machine().to_string();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), "one").unwrap();
    let layer = layout.layer("one");
    let file = layout.remove(&layer);
    symlink(outside.path(), &file).unwrap();
    let image = layout.image_of(
        &machine,
        std::slice::from_ref(&layer),
        &json!([layer["digest"]]),
    );
    layout.index(&[image]);
    let gathered = gather_text(&text, None).unwrap();
    let name = layer["digest"].as_str().unwrap().replace(':', "/");
    assert_eq!(
        contents(&gathered.images[0]),
        [Err(format!(
            "cannot read blobs/{name}: Invalid cross-device link (os error 18)"
        ))]
    );
    // Within the layout, links are followed: some tools store a blob once for several layouts.
    std::fs::write(layout.path().join("shared"), "one").unwrap();
    std::fs::remove_file(&file).unwrap();
    symlink("../../shared", &file).unwrap();
    assert_eq!(
        found(&gather_text(&text, None).unwrap()),
        one(&machine, &["one"])
    );
}

#[test]
fn what_is_no_image_is_nothing_to_scan() {
    let layout = Layout::new();
    let helm = layout.put("application/vnd.cncf.helm.config.v1+json", &json!({}));
    let chart = layout.put(
        MANIFEST,
        &json!({"config": helm, "layers": [layout.layer("chart")]}),
    );
    layout.index(&[chart]);
    let text = format!("oci:{}", layout.path().display());
    for text in [text.clone(), format!("{text}@{}", layout.last())] {
        let gathered = gather_text(&text, Some("all")).unwrap();
        assert!(gathered.images.is_empty());
        let nothing = &gathered.nothing[0];
        assert_eq!(
            (nothing.what.as_str(), nothing.digest.as_str()),
            ("a Helm chart", layout.last().as_str())
        );
    }
}

#[test]
fn a_path_that_is_something_else_has_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    expect(
        &format!("oci:{path}"),
        &format!(
            "{path} is no OCI layout, because it has no index.json; for a root file system, write dir:PATH"
        ),
    );
    expect(
        &format!("docker-archive:{path}"),
        &format!(
            "{path} is no archive of `docker save`, because it has no manifest.json; for a root file system, write dir:PATH"
        ),
    );
    std::fs::write(directory.path().join("manifest.json"), "[]").unwrap();
    expect(
        &format!("oci:{path}"),
        &format!(
            "{path} is no OCI layout, because it has no index.json; for what `docker save` writes, write docker-archive:PATH"
        ),
    );
    expect(
        &format!("docker-archive:{path}"),
        "the archive has no images",
    );
    std::fs::rename(
        directory.path().join("manifest.json"),
        directory.path().join("index.json"),
    )
    .unwrap();
    expect(
        &format!("docker-archive:{path}"),
        &format!(
            "{path} is no archive of `docker save`, because it has no manifest.json; it is an OCI layout; write oci:PATH"
        ),
    );
    expect(
        &format!("oci:{path}"),
        "cannot read index.json: it is not a JSON object",
    );
    let file = directory.path().join("image.tar.gz");
    std::fs::write(&file, b"\x1f\x8b\x08\x00rest").unwrap();
    let file = file.display().to_string();
    expect(
        &format!("docker-archive:{file}"),
        &format!(
            "cannot read {file}: it is compressed; decompress it with `gzip -dc {file} > image.tar`, and scan image.tar instead"
        ),
    );
    expect(
        &format!("dir:{file}"),
        &format!(
            "{file} is a file, not a directory; for an archive, write docker-archive:{file} or oci:{file}"
        ),
    );
    expect(
        "oci:/none",
        "cannot read /none: No such file or directory (os error 2)",
    );
    expect(
        "dir:/none",
        "cannot read /none: No such file or directory (os error 2)",
    );
}

#[test]
fn a_path_that_is_no_file_has_a_remedy() {
    for input in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        for scheme in ["docker-archive", "oci"] {
            expect(
                &format!("{scheme}:{input}"),
                &format!(
                    "cannot read {input}: standard input is not supported; save the image with `docker save -o image.tar`, and write docker-archive:image.tar"
                ),
            );
        }
    }
    for (scheme, path) in [
        ("dir", "rootfs"),
        ("oci", "image.tar"),
        ("docker-archive", "image.tar"),
    ] {
        expect(
            &format!("{scheme}:"),
            &format!("there is no path; write one, such as {scheme}:{path}"),
        );
    }
}

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

#[test]
fn the_command_line_names_one_image() {
    use clap::Parser as _;
    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        image: ImageArgs,
    }
    let parse = |args: &[&str]| {
        let args = std::iter::once("scan").chain(args.iter().copied());
        Command::try_parse_from(args).map(|command| command.image)
    };
    for (text, want) in [
        ("90m", Some(5400)),
        ("1h 30m", Some(5400)),
        ("0s", None),
        ("1", None),
    ] {
        let parsed = parse(&["nginx", "--pull-timeout", text]);
        let seconds = parsed.as_ref().ok().and_then(|args| args.pull_timeout);
        assert_eq!(seconds.map(|time| time.as_secs()), want, "{text}");
        if let Err(error) = parsed {
            let want = "must be a duration such as 15s, 5m or 1h";
            assert!(error.to_string().contains(want), "{error}");
        }
    }
    let args = parse(&["nginx", "--platform", "linux/arm64", "--plain-http"]).unwrap();
    assert_eq!(args.image.as_deref(), Some("nginx"));
    let arm64 = Platform::parse("linux/arm64").unwrap();
    assert_eq!(args.platform, Some(PlatformArg::One(arm64)));
    assert!(args.plain_http);
    let all = parse(&["nginx", "--platform", "all"]).unwrap();
    assert_eq!(all.platform, Some(PlatformArg::All));
    let error = parse(&["nginx", "--platform", "arm64"])
        .unwrap_err()
        .to_string();
    let want = "platform \"arm64\" is malformed; write os/architecture or os/architecture/variant, such as linux/arm64";
    assert!(error.contains(want), "{error}");
    for alone in [
        &["--plain-http"][..],
        &["--platform", "all"],
        &["--registries", "f"],
        &["--pull-timeout", "1h"],
    ] {
        assert!(parse(alone).is_err(), "{alone:?}");
    }
    expect(
        "oci-archive:x.tar",
        "images of oci-archive are not read; write oci:PATH for a layout or an archive of one, docker-archive:PATH for what `docker save` or `podman save` writes, or dir:PATH for a root file system",
    );
    assert!(Path::new("/proc/self/fd").exists());
}

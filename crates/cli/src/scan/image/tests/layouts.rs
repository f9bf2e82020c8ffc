//! Images of layouts, and archives of layouts.

use super::*;

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

//! Archives of `docker save`.

use super::*;

#[test]
fn the_images_of_docker_save_are_found() {
    let layout = Layout::new();
    let config = json!({"os": "linux", "architecture": "s390x", "rootfs": {"type": "layers", "diff_ids": [
        layout.layer("one")["digest"], layout.layer("one")["digest"], layout.layer("two")["digest"]
    ]}});
    let text = config.to_string();
    let legacy = json!([{"Config": "abc.json", "RepoTags": ["web:1"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}]).to_string();
    let entries: &[(&str, &str)] = &[
        ("abc.json", &text),
        ("1/", ""),
        ("1/layer.tar", "one"),
        ("2/layer.tar", "-> ../1/layer.tar"),
        ("3/layer.tar", "two"),
        ("manifest.json", &legacy),
    ];
    let directory = tempfile::tempdir().unwrap();
    let legacy = made::archive(directory.path(), entries);
    let put = layout.put(CONFIG, &config);
    let blob = |value: &serde_json::Value| {
        format!(
            "blobs/{}",
            value["digest"].as_str().unwrap().replace(':', "/")
        )
    };
    let layers = [
        layout.layer("one"),
        layout.layer("one"),
        layout.layer("two"),
    ];
    let layers: Vec<_> = layers.iter().map(blob).collect();
    layout.write(
        "manifest.json",
        &json!([{"Config": blob(&put), "RepoTags": ["web:1"], "Layers": layers}]),
    );
    layout.index(&[]);
    let today = layout.archive();
    for (path, has_digests) in [(&legacy, false), (&today, true), (&layout.path(), true)] {
        let path = path.display();
        for name in ["", ":web:1", ":docker.io/library/web:1"] {
            let gathered = gather_text(&format!("docker-archive:{path}{name}"), None).unwrap();
            assert_eq!(
                found(&gathered),
                one("linux/s390x", &["one", "one", "two"]),
                "{path}"
            );
            let image = &gathered.images[0];
            assert_eq!(image.digest.as_str(), put["digest"], "the image ID");
            assert!(image.faults.is_empty(), "{:?}", image.faults);
            for layer in &image.layers {
                assert_eq!(layer.digest.is_some(), has_digests);
                assert!(layer.diff_id.is_some());
            }
        }
        expect(
            &format!("docker-archive:{path}:web:2"),
            "the archive has no image web:2; it has web:1",
        );
        let text = format!("docker-archive:{path}");
        let error = gather_text(&text, Some("linux/amd64")).unwrap_err();
        let want = "it is for linux/s390x, not for linux/amd64; remove --platform, or write oci:PATH for an archive with images of several platforms";
        assert_eq!(error, format!("cannot scan {text}: {want}"));
    }
}

#[test]
fn an_archive_of_docker_leads_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    for (config, layer, want) in [
        (
            "/etc/passwd",
            "l",
            Some("cannot read /etc/passwd: it does not exist"),
        ),
        (
            "../../etc/passwd",
            "l",
            Some("cannot read ../../etc/passwd: it does not exist"),
        ),
        ("c", "/etc/passwd", None),
        ("c", "out", None),
    ] {
        let list = json!([{"Config": config, "Layers": [layer]}]).to_string();
        let path = made::archive(
            directory.path(),
            &[
                ("c", "{}"),
                ("out", "-> ../../../../etc/passwd"),
                ("manifest.json", &list),
            ],
        );
        let text = format!("docker-archive:{}", path.display());
        if let Some(want) = want {
            expect(&text, want);
            continue;
        }
        let gathered = gather_text(&text, None).unwrap();
        let unavailable = contents(&gathered.images[0])[0].clone().unwrap_err();
        let cause = format!("cannot read {layer}: it ");
        assert!(unavailable.starts_with(&cause), "{unavailable}");
    }
    let list =
        json!([{"Config": format!("blobs/sha256/{}", "0".repeat(64)), "Layers": []}]).to_string();
    let name = format!("blobs/sha256/{}", "0".repeat(64));
    let path = made::archive(directory.path(), &[(&name, "{}"), ("manifest.json", &list)]);
    expect(
        &format!("docker-archive:{}", path.display()),
        &format!("cannot read {name}: it has another digest than the one by which it is named"),
    );
}

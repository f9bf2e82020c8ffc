//! Images of layouts (`layouts`), of archives (`docker`) and directories (`directories`), made by hand, and of real and
//! hostile registries (`registries`).

mod directories;
mod docker;
mod layouts;
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

//! The same images, unpacked by containerd and by us.
//!
//! Here: asking both, and their answers in one form. Not here: the images (`generated`, `main`).
//! Invariant: one process answers for all images. A difference names the image and both answers.

use crate::generated::Image;
use bailiff_oci::layer::{Layer, Limits};
use bailiff_oci::tree::{FileId, NodeKind, Resolved, Tree, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// What one layer gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Rejected(String),
    Tree(Shown),
}

/// A tree in one form: a line for each path, and one for each path that was looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) nodes: Vec<String>,
    pub(crate) resolved: Vec<String>,
}

#[derive(Serialize)]
struct Request {
    layers: Vec<String>,
    paths: Vec<String>,
}

#[derive(Deserialize)]
struct Theirs {
    error: String,
    tree: Option<Vec<TheirNode>>,
    resolved: Option<Vec<TheirPlace>>,
}

#[derive(Deserialize)]
struct TheirNode {
    path: String,
    kind: String,
    content: String,
    target: Option<String>,
}

#[derive(Deserialize)]
struct TheirPlace {
    path: Option<String>,
    error: String,
}

fn decoded(text: Option<&String>) -> String {
    let bytes = text.map_or_else(Vec::new, |text| base64::decode(text));
    bytes.escape_ascii().to_string()
}

/// Base64 as Go's JSON has it for bytes.
mod base64 {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;

    pub(super) fn encode(bytes: &[u8]) -> String {
        STANDARD.encode(bytes)
    }

    pub(super) fn decode(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }
}

/// What containerd makes of images.
pub(crate) fn theirs(images: &[Image]) -> Vec<Vec<Answer>> {
    let Some(program) = std::env::var_os("BAILIFF_LAYER_ORACLE") else {
        panic!(
            "BAILIFF_LAYER_ORACLE is not set: run `make unit`, or set it to what `hack/layer-oracle.sh` prints"
        );
    };
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for image in images {
                let all =
                    |texts: &[Vec<u8>]| texts.iter().map(|text| base64::encode(text)).collect();
                let request = Request {
                    layers: all(&image.layers),
                    paths: all(&image.paths),
                };
                writeln!(stdin, "{}", serde_json::to_string(&request).unwrap()).unwrap();
            }
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    });
    assert!(output.status.success(), "the oracle failed; it needs root");
    let answers: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let layers: Vec<Theirs> = serde_json::from_str(line).unwrap();
            layers.into_iter().map(their_answer).collect()
        })
        .collect();
    assert_eq!(answers.len(), images.len());
    answers
}

fn their_answer(theirs: Theirs) -> Answer {
    let (Some(tree), Some(resolved)) = (theirs.tree, theirs.resolved) else {
        assert!(!theirs.error.is_empty());
        return Answer::Rejected(theirs.error);
    };
    let nodes = tree.iter().map(|node| {
        let detail = match &*node.kind {
            "symlink" => decoded(node.target.as_ref()),
            _ => node.content.clone(),
        };
        format!("{} {} {detail}", decoded(Some(&node.path)), node.kind)
    });
    let resolved = resolved.iter().map(|place| match &*place.error {
        "" => decoded(place.path.as_ref()),
        // Only the kernel has a limit for the length of a component.
        "no such file or directory" | "not a directory" | "file name too long" => {
            "missing".to_owned()
        }
        "too many levels of symbolic links" => "too many links".to_owned(),
        other => panic!("{other}"),
    });
    Answer::Tree(Shown {
        nodes: nodes.collect(),
        resolved: resolved.collect(),
    })
}

/// What we make of an image.
pub(crate) fn ours(image: &Image) -> Vec<Answer> {
    let limits = Limits::default();
    let mut tree = Tree::new(&limits);
    let mut contents = BTreeMap::new();
    let mut answers = Vec::new();
    for (number, bytes) in image.layers.iter().enumerate() {
        let layer = u32::try_from(number).unwrap();
        if let Err(cause) = apply(&mut tree, layer, bytes, &mut contents) {
            answers.push(Answer::Rejected(cause));
            break;
        }
        answers.push(Answer::Tree(shown(&tree.view(), &image.paths, &contents)));
    }
    // The lower layers show the same with others above them, also with one that is rejected.
    for (number, answer) in answers.iter().enumerate() {
        if let Answer::Tree(then) = answer {
            let view = tree.view_to(u32::try_from(number + 1).unwrap());
            assert_eq!(&shown(&view, &image.paths, &contents), then);
        }
    }
    answers
}

fn apply(
    tree: &mut Tree,
    number: u32,
    bytes: &[u8],
    contents: &mut BTreeMap<FileId, String>,
) -> Result<(), String> {
    let mut layer = Layer::new(bytes, &Limits::default());
    tree.begin_layer();
    let mut ordinal = 0;
    while let Some(entry) = layer.next().map_err(|cause| cause.to_string())? {
        let mut content = Sha256::new();
        let mut size = 0;
        let mut buffer = [0; 700];
        loop {
            let read = io::Read::read(&mut layer.content(), &mut buffer)
                .map_err(|error| error.to_string())?;
            if read == 0 {
                break;
            }
            size += u64::try_from(read).unwrap();
            content.update(&buffer[..read]);
        }
        assert_eq!(size, entry.size, "{entry:?}");
        let id = FileId {
            layer: number,
            ordinal,
        };
        let mut digits = String::new();
        for byte in content.finalize() {
            write!(digits, "{byte:02x}").unwrap();
        }
        contents.insert(id, digits);
        tree.apply(ordinal, &entry)
            .map_err(|cause| cause.to_string())?;
        ordinal += 1;
    }
    tree.end_layer().map_err(|cause| cause.to_string())
}

fn shown(view: &View<'_>, paths: &[Vec<u8>], contents: &BTreeMap<FileId, String>) -> Shown {
    let nodes = view.walk().map(|(path, node)| {
        let (kind, detail) = match node.kind {
            NodeKind::Directory => ("directory", String::new()),
            NodeKind::File => ("file", contents[&node.id].clone()),
            NodeKind::Symlink(target) => ("symlink", target.escape_ascii().to_string()),
            NodeKind::Other => ("other", String::new()),
        };
        format!("{} {kind} {detail}", path.escape_ascii())
    });
    let resolved = paths.iter().map(|path| match view.resolve(path) {
        Resolved::Found { path, .. } => path.escape_ascii().to_string(),
        Resolved::Missing => "missing".to_owned(),
        Resolved::TooManyLinks => "too many links".to_owned(),
    });
    Shown {
        nodes: nodes.collect(),
        resolved: resolved.collect(),
    }
}

/// Compares both; counts layers by their verdict and message.
pub(crate) fn compare(images: &[Image]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut unlike = Vec::new();
    for ((number, image), theirs) in images.iter().enumerate().zip(theirs(images)) {
        let ours = ours(image);
        let is_like = ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|pair| match pair {
                (Answer::Rejected(_), Answer::Rejected(_)) => true,
                (ours, theirs) => ours == theirs,
            });
        for answer in &ours {
            let verdict = match answer {
                Answer::Tree(_) => "accepted",
                // The entry is another one each time.
                Answer::Rejected(cause) => {
                    cause.rsplit_once('"').map_or(&**cause, |(_, rest)| rest)
                }
            };
            *counts.entry(verdict.trim().to_owned()).or_default() += 1;
        }
        if !is_like {
            unlike.push(report(number, image, &ours, &theirs));
        }
    }
    assert!(
        unlike.is_empty(),
        "{} of {} differ:\n{}",
        unlike.len(),
        images.len(),
        unlike.into_iter().take(5).collect::<String>()
    );
    counts
}

fn report(number: usize, image: &Image, ours: &[Answer], theirs: &[Answer]) -> String {
    let mut text = format!("image {number}\n");
    for (layer, members) in image.members.iter().enumerate() {
        for member in members {
            let (kind, name) = (member.kind.escape_ascii(), member.name.escape_ascii());
            let link = member.link.escape_ascii();
            writeln!(
                text,
                "  {layer} {kind} {name} -> {link} {:?}",
                member.device
            )
            .unwrap();
        }
    }
    let line = |answer: Option<&Answer>| format!("{answer:#?}");
    for layer in 0..ours.len().max(theirs.len()) {
        let (ours, theirs) = (ours.get(layer), theirs.get(layer));
        let is_like = match (ours, theirs) {
            (Some(Answer::Rejected(_)), Some(Answer::Rejected(_))) => true,
            _ => ours == theirs,
        };
        if !is_like {
            writeln!(text, "layer {layer}: ours {}", line(ours)).unwrap();
            writeln!(text, "theirs {}", line(theirs)).unwrap();
        }
    }
    text
}

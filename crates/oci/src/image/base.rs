//! Which layers of an image are those of its base.
//!
//! Here: the guess from the history. Not here: what follows from it (`scan`).
//! Invariant: a guess is marked as one. It only selects the advice, such as to rebuild on a newer base; no finding
//! depends on it, because whoever built the image wrote the history.
//!
//! Nothing in an image says where its base ends. Nearly every base image ends in a `CMD`, and the last steps of the
//! image itself can have one too; so the guess looks for the first one below the last layer, as other scanners do.

use super::History;

/// How many layers are those of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// It cannot be determined.
    Unknown,
    /// The lowest ones up to the step that probably ended the base.
    Guessed {
        /// Their number, from 1, less than all layers.
        layers: usize,
    },
}

/// How many of the `layers` of an image are those of its base: going back through the history from the last layer, the
/// first `CMD` that made no layer ends the base.
///
/// Unknown if there is none, or if the history has another number of layers than the image.
#[must_use]
pub fn base_layers(history: &[History], layers: usize) -> Base {
    if history_of_layers(history, layers).is_none() {
        return Base::Unknown;
    }
    let is_above = |step: &&History| step.empty_layer;
    let above = history.iter().rev().take_while(is_above).count();
    let below = history.len().saturating_sub(above);
    let steps = history.get(..below).unwrap_or_default();
    let last = steps
        .iter()
        .rposition(|step| step.empty_layer && is_command(&step.created_by));
    let base = last.and_then(|last| steps.get(..last)).unwrap_or_default();
    match base.iter().filter(|step| !step.empty_layer).count() {
        0 => Base::Unknown,
        layers => Base::Guessed { layers },
    }
}

/// The step that made each of the `layers`; none if the history has another number of them.
#[must_use]
pub fn history_of_layers(history: &[History], layers: usize) -> Option<Vec<&History>> {
    let steps: Vec<_> = history.iter().filter(|step| !step.empty_layer).collect();
    (steps.len() == layers).then_some(steps)
}

/// Whether a step set the command: `BuildKit` writes the instruction, Docker and Buildah a command of the shell that
/// does nothing.
fn is_command(created_by: &str) -> bool {
    let text = created_by.trim_start();
    let text = text
        .split_once("#(nop)")
        .filter(|(shell, _)| is_shell(shell))
        .map_or(text, |(_, instruction)| instruction);
    let instruction = text.trim_start();
    let rest = instruction.strip_prefix("CMD");
    rest.is_some_and(|rest| rest.starts_with([' ', '[', '\t']) || rest.is_empty())
}

/// Whether a text is the shell before an instruction, such as `/bin/sh -c`.
fn is_shell(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(" -c") || text.ends_with(" /S /C")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps as they are written, with `0` before those that made no layer.
    fn history(steps: &[&str]) -> Vec<History> {
        let step = |step: &&str| {
            let (is_empty, created_by) = match step.strip_prefix("0 ") {
                Some(rest) => (true, rest),
                None => (false, *step),
            };
            History {
                created_by: created_by.to_owned(),
                comment: String::new(),
                empty_layer: is_empty,
            }
        };
        steps.iter().map(step).collect()
    }

    fn base(steps: &[&str]) -> Base {
        let history = history(steps);
        let layers = history.iter().filter(|step| !step.empty_layer).count();
        base_layers(&history, layers)
    }

    const ALPINE: [&str; 2] = [
        "/bin/sh -c #(nop) ADD file:5d673d25da3a14ce1f6cf66e4c7fd4f4b85a3759a9d93efb3fd9ff852b5b56e4 in / ",
        "0 /bin/sh -c #(nop)  CMD [\"/bin/sh\"]",
    ];

    #[test]
    fn the_base_of_docker_ends_in_its_command() {
        let own = [
            "/bin/sh -c apk add --no-cache curl",
            "/bin/sh -c #(nop) COPY file:4f2e in /app ",
            "0 /bin/sh -c #(nop)  ENTRYPOINT [\"/app\"]",
            "0 /bin/sh -c #(nop)  CMD [\"serve\"]",
        ];
        let image = [&ALPINE[..], &own].concat();
        assert_eq!(base(&image), Base::Guessed { layers: 1 });
    }

    #[test]
    fn the_base_of_buildkit_ends_in_its_command() {
        let image = [
            "# debian.sh --arch 'amd64' out/ 'bookworm' '@1700000000'",
            "RUN /bin/sh -c set -eux; apt-get update # buildkit",
            "0 ENV PATH=/usr/local/bin:/usr/bin",
            "RUN /bin/sh -c make install # buildkit",
            "0 CMD [\"python3\"]",
            "0 WORKDIR /app",
            "COPY . /app # buildkit",
            "RUN /bin/sh -c pip install -r requirements.txt # buildkit",
            "0 EXPOSE map[8000/tcp:{}]",
            "0 CMD [\"python\" \"app.py\"]",
        ];
        assert_eq!(base(&image), Base::Guessed { layers: 3 });
    }

    #[test]
    fn the_nearest_of_several_bases_is_the_base() {
        let node = [
            "/bin/sh -c apk add node",
            "0 /bin/sh -c #(nop)  CMD [\"node\"]",
        ];
        let own = ["COPY dist /app # buildkit", "0 CMD [\"node\" \"/app\"]"];
        let image = [&ALPINE[..], &node, &own].concat();
        assert_eq!(base(&image), Base::Guessed { layers: 2 });
    }

    #[test]
    fn the_base_of_buildah_ends_in_its_command() {
        let image = [
            "/bin/sh -c #(nop) ADD file:1d2e in /",
            "0 /bin/sh -c #(nop) CMD [\"/bin/bash\"]",
            "0 /bin/sh -c #(nop) ENV A=b",
            "/bin/sh -c dnf install -y httpd",
            "0 /bin/sh -c #(nop) CMD httpd -DFOREGROUND",
        ];
        assert_eq!(base(&image), Base::Guessed { layers: 1 });
    }

    #[test]
    fn windows_writes_its_own_shell() {
        let image = [
            "Apply image 10.0.17763",
            "0 cmd /S /C #(nop)  CMD [\"c:\\\\windows\\\\system32\\\\cmd.exe\"]",
            "cmd /S /C #(nop) COPY dir:1 in C:/app",
        ];
        assert_eq!(base(&image), Base::Guessed { layers: 1 });
    }

    #[test]
    fn without_a_command_below_the_last_layer_the_base_is_unknown() {
        for image in [
            // Distroless and what ko and Jib build on it: no step of a Dockerfile.
            &[
                "bazel build ...",
                "bazel build ...",
                "ko build ko://example.com/app",
            ][..],
            &[
                "bazel build ...",
                "jib-maven-plugin:3.4.0",
                "jib-maven-plugin:3.4.0",
            ],
            // FROM scratch.
            &[
                "COPY app /app # buildkit",
                "0 ENTRYPOINT [\"/app\"]",
                "0 CMD [\"serve\"]",
            ],
            // The base itself.
            &ALPINE,
            &[],
            &["0 CMD [\"a\"]"],
            // Below the command there is no layer.
            &["0 CMD [\"a\"]", "COPY app /app # buildkit"],
            // What only contains the word.
            &[
                "ADD a /",
                "0 RUN CMD",
                "0 CMDX [\"a\"]",
                "0 LABEL a=#(nop) CMD",
                "COPY b /",
            ],
            // A command that made a layer is none.
            &["ADD a /", "CMD [\"a\"]", "COPY b /"],
        ] {
            assert_eq!(base(image), Base::Unknown, "{image:?}");
        }
    }

    #[test]
    fn a_history_of_other_layers_says_nothing() {
        let history = history(&["ADD a /", "0 CMD [\"a\"]", "COPY b /"]);
        assert_eq!(base_layers(&history, 2), Base::Guessed { layers: 1 });
        for layers in [0, 1, 3] {
            assert_eq!(base_layers(&history, layers), Base::Unknown, "{layers}");
        }
        let steps = history_of_layers(&history, 2).unwrap();
        let steps: Vec<_> = steps.iter().map(|step| &*step.created_by).collect();
        assert_eq!(steps, ["ADD a /", "COPY b /"]);
        assert_eq!(history_of_layers(&history, 3), None);
    }
}

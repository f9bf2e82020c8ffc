//! Which layers of an image are those of the image that it was built from.
//!
//! Here: a guess from the history of the image. Not here: what the annotations of an image name.
//! Invariant: a guess, and marked as one wherever it is shown. It decides nothing but what is suggested.

/// A step in the history of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// How it was created, as the builder writes it.
    pub created_by: &'a str,
    /// Whether it has no layer.
    pub is_empty: bool,
}

/// The number of layers of the base. Base images end with their command: going back from the last layer, the first
/// `CMD` without a layer ends the base. None if there is none.
#[must_use]
pub fn guessed_base(history: &[Step<'_>]) -> Option<u32> {
    let last = history.iter().rposition(|step| !step.is_empty)?;
    let before = history.get(..last)?;
    let end = before
        .iter()
        .rposition(|step| step.is_empty && is_command(step.created_by))?;
    let layers = before.get(..end)?.iter().filter(|step| !step.is_empty);
    u32::try_from(layers.count()).ok()
}

/// Whether a step is `CMD`: as `BuildKit` writes it, or as the builder before it did.
fn is_command(created_by: &str) -> bool {
    let step = created_by.trim_start();
    let step = step.strip_prefix("/bin/sh -c #(nop)").unwrap_or(step);
    step.trim_start().starts_with("CMD ") || step.trim_start().starts_with("CMD[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_command_before_the_last_layer_ends_the_base() {
        let layer = |created_by| Step {
            created_by,
            is_empty: false,
        };
        let empty = |created_by| Step {
            created_by,
            is_empty: true,
        };
        let own = empty("CMD [\"app\"]");
        for command in [
            "CMD [\"bash\"]",
            "/bin/sh -c #(nop)  CMD [\"bash\"]",
            "/bin/sh -c #(nop) CMD[\"bash\"]",
        ] {
            let history = [
                layer("ADD rootfs"),
                empty("CMD [\"older\"]"),
                layer("RUN apt-get"),
                empty(command),
                empty("ENV A=b"),
                layer("COPY app"),
                own,
            ];
            assert_eq!(guessed_base(&history), Some(2), "{command}");
        }
        // The image's own command is after the last layer, and a layer is no command without one.
        assert_eq!(guessed_base(&[layer("ADD"), own]), None);
        assert_eq!(guessed_base(&[layer("ADD"), own, empty("USER a")]), None);
        assert_eq!(guessed_base(&[layer("CMD x"), layer("COPY")]), None);
        assert_eq!(guessed_base(&[empty("CMD x"), layer("COPY")]), Some(0));
        assert_eq!(guessed_base(&[own]), None);
        assert_eq!(guessed_base(&[]), None);
    }
}

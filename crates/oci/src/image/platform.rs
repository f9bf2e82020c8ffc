//! Platforms, and which image of an index is for one.
//!
//! Here: their normal form, and the order in which a container runtime prefers them. Not here: the platforms of an
//! index (`document`).
//! Invariant: a platform is short printable ASCII, whatever was written. Two that mean the same are equal.
//!
//! Normal forms and order are those of `github.com/containerd/platforms`: variants are compatible with lower ones, and
//! 64-bit processors run 32-bit images where nothing else fits.

use super::InvalidJson;
use crate::excerpt::Excerpt;
use crate::json::Object;
use std::fmt;

/// Most bytes of a component of a platform.
const COMPONENT_LIMIT: usize = 64;
/// What a component is called that is longer, or has other characters than letters, digits and `. _ -`.
const INVALID: &str = "invalid";

/// What a component is shown as that is missing.
const UNSPECIFIED: &str = "unspecified";

/// Operating system, architecture and variant of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    os: Box<str>,
    architecture: Box<str>,
    /// Empty if there is none, or if it is the one that the architecture implies.
    variant: Box<str>,
}

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "platform {0} is malformed; write os/architecture or os/architecture/variant, such as linux/arm64"
)]
pub struct InvalidPlatform(Excerpt);

/// Which images of an index are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one that a container runtime on a machine of this platform starts.
    Machine(Platform),
    /// The one for this platform that somebody named. One of another architecture is not meant.
    Named(Platform),
    /// All.
    All,
}

impl Platform {
    /// The platform that a text is.
    ///
    /// # Errors
    /// It has fewer than two components or more than three, or one that is empty, long or malformed.
    pub fn parse(text: &str) -> Result<Self, InvalidPlatform> {
        let invalid = || InvalidPlatform(Excerpt::of(text));
        let mut components = text.split('/');
        let mut next = || components.next().unwrap_or_default();
        let (os, architecture, variant) = (next(), next(), next());
        let count = text.split('/').count();
        let is_valid =
            |component: &str| !component.is_empty() && component_of(component) == component;
        if !(2..=3).contains(&count)
            || !is_valid(os)
            || !is_valid(architecture)
            || (count == 3 && !is_valid(variant))
        {
            return Err(invalid());
        }
        Ok(Self::of(os, architecture, variant))
    }

    /// Linux on a machine whose architecture Rust calls `architecture` ([`std::env::consts::ARCH`]).
    #[must_use]
    pub fn of_machine(architecture: &str, is_little_endian: bool) -> Self {
        let architecture = match architecture {
            "powerpc64" if is_little_endian => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            "mips64" if is_little_endian => "mips64le",
            "x86" => "386",
            other => other,
        };
        Self::of("linux", architecture, "")
    }

    /// The normal form of what a document says.
    pub(super) fn of(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match component_of(os).to_ascii_lowercase().as_str() {
            "macos" => "darwin".into(),
            other => other.into(),
        };
        let variant = component_of(variant).to_ascii_lowercase();
        let architecture = component_of(architecture).to_ascii_lowercase();
        let (architecture, variant) = match architecture.as_str() {
            "i386" | "i686" => ("386", ""),
            "x86_64" | "x86-64" | "amd64" => match variant.as_str() {
                "v1" => ("amd64", ""),
                other => ("amd64", other),
            },
            "aarch64" | "arm64" => match variant.as_str() {
                "8" | "v8" | "v8.0" => ("arm64", ""),
                "9" | "9.0" | "v9.0" => ("arm64", "v9"),
                other => ("arm64", other),
            },
            "armhf" => ("arm", "v7"),
            "armel" => ("arm", "v6"),
            "arm" => match variant.as_str() {
                "" | "7" => ("arm", "v7"),
                "5" => ("arm", "v5"),
                "6" => ("arm", "v6"),
                "8" => ("arm", "v8"),
                other => ("arm", other),
            },
            other => (other, variant.as_str()),
        };
        Self {
            os,
            architecture: architecture.into(),
            variant: variant.into(),
        }
    }

    /// The platform in a descriptor, if it has one.
    pub(super) fn read(descriptor: &Object<'_>) -> Result<Option<Self>, InvalidJson> {
        let Some(platform) = descriptor.object("platform")? else {
            return Ok(None);
        };
        let text = |field| Ok::<_, InvalidJson>(platform.text(field)?.unwrap_or_default());
        Ok(Some(Self::of(
            &text("os")?,
            &text("architecture")?,
            &text("variant")?,
        )))
    }

    /// Whether both components are `unknown`, as `BuildKit` writes for attestations.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        (&*self.os, &*self.architecture, &*self.variant) == ("unknown", "unknown", "")
    }

    /// How far an image of this platform is from what is wanted, from 0; none: it is not for that.
    fn distance(&self, wanted: &Wanted) -> Option<u32> {
        let (on, is_machine) = match wanted {
            Wanted::Machine(on) => (on, true),
            Wanted::Named(on) => (on, false),
            Wanted::All => return Some(0),
        };
        if self.os != on.os {
            return None;
        }
        if self.architecture == on.architecture {
            if self.variant == on.variant {
                return Some(0);
            }
            return on.level()?.checked_sub(self.level()?);
        }
        let is_32_bit_of = match (&*on.architecture, &*self.architecture) {
            ("amd64", "386") => true,
            ("arm64", "arm") => matches!(&*self.variant, "v5" | "v6" | "v7" | "v8"),
            _ => false,
        };
        // After all variants of the own architecture; of ARM the highest first.
        let below = 100_u32.checked_sub(self.level().unwrap_or_default())?;
        (is_machine && is_32_bit_of).then(|| below.saturating_add(100_000))
    }

    /// The variant as a number that says which ones it is compatible with: all lower ones.
    fn level(&self) -> Option<u32> {
        let number = |text: &str| {
            let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
            let (major, minor) = (major.parse::<u8>().ok()?, minor.parse::<u8>().ok()?);
            u32::from(major)
                .checked_mul(if &*self.architecture == "arm64" {
                    256
                } else {
                    1
                })?
                .checked_add(u32::from(minor))
        };
        let variant = match (&*self.architecture, &*self.variant) {
            ("amd64", "") => "1",
            ("arm64", "") => "8",
            ("amd64" | "arm64" | "arm", variant) => variant.strip_prefix('v')?,
            _ => return None,
        };
        number(variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |component: &'_ str| match component {
            "" => UNSPECIFIED.to_owned(),
            other => other.to_owned(),
        };
        write!(f, "{}/{}", shown(&self.os), shown(&self.architecture))?;
        if self.variant.is_empty() {
            return Ok(());
        }
        write!(f, "/{}", self.variant)
    }
}

/// A component as it is kept.
fn component_of(text: &str) -> &str {
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() <= COMPONENT_LIMIT && text.chars().all(is_known) {
        text
    } else {
        INVALID
    }
}

/// The places of those platforms in a list that are wanted: of one platform, all that fit equally well, because
/// runtimes differ about which one they start.
#[must_use]
pub fn select(platforms: &[Platform], wanted: &Wanted) -> Vec<usize> {
    let distances: Vec<_> = platforms
        .iter()
        .map(|platform| platform.distance(wanted))
        .collect();
    let Some(least) = distances.iter().flatten().min().copied() else {
        return Vec::new();
    };
    let places = distances.iter().enumerate();
    places
        .filter(|(_, distance)| **distance == Some(least))
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platforms(texts: &[&str]) -> Vec<Platform> {
        let parsed = texts.iter().map(|text| Platform::parse(text).unwrap());
        parsed.collect()
    }

    #[test]
    fn a_platform_has_one_normal_form() {
        for (text, want) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), want, "{text}");
        }
        for text in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/arm/v7/x",
            "linux/arm/",
            "a b/c",
        ] {
            let error = Platform::parse(text).unwrap_err().to_string();
            let want = format!(
                "platform \"{text}\" is malformed; write os/architecture or os/architecture/variant, such as linux/arm64"
            );
            assert_eq!(error, want);
        }
    }

    #[test]
    fn a_platform_of_a_stranger_is_short_printable_ascii() {
        let long = "a".repeat(65);
        let of = Platform::of(&long, "\u{1b}[2J", "a b").to_string();
        assert_eq!(of, "invalid/invalid/invalid");
        let none = Platform::of("", "", "");
        assert_eq!(none.to_string(), "unspecified/unspecified");
        assert!(!none.is_unknown());
    }

    #[test]
    fn a_machine_has_the_name_that_images_give_it() {
        for (architecture, is_little_endian, want) in [
            ("x86_64", true, "linux/amd64"),
            ("x86", true, "linux/386"),
            ("aarch64", true, "linux/arm64"),
            ("arm", true, "linux/arm/v7"),
            ("powerpc64", true, "linux/ppc64le"),
            ("powerpc64", false, "linux/ppc64"),
            ("s390x", false, "linux/s390x"),
            ("riscv64", true, "linux/riscv64"),
            ("loongarch64", true, "linux/loong64"),
        ] {
            let of = Platform::of_machine(architecture, is_little_endian);
            assert_eq!(of.to_string(), want);
        }
    }

    #[test]
    fn the_nearest_variant_is_selected() {
        for (on, of, named, machine) in [
            (
                "linux/amd64",
                &["linux/arm64", "linux/amd64"][..],
                &[1][..],
                &[1][..],
            ),
            (
                "linux/amd64",
                &["linux/amd64/v2", "linux/amd64"],
                &[1],
                &[1],
            ),
            ("linux/amd64", &["linux/amd64/v2"], &[], &[]),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"],
                &[1],
                &[1],
            ),
            // 32 bits only where nothing else fits, and only if nobody named the architecture.
            ("linux/amd64", &["linux/386"], &[], &[0]),
            ("linux/amd64", &["linux/386", "linux/amd64"], &[1], &[1]),
            ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], &[], &[1]),
            (
                "linux/arm64",
                &["linux/arm64/v9", "linux/arm64"],
                &[1],
                &[1],
            ),
            (
                "linux/arm64/v9",
                &["linux/arm64", "linux/arm64/v9.1", "linux/arm64/v8.2"],
                &[2],
                &[2],
            ),
            (
                "linux/arm",
                &["linux/arm/v6", "linux/arm/v5", "linux/arm/v8"],
                &[0],
                &[0],
            ),
            ("linux/riscv64", &["linux/riscv64"], &[0], &[0]),
            ("linux/riscv64", &["linux/riscv64/rva23"], &[], &[]),
            (
                "linux/amd64",
                &["windows/amd64", "unknown/unknown"],
                &[],
                &[],
            ),
            (
                "windows/amd64",
                &["windows/amd64", "linux/amd64", "windows/amd64"],
                &[0, 2],
                &[0, 2],
            ),
        ] {
            let (platforms, on) = (platforms(of), Platform::parse(on).unwrap());
            assert_eq!(
                select(&platforms, &Wanted::Named(on.clone())),
                named,
                "{on} of {of:?}"
            );
            assert_eq!(
                select(&platforms, &Wanted::Machine(on.clone())),
                machine,
                "{on} of {of:?}"
            );
            let all: Vec<_> = (0..of.len()).collect();
            assert_eq!(select(&platforms, &Wanted::All), all);
        }
    }
}

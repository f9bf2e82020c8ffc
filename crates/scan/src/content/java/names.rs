//! What identifies an artifact of Maven: properties, manifests and file names.
//!
//! Here: how each of them states names and versions. Not here: which of them counts for an archive.
//! Invariant: an artifact without a group is a guess, and only names that artifacts can have are guessed.

use super::super::stated::{self, Values, lines};

/// Directories in which the files of Maven are, wherever they are in an archive.
const MAVEN: [&[u8]; 2] = [b"META-INF", b"maven"];

/// The group and the artifact in a path such as `META-INF/maven/GROUP/ARTIFACT/pom.properties`.
pub(super) fn of_maven_path<'a>(path: &'a [u8], file: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut parts = path.rsplit(|byte| *byte == b'/');
    if parts.next()? != file {
        return None;
    }
    let (artifact, group) = (parts.next()?, parts.next()?);
    let above = [parts.next()?, parts.next()?];
    let [maven, meta] = above;
    let is_maven = meta.eq_ignore_ascii_case(MAVEN[0]) && maven.eq_ignore_ascii_case(MAVEN[1]);
    is_maven.then_some((group, artifact))
}

/// A group or an artifact.
///
/// # Errors
/// If it is none.
pub(super) fn name(text: &str) -> Result<String, String> {
    stated::name(text, "-_.")
}

/// A version. What a build did not fill in is none.
///
/// # Errors
/// If it is none.
pub(super) fn version(text: &str) -> Result<String, String> {
    if text.contains("${") {
        return Err(format!("its version is {}", stated::shown(text)));
    }
    stated::version(text)
}

/// What a `pom.properties` states.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) groups: Values,
    pub(super) artifacts: Values,
    pub(super) versions: Values,
}

impl Properties {
    /// Reads properties as Java does.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut properties = Self::default();
        let mut open: Option<Vec<u8>> = None;
        for line in lines(bytes) {
            let line = trimmed(line);
            let mut all = match open.take() {
                Some(all) => all,
                None if matches!(line.first(), None | Some(b'#' | b'!')) => continue,
                None => Vec::new(),
            };
            let slashes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
            if slashes % 2 == 1 {
                all.extend_from_slice(line.strip_suffix(b"\\").unwrap_or(line));
                open = Some(all);
                continue;
            }
            all.extend_from_slice(line);
            properties.add(&all);
        }
        if let Some(all) = open {
            properties.add(&all);
        }
        properties
    }

    fn add(&mut self, line: &[u8]) {
        let mut is_escaped = false;
        let end = line.iter().position(|byte| {
            let ends = !is_escaped && matches!(byte, b'=' | b':' | b' ' | b'\t' | b'\x0c');
            is_escaped = !is_escaped && *byte == b'\\';
            ends
        });
        let (key, value) = line.split_at(end.unwrap_or(line.len()));
        let value = trimmed(value);
        let value = match value {
            [b'=' | b':', rest @ ..] => trimmed(rest),
            _ => value,
        };
        let values = match unescaped(key).as_str() {
            "groupId" => &mut self.groups,
            "artifactId" => &mut self.artifacts,
            "version" => &mut self.versions,
            _ => return,
        };
        values.push(unescaped(value));
    }
}

/// Without the white space at the start.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\x0c');
    let start = line.iter().position(|byte| !is_space(byte));
    line.get(start.unwrap_or(line.len())..).unwrap_or_default()
}

/// The text that escapes stand for. Bytes are Latin-1.
fn unescaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            text.push(char::from(*byte));
            continue;
        }
        let Some((escaped, after)) = rest.split_first() else {
            break;
        };
        rest = after;
        text.push(match escaped {
            b't' => '\t',
            b'n' => '\n',
            b'r' => '\r',
            b'f' => '\x0c',
            b'u' => {
                let digits = rest.get(..4).and_then(|digits| str::from_utf8(digits).ok());
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                rest = rest.get(4..).unwrap_or_default();
                code.and_then(char::from_u32)
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => char::from(*other),
        });
    }
    text
}

/// What the main section of a manifest states.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    title: Option<String>,
    implementation: Option<String>,
    symbolic_name: Option<String>,
    bundle: Option<String>,
    module: Option<String>,
}

impl Manifest {
    /// Reads a manifest as Java does: a line that begins with a space continues the one before it.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut manifest = Self::default();
        let mut open: Vec<u8> = Vec::new();
        for line in lines(bytes) {
            if let Some(more) = line.strip_prefix(b" ") {
                open.extend_from_slice(more);
                continue;
            }
            manifest.add(&open);
            open.clear();
            if line.is_empty() {
                break;
            }
            open.extend_from_slice(line);
        }
        manifest.add(&open);
        manifest
    }

    fn add(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            return;
        };
        let attribute = match name.to_ascii_lowercase().as_str() {
            "implementation-title" => &mut self.title,
            "implementation-version" => &mut self.implementation,
            "bundle-symbolicname" => &mut self.symbolic_name,
            "bundle-version" => &mut self.bundle,
            "automatic-module-name" => &mut self.module,
            _ => return,
        };
        *attribute = Some(value.trim().to_owned());
    }

    /// The version. None if it states none that can be kept.
    pub(super) fn version(&self) -> Option<String> {
        let mut stated = [&self.implementation, &self.bundle].into_iter().flatten();
        stated.find_map(|text| version(text).ok())
    }

    /// Whether the version is that of the implementation, which is written as Maven has it.
    pub(super) fn has_version_of_maven(&self) -> bool {
        let stated = self.implementation.as_deref();
        stated.is_some_and(|text| version(text).is_ok())
    }

    /// The names that the artifact can have.
    pub(super) fn artifacts(&self) -> Vec<String> {
        let mut artifacts: Vec<String> = Vec::new();
        let mut add = |text: &str| {
            if let Ok(name) = name(text)
                && !artifacts.contains(&name)
            {
                artifacts.push(name);
            }
        };
        // A title of several words is for people.
        if let Some(title) = &self.title {
            add(title);
        }
        for dotted in [&self.symbolic_name, &self.module].into_iter().flatten() {
            // Directives follow the name.
            let dotted = dotted.split(';').next().unwrap_or_default().trim();
            let mut parts = dotted.rsplit('.');
            let (last, above) = (parts.next().unwrap_or_default(), parts.next());
            match above {
                None => add(last),
                Some(_) if last.contains('-') => add(last),
                // The group and the artifact `log4j-core` of `org.apache.logging.log4j` become
                // `org.apache.logging.log4j.core`, if Maven's plugin names the bundle.
                Some(above) => add(&format!("{above}-{last}")),
            }
        }
        artifacts
    }
}

/// The artifact and the version in the name of an archive, such as `log4j-core-2.14.1.jar`. A classifier after the
/// version is left out.
pub(super) fn of_file_name(stem: &str) -> Option<(String, String)> {
    for (at, _) in stem.match_indices('-') {
        let (artifact, rest) = stem.split_at(at);
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        if !starts_with_digit(rest) {
            continue;
        }
        let parts: Vec<_> = rest.split('-').collect();
        let is_version = |part: &&&str| starts_with_digit(part) || is_qualifier(part);
        let count = parts.iter().take_while(is_version).count();
        let (of_version, classifier) = parts.split_at_checked(count)?;
        // In log4j-1.2-api-2.14.1 the version begins later.
        if !classifier.iter().any(|part| starts_with_digit(part)) {
            let version = version(&of_version.join("-")).ok()?;
            return Some((name(artifact).ok()?, version));
        }
    }
    None
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether it is a part of versions, and no classifier.
fn is_qualifier(part: &str) -> bool {
    const QUALIFIERS: [&str; 17] = [
        "alpha",
        "android",
        "b",
        "beta",
        "cr",
        "final",
        "ga",
        "incubating",
        "jre",
        "jdk",
        "m",
        "milestone",
        "pre",
        "rc",
        "release",
        "snapshot",
        "sp",
    ];
    let lower = part.to_ascii_lowercase();
    let word = lower.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    QUALIFIERS.contains(&word)
}

/// The name of an archive without its directory and its extension.
pub(super) fn stem(path: &[u8]) -> String {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let file = String::from_utf8_lossy(file);
    match file.rsplit_once('.') {
        Some((stem, _)) if super::has_extension(path) => stem.to_owned(),
        _ => file.into_owned(),
    }
}

#[cfg(test)]
mod tests;

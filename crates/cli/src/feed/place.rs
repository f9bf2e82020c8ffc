//! Sources on the command line.
//!
//! Here: `KIND=PLACE`. Not here: reading them (`records`, `download`).
//! Invariant: a URL is https and has no password.

use bailiff_scan::index::SourceKind;
use http::Uri;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A source: its kind, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceArg {
    pub(super) kind: SourceKind,
    pub(super) place: Place,
}

/// Where a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At a URL.
    Url(Uri),
    /// A file or a directory.
    Path(PathBuf),
}

/// The URL of a text. None if it is one that is not read.
pub(super) fn https(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let is_https = url.scheme() == Some(&http::uri::Scheme::HTTPS);
    let host = url.authority()?;
    (is_https && !host.as_str().contains('@') && !url.host()?.is_empty()).then_some(url)
}

impl FromStr for SourceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = || SourceKind::ALL.map(SourceKind::as_str).join(", ");
        let Some((kind, place)) = text.split_once('=') else {
            return Err(format!(
                "must be KIND=PLACE, such as osv=PyPI/all.zip; the kinds are {}",
                kinds()
            ));
        };
        let kind = SourceKind::parse(kind)
            .ok_or_else(|| format!("{kind:?} is no kind of source; the kinds are {}", kinds()))?;
        if place.is_empty() {
            return Err("must have a URL, a file or a directory after the =".to_owned());
        }
        let place = if place.contains("://") {
            let url = https(place);
            Place::Url(url.ok_or("must be an https URL without a user name")?)
        } else {
            Place::Path(PathBuf::from(place))
        };
        Ok(Self { kind, place })
    }
}

impl fmt::Display for SourceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What is after the ? can be a secret.
            Self::Url(url) => write!(f, "{}", without_query(url)),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A URL for people.
pub(super) fn without_query(url: &Uri) -> String {
    let host = url.authority().map_or("", |host| host.as_str());
    format!("https://{host}{}", url.path())
}

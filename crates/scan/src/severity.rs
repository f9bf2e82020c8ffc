//! How severe a vulnerability is, and who says so.
//!
//! Here: severities, the scores of CVSS vectors, which statement counts, and records of CVEs (`cve`). Not here: advisories
//! (`advisory`).
//! Invariant: a severity has its source. A statement that cannot be read is none, and no statement is `Unknown`.

pub mod cve;

use std::fmt;

/// How severe a vulnerability is. The least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody says how severe it is, in a form that can be read.
    Unknown,
    /// A score below 4.0, or the words `low`, `negligible` and `none`.
    Low,
    /// A score from 4.0, or the words `medium` and `moderate`.
    Medium,
    /// A score from 7.0, or the word `high`.
    High,
    /// A score from 9.0, or the word `critical`.
    Critical,
}

impl Severity {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }

    /// The severity of a score from 0.0 to 10.0.
    #[must_use]
    fn of_score(score: f32) -> Self {
        if score >= 9.0 {
            Self::Critical
        } else if score >= 7.0 {
            Self::High
        } else if score >= 4.0 {
            Self::Medium
        } else {
            Self::Low
        }
    }

    /// The severity that a word means. None if it has no such meaning.
    #[must_use]
    fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "high" => Self::High,
            "medium" | "moderate" => Self::Medium,
            "low" | "negligible" | "none" => Self::Low,
            _ => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an advisory says about the severity. The statement that counts first comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statement {
    /// The priority that Ubuntu gives it.
    UbuntuPriority(String),
    /// A CVSS vector.
    Cvss(CvssVersion, String),
    /// A word of the database that published the advisory.
    Word(String),
    /// A CVSS vector of the CVE, whatever package has it.
    Cve(CveSource, CvssVersion, String),
}

/// Who rated a CVE. The one that counts first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CveSource {
    /// The organization that assigned the CVE.
    Cna,
    /// The Cybersecurity and Infrastructure Security Agency of the United States.
    CisaAdp,
    /// The National Vulnerability Database of the United States.
    Nvd,
}

impl CveSource {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cna => "CNA",
            Self::CisaAdp => "CISA-ADP",
            Self::Nvd => "NVD",
        }
    }
}

/// The version of a CVSS vector. The one that counts first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CvssVersion {
    /// CVSS 3.1.
    V31,
    /// CVSS 3.0.
    V30,
    /// CVSS 4.0.
    V40,
    /// CVSS 2.0.
    V20,
}

impl CvssVersion {
    /// The version of a vector. None if it is not one that Bailiff knows.
    fn of(vector: &str) -> Option<Self> {
        if let Some(rest) = vector.strip_prefix("CVSS:") {
            return Some(match rest.split_once('/')?.0 {
                "3.1" => Self::V31,
                "3.0" => Self::V30,
                "4.0" => Self::V40,
                _ => return None,
            });
        }
        vector.starts_with("AV:").then_some(Self::V20)
    }

    /// The number.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V30 => "3.0",
            Self::V40 => "4.0",
            Self::V20 => "2.0",
        }
    }
}

/// Bytes of a vector. The longest one of CVSS 4.0 with all metrics has fewer.
const VECTOR_LIMIT: usize = 512;

impl Statement {
    /// What an entry of OSV's `severity` says. None if Bailiff does not know its type, or it cannot be read.
    #[must_use]
    pub fn of_osv(kind: &str, score: &str) -> Option<Self> {
        match kind {
            "Ubuntu" => {
                Severity::of_word(score).map(|_| Self::UbuntuPriority(score.to_ascii_lowercase()))
            }
            "CVSS_V2" | "CVSS_V3" | "CVSS_V4" => {
                let statement = Self::Cvss(CvssVersion::of(score)?, score.to_owned());
                statement.score().map(|_| statement)
            }
            _ => None,
        }
    }

    /// What a vector of a CVE says. None if it cannot be read.
    #[must_use]
    pub fn of_cve(source: CveSource, vector: &str) -> Option<Self> {
        let statement = Self::Cve(source, CvssVersion::of(vector)?, vector.to_owned());
        statement.score().map(|_| statement)
    }

    /// What the word of a database says. None if it is not a severity.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Severity::of_word(word).map(|_| Self::Word(word.to_ascii_lowercase()))
    }

    /// The score of a CVSS vector, computed from its metrics: from 0.0 to 10.0. None for words.
    #[must_use]
    pub fn score(&self) -> Option<f32> {
        match self {
            Self::Cvss(_, vector) | Self::Cve(_, _, vector) if vector.len() <= VECTOR_LIMIT => {
                let vector: polycvss::Vector = vector.parse().ok()?;
                Some(f32::from(vector.base_score()))
            }
            Self::Cvss(..) | Self::Cve(..) | Self::UbuntuPriority(_) | Self::Word(_) => None,
        }
    }

    /// The severity that it means.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::UbuntuPriority(word) | Self::Word(word) => Severity::of_word(word),
            Self::Cvss(..) | Self::Cve(..) => self.score().map(Severity::of_score),
        }
        .unwrap_or(Severity::Unknown)
    }

    /// How early it counts.
    fn rank(&self) -> (u8, Option<CveSource>, Option<CvssVersion>) {
        match self {
            Self::UbuntuPriority(_) => (0, None, None),
            Self::Cvss(version, _) => (1, None, Some(*version)),
            Self::Word(_) => (2, None, None),
            Self::Cve(source, version, _) => (3, Some(*source), Some(*version)),
        }
    }
}

/// A severity and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// The severity.
    pub severity: Severity,
    /// The statement that it is from, and the advisory or the CVE that has it. None if the severity is `Unknown`.
    pub source: Option<(Statement, String)>,
}

impl Rating {
    /// The rating of the statements of one advisory or one CVE: that of the kind that counts first, and of these the most
    /// severe.
    #[must_use]
    pub fn of<'a>(statements: impl IntoIterator<Item = (&'a Statement, &'a str)>) -> Self {
        let first = statements.into_iter().min_by(|(a, in_a), (b, in_b)| {
            let most_severe = || b.severity().cmp(&a.severity());
            let by_name = || (in_a, a).cmp(&(in_b, b));
            a.rank()
                .cmp(&b.rank())
                .then_with(most_severe)
                .then_with(by_name)
        });
        match first {
            Some((statement, advisory)) => Self {
                severity: statement.severity(),
                source: Some((statement.clone(), advisory.to_owned())),
            },
            None => Self::UNKNOWN,
        }
    }

    /// What nobody rated.
    const UNKNOWN: Self = Self {
        severity: Severity::Unknown,
        source: None,
    };

    /// The most severe of the ratings that advisories have, so that none lowers what another one says. Of equal ones, that
    /// of the kind that counts first.
    #[must_use]
    pub fn most_severe(ratings: impl IntoIterator<Item = Self>) -> Self {
        let place = |rating: &Self| {
            let source = rating.source.as_ref();
            source.map(|(statement, advisory)| (statement.rank(), advisory.clone()))
        };
        let first = ratings
            .into_iter()
            .filter(|rating| rating.source.is_some())
            .min_by(|a, b| {
                let order = b.severity.cmp(&a.severity);
                order.then_with(|| place(a).cmp(&place(b)))
            });
        first.unwrap_or(Self::UNKNOWN)
    }
}

#[cfg(test)]
mod tests;

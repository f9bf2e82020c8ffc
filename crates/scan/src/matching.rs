//! Which advisories affect which packages.
//!
//! Here: findings, which advisories are about one vulnerability (`names`), which findings do not count (`counted`), and
//! artifacts whose group is not known (`groups`). Not here: which versions an advisory affects (`advisory`), what to do
//! about findings (`action`), and where advisories are kept: callers give a function from an ecosystem and a name to the
//! advisories that name the package.
//! Invariant: an advisory that affects a package, or of which that is unknown, is part of a finding, unless it was
//! withdrawn. No advisory removes the finding of another, and no state of an advisory that of another state.

mod counted;
pub mod groups;
mod names;
mod state;
#[cfg(test)]
mod tests;

pub use counted::NotCounted;
pub use state::State;

use crate::advisory::{Advisory, Affected, Cause, FixDate, Kind, Verdict, cve};
use crate::counting::Counting;
use crate::ecosystem::Ecosystem;
use crate::known_exploited::KnownExploited;
use crate::package::{Package, Subject, subjects};
use crate::severity::cve::CveRecord;
use crate::severity::{Rating, Statement};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Versions that are tried to find one without a vulnerability that has a fix. Published advisories need a few.
const STEPS_LIMIT: usize = 100;

/// Findings of one scan that are kept.
pub const FINDINGS_LIMIT: usize = 100_000;

/// A vulnerability of a package, or something else that advisories say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The CVE. The name of an advisory if there is no CVE.
    pub id: String,
    /// The package.
    pub subject: Arc<Subject>,
    /// What it is.
    pub kind: Kind,
    /// Why it does not count. None if it counts.
    pub not_counted: Option<NotCounted>,
    /// What of the distribution settles it, so that it does not count. None if nothing does, or that was not asked
    /// (`inventory::settle`).
    pub settled: Option<Settled>,
    /// The packages of the distribution that installed its package, with their source package and its version, if they
    /// have the same finding and that one counts. Sorted. Empty if that is not so, or was not asked (`result`).
    pub of_owner: Vec<String>,
    /// Whether it can be fixed.
    pub state: State,
    /// How severe it is.
    pub rating: Rating,
    /// Whether it is known to be exploited.
    pub exploited: Exploited,
    /// One line about it, as published. Empty if there is none.
    pub title: String,
    /// All other names, sorted.
    pub aliases: Vec<String>,
    /// The advisories that it rests on, sorted by name.
    pub evidence: Vec<Evidence>,
}

impl Finding {
    /// When its fixed version was published, and who says so: an announcement counts before an index, then the earliest
    /// day. None if that is unknown or there is no fixed version.
    #[must_use]
    pub fn fix_date(&self) -> Option<&FixDate> {
        let version = self.state.fixed_version()?;
        let advisories = self.evidence.iter().map(|evidence| &evidence.advisory);
        let affected = advisories.flat_map(|advisory| &advisory.affected);
        let pro = self.subject.ecosystem.with_subscription();
        let own = affected.filter(|affected| {
            let is_own = affected.ecosystem == self.subject.ecosystem;
            (is_own || pro.as_ref() == Some(&affected.ecosystem))
                && affected.name == self.subject.name
        });
        let dates = own.filter_map(|affected| affected.fix_date(version));
        dates.min_by_key(|of| (!of.is_announced(), of.date))
    }
}

/// Why the distribution that installed a package of a language has settled a finding of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The packages of the distribution that own the package, with their source package and its version. Sorted.
    pub owners: Vec<String>,
    /// The advisories of the distribution that say that they are fixed or not affected. Sorted.
    pub advisories: Vec<String>,
}

/// Whether a vulnerability is known to be exploited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exploited {
    /// The catalog has it.
    Yes,
    /// The catalog does not have it.
    No,
    /// There is no catalog.
    Unknown,
}

/// What one advisory says about a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The advisory.
    pub advisory: Arc<Advisory>,
    /// What it says.
    pub claim: Claim,
}

/// What an advisory says about a version of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The version is affected.
    Affected {
        /// The fixed version. None if the advisory names none.
        fixed: Option<String>,
        /// Whether the fixed version requires a subscription.
        needs_subscription: bool,
        /// Why it is affected.
        cause: Cause,
    },
    /// The version is not affected.
    NotAffected,
    /// That cannot be determined, for this reason.
    Unknown(String),
}

/// The findings of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// What was looked up, sorted.
    pub subjects: Vec<Arc<Subject>>,
    /// The findings, by package and name.
    pub findings: Vec<Finding>,
    /// Withdrawn advisories that would affect a package, sorted.
    pub withdrawn: Vec<String>,
    /// Whether there are more findings than the [`FINDINGS_LIMIT`] that are kept. Those of the first packages are.
    pub is_cut: bool,
}

impl Matches {
    /// What cannot be done if there are more findings than are kept; it completes "cannot …". None if all are.
    #[must_use]
    pub fn cut(&self) -> Option<String> {
        self.is_cut.then(|| {
            format!("keep more than {FINDINGS_LIMIT} findings: the others are missing; scan fewer packages at a time")
        })
    }

    /// Adds what is known about CVEs, whatever package has them: the severity of findings of which no advisory has one,
    /// and the title of those without one. `cve` has the record of a CVE, if there is one.
    pub fn describe(&mut self, cve: impl Fn(&str) -> Option<CveRecord>) {
        for finding in &mut self.findings {
            if finding.rating.source.is_some() && !finding.title.is_empty() {
                continue;
            }
            let Some(record) = cve(&finding.id) else {
                continue;
            };
            // What a CVE says counts after whatever an advisory says.
            if finding.rating.source.is_none() {
                let statements = record.statements.iter();
                finding.rating = Rating::of(statements.map(|s| (s, record.id.as_str())));
            }
            if finding.title.is_empty() {
                finding.title = record.title;
            }
        }
    }
}

/// Matches packages with advisories. `advisories` has those that name a package, given its ecosystem and normal name. For
/// the name of an artifact of Maven whose group is not known ([`groups::any_group`]), it has those that name the artifact
/// of any group. `exploited` is unset if there is no catalog.
pub fn match_packages<'a>(
    packages: impl IntoIterator<Item = &'a Package>,
    advisories: impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
    exploited: Option<&KnownExploited>,
) -> Matches {
    match_up_to(FINDINGS_LIMIT, packages, advisories, exploited)
}

/// [`match_packages`] with at most `limit` findings.
fn match_up_to<'a>(
    limit: usize,
    packages: impl IntoIterator<Item = &'a Package>,
    advisories: impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
    exploited: Option<&KnownExploited>,
) -> Matches {
    let mut matches = Matches::default();
    let mut withdrawn = BTreeSet::new();
    let mut last: Option<Named> = None;
    for subject in subjects(packages) {
        let subject = Arc::new(subject);
        if matches.is_cut {
            matches.subjects.push(subject);
            continue;
        }
        let named = Named::after(last.take(), &subject, &advisories);
        withdrawn.extend(named.withdrawn(&subject.version));
        let findings = named.findings(&subject, &subject.version, exploited);
        let left = limit.saturating_sub(matches.findings.len());
        matches.is_cut = findings.len() > left;
        matches.findings.extend(findings.into_iter().take(left));
        matches.subjects.push(subject);
        last = Some(named);
    }
    matches.withdrawn = withdrawn.into_iter().collect();
    matches
}

/// The advisories that name a package.
pub struct Named {
    ecosystem: Ecosystem,
    name: String,
    /// In force, sorted by name.
    advisories: Vec<Arc<Advisory>>,
    withdrawn: Vec<Arc<Advisory>>,
    /// The names of the findings that each advisory in force is part of.
    findings: Vec<Vec<String>>,
}

impl Named {
    /// Looks the advisories up.
    pub fn of(
        subject: &Subject,
        advisories: impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
    ) -> Self {
        let ecosystem = &subject.ecosystem;
        let mut all = advisories(ecosystem, &subject.name);
        if let Some(pro) = ecosystem.with_subscription() {
            all.extend(advisories(&pro, &subject.name));
        }
        // An advisory that names the package in both is one. Two sources can have two states of one advisory.
        let mut seen = BTreeSet::new();
        all.retain(|advisory| seen.insert(Arc::as_ptr(advisory)));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let (withdrawn, advisories): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| a.withdrawn);
        let findings = names::findings(&advisories);
        Self {
            ecosystem: ecosystem.clone(),
            name: subject.name.clone(),
            advisories,
            withdrawn,
            findings,
        }
    }

    /// Those of the package before this one if it has the same name, otherwise looks them up. Of sorted packages, the
    /// versions of one package follow each other.
    pub fn after(
        last: Option<Self>,
        subject: &Subject,
        advisories: impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
    ) -> Self {
        let is_same =
            |last: &Self| last.ecosystem == subject.ecosystem && last.name == subject.name;
        match last.filter(is_same) {
            Some(last) => last,
            None => Self::of(subject, advisories),
        }
    }

    /// What each advisory in force says about a version, sorted by its name.
    pub fn claims(&self, version: &str) -> impl Iterator<Item = (&Arc<Advisory>, Claim)> {
        let claims = self.advisories.iter();
        claims.map(move |advisory| (advisory, self.claim(advisory, version)))
    }

    /// What each advisory says about a version that is about a vulnerability, also if it was withdrawn. `id` is any name
    /// of it, in upper or lower case.
    #[must_use]
    pub fn claims_about(&self, id: &str, version: &str) -> Vec<(&Arc<Advisory>, Claim)> {
        let is_about = |advisory: &&Arc<Advisory>| {
            let mut names = advisory.names();
            names.any(|name| is_name(name, id))
        };
        let all = self.advisories.iter().chain(&self.withdrawn);
        let claims = all.filter(is_about);
        claims
            .map(|advisory| (advisory, self.claim(advisory, version)))
            .collect()
    }

    /// The names of the advisories that were withdrawn and would affect the version. Those that another source has in
    /// force are not among them.
    fn withdrawn(&self, version: &str) -> impl Iterator<Item = String> {
        let in_force: BTreeSet<_> = self.advisories.iter().map(|a| &a.id).collect();
        self.withdrawn
            .iter()
            .filter(move |advisory| !in_force.contains(&advisory.id))
            .filter_map(move |advisory| match self.claim(advisory, version) {
                Claim::Affected { .. } => Some(advisory.id.clone()),
                Claim::NotAffected | Claim::Unknown(_) => None,
            })
    }

    /// What an advisory says about a version.
    fn claim(&self, advisory: &Advisory, version: &str) -> Claim {
        if groups::artifact_of_any_group(&self.ecosystem, &self.name).is_some() {
            return groups::claim(advisory, &self.name, version);
        }
        let of = |ecosystem: &Ecosystem| {
            let entries = advisory.affected.iter();
            let entries =
                entries.filter(|entry| entry.name == self.name && entry.ecosystem == *ecosystem);
            combined(entries, version)
        };
        let own = of(&self.ecosystem);
        let Some(pro) = self.ecosystem.with_subscription().and_then(|pro| of(&pro)) else {
            return own.map_or(Claim::NotAffected, Claim::from);
        };
        // Builds of a subscription are numbered after those that they fix, so their ranges decide.
        match (own, pro) {
            (Some(Verdict::Affected { .. }), Verdict::NotAffected) if is_subscription(version) => {
                Claim::NotAffected
            }
            (
                Some(Verdict::Affected { fixed: None, .. }) | None,
                Verdict::Affected {
                    fixed: Some(fixed),
                    cause,
                },
            ) => Claim::Affected {
                fixed: Some(fixed),
                needs_subscription: true,
                cause,
            },
            (Some(own @ (Verdict::Affected { .. } | Verdict::Unknown(_))), _) => own.into(),
            (Some(Verdict::NotAffected) | None, pro) => pro.into(),
        }
    }

    /// The findings of a version.
    fn findings(
        &self,
        subject: &Arc<Subject>,
        version: &str,
        exploited: Option<&KnownExploited>,
    ) -> Vec<Finding> {
        let mut evidence: BTreeMap<&str, Vec<Evidence>> = BTreeMap::new();
        for ((advisory, claim), names) in self.claims(version).zip(&self.findings) {
            if claim == Claim::NotAffected {
                continue;
            }
            for name in names {
                evidence.entry(name).or_default().push(Evidence {
                    advisory: Arc::clone(advisory),
                    claim: claim.clone(),
                });
            }
        }
        let evidence = evidence.into_iter();
        evidence
            .map(|(id, evidence)| self.finding(id, subject, evidence, exploited))
            .collect()
    }

    fn finding(
        &self,
        id: &str,
        subject: &Arc<Subject>,
        evidence: Vec<Evidence>,
        exploited: Option<&KnownExploited>,
    ) -> Finding {
        let entries = || evidence.iter().flat_map(|e| self.entries(&e.advisory));
        let kind = entries().map(|entry| entry.kind.clone()).max();
        let ratings = evidence.iter().map(|e| self.rating(&e.advisory));
        let rating = Rating::most_severe(ratings);
        let names = evidence.iter().flat_map(|e| e.advisory.names());
        // Names of other CVEs are other findings.
        let aliases: BTreeSet<_> = names
            .filter(|name| *name != id && cve(name).is_none_or(|cve| cve == id))
            .collect();
        let exploited = match exploited {
            None => Exploited::Unknown,
            Some(known) if known.contains(id) => Exploited::Yes,
            Some(_) => Exploited::No,
        };
        let titles = evidence.iter().map(|e| &e.advisory.title);
        let kind = kind.unwrap_or(Kind::Vulnerability);
        Finding {
            id: id.to_owned(),
            subject: Arc::clone(subject),
            not_counted: counted::not_counted(&kind, subject, entries()),
            settled: None,
            of_owner: Vec::new(),
            kind,
            state: self.state(&evidence),
            rating,
            exploited,
            title: titles
                .into_iter()
                .find(|t| !t.is_empty())
                .cloned()
                .unwrap_or_default(),
            aliases: aliases.into_iter().map(str::to_owned).collect(),
            evidence,
        }
    }

    /// How severe an advisory says it is: what it says about the package, otherwise about all.
    fn rating(&self, advisory: &Advisory) -> Rating {
        // A priority of Ubuntu is about packages of Ubuntu, whoever states it.
        let is_ubuntu = matches!(self.ecosystem, Ecosystem::Ubuntu { .. });
        let counts = |statement: &&Statement| match statement {
            Statement::UbuntuPriority(_) => is_ubuntu,
            Statement::Cvss(..) | Statement::Word(_) | Statement::Cve(..) => true,
        };
        let of_package = self.entries(advisory).flat_map(|entry| &entry.statements);
        let of_package: Vec<_> = of_package.filter(counts).collect();
        let statements = if of_package.is_empty() {
            advisory.statements.iter().filter(counts).collect()
        } else {
            of_package
        };
        Rating::of(statements.into_iter().map(|s| (s, advisory.id.as_str())))
    }

    /// What an advisory says about the package in particular.
    fn entries<'a>(&self, advisory: &'a Advisory) -> impl Iterator<Item = &'a Affected> {
        let pro = self.ecosystem.with_subscription();
        advisory.affected.iter().filter(move |entry| {
            let is_of = entry.ecosystem == self.ecosystem || Some(&entry.ecosystem) == pro.as_ref();
            is_of && groups::is_about(&self.ecosystem, &entry.name, &self.name)
        })
    }

    /// The state of a finding.
    fn state(&self, evidence: &[Evidence]) -> State {
        let notes = |advisory| self.entries(advisory).flat_map(|entry| &entry.notes);
        State::of(self.ecosystem.scheme(), evidence, notes)
    }

    /// The lowest version from this one on that has no vulnerability that counts and has a fixed version, and the findings
    /// that it still has. None if the version itself has none. If it takes more than [`STEPS_LIMIT`] steps to find, or the
    /// order of versions has a cycle, it is the version that was found last, with what can be fixed.
    ///
    /// Each version below the highest fixed version of the findings is in a range that contains the version, so it is
    /// affected. Going from one highest fixed version to the next therefore skips no version that is not.
    pub(crate) fn upgrade(
        &self,
        subject: &Arc<Subject>,
        counting: &Counting,
    ) -> Option<(String, Vec<Finding>)> {
        let scheme = self.ecosystem.scheme();
        let mut version = subject.version.clone();
        // The order of Maven has cycles.
        let mut seen = BTreeSet::new();
        loop {
            let findings = self.findings(subject, &version, None);
            let fixed = findings.iter().filter_map(|finding| match &finding.state {
                State::Fixed(fixed)
                    if finding.kind == Kind::Vulnerability && counting.counts(finding) =>
                {
                    Some(fixed)
                }
                State::Fixed(_)
                | State::FixedWithSubscription(_)
                | State::WontFix(_)
                | State::Postponed(_)
                | State::EndOfLife(_)
                | State::Open
                | State::Unknown(_) => None,
            });
            let highest = state::highest(scheme, fixed);
            match highest {
                Some(highest) if seen.len() < STEPS_LIMIT && seen.insert(highest.clone()) => {
                    version.clone_from(highest);
                }
                Some(_) | None => {
                    return (version != subject.version).then_some((version, findings));
                }
            }
        }
    }
}

/// Whether a name of an advisory is this one of a vulnerability, also with the prefix of a database. Upper and lower case
/// are the same.
#[must_use]
pub fn is_name(name: &str, id: &str) -> bool {
    let is_id = |name: &str| name.eq_ignore_ascii_case(id);
    is_id(name) || cve(name).is_some_and(is_id)
}

/// Whether a version of Ubuntu is a build of a subscription.
fn is_subscription(version: &str) -> bool {
    version.contains("esm")
}

/// What the entries of an advisory about one package say together. None if there are none.
fn combined<'a>(entries: impl Iterator<Item = &'a Affected>, version: &str) -> Option<Verdict> {
    let mut all: Option<Verdict> = None;
    for entry in entries {
        let verdict = entry.evaluate(version);
        let scheme = entry.ecosystem.scheme();
        all = Some(match (all, verdict) {
            (None | Some(Verdict::NotAffected), verdict)
            | (Some(Verdict::Unknown(_)), verdict @ Verdict::Affected { .. }) => verdict,
            (Some(unknown @ Verdict::Unknown(_)), Verdict::NotAffected | Verdict::Unknown(_)) => {
                unknown
            }
            (
                Some(Verdict::Affected { fixed: a, cause }),
                Verdict::Affected {
                    fixed: b,
                    cause: other,
                },
            ) => match (a, b) {
                (Some(a), Some(b)) if scheme.compare(&a, &b) == Ok(Ordering::Less) => {
                    let fixed = Some(b);
                    Verdict::Affected {
                        fixed,
                        cause: other,
                    }
                }
                (Some(_), None) => Verdict::Affected {
                    fixed: None,
                    cause: other,
                },
                (a, b) => Verdict::Affected {
                    fixed: b.and(a),
                    cause,
                },
            },
            (
                Some(affected @ Verdict::Affected { .. }),
                Verdict::NotAffected | Verdict::Unknown(_),
            ) => affected,
        });
    }
    all
}

impl From<Verdict> for Claim {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Affected { fixed, cause } => Self::Affected {
                fixed,
                needs_subscription: false,
                cause,
            },
            Verdict::NotAffected => Self::NotAffected,
            Verdict::Unknown(cause) => Self::Unknown(cause),
        }
    }
}

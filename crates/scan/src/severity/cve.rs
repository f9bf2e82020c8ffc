//! What records about CVEs say about severities.
//!
//! Here: records of the CVE list in version 5, and those of the National Vulnerability Database in version 2.0. Not here:
//! which statement counts (`severity`).
//! Invariant: a record that cannot be read hides no other. A metric that cannot be read, or of which nobody knows who
//! wrote it, is no statement. A rejected CVE has no statements.

use super::{CveSource, Statement};
use crate::advisory::{is_id, line};
use crate::json::{self, JsonError};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes of a record.
pub const RECORD_LIMIT: usize = 16 << 20;
/// Bytes of a file of the National Vulnerability Database.
pub const NVD_LIMIT: usize = 1 << 30;
/// Statements of a record.
const STATEMENTS_LIMIT: usize = 32;

/// The organization of CISA that adds metrics to CVEs, in CVE records.
const CISA: &str = "134c704f-9b21-4f2e-91b3-4a467353bcc0";
/// The National Vulnerability Database, in its own records.
const NVD: &str = "nvd@nist.gov";

/// What a record says about a CVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CveRecord {
    /// The CVE.
    pub id: String,
    /// Whether the CVE was rejected: its number was assigned in error, or twice.
    pub is_rejected: bool,
    /// One line about it, as published. Empty if there is none.
    pub title: String,
    /// What it says about the severity, without what it says twice.
    pub statements: Vec<Statement>,
}

impl CveRecord {
    /// Adds what another record says about the same CVE.
    pub fn merge(&mut self, other: Self) {
        self.is_rejected |= other.is_rejected;
        if self.title.is_empty() {
            self.title = other.title;
        }
        for statement in other.statements {
            self.add(statement);
        }
        if self.is_rejected {
            self.statements.clear();
        }
    }

    fn add(&mut self, statement: Statement) {
        if self.statements.len() < STATEMENTS_LIMIT && !self.statements.contains(&statement) {
            self.statements.push(statement);
        }
    }
}

/// Why a record says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CveError {
    /// It is not JSON, exceeds a limit, or a field has another type.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It does not name a CVE.
    #[error("{0}: must be a CVE such as CVE-2021-44228")]
    Id(&'static str),
}

/// Records are decoded piece by piece, and pieces that do not count stay text: decoded, they would take many times the
/// memory.
#[derive(Deserialize)]
struct ListRecord<'a> {
    #[serde(rename = "cveMetadata")]
    metadata: Metadata,
    #[serde(borrow)]
    containers: Option<Containers<'a>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "cveId")]
    id: String,
    state: Option<String>,
}

#[derive(Deserialize)]
struct Containers<'a> {
    #[serde(borrow)]
    cna: Option<&'a RawValue>,
    #[serde(borrow)]
    adp: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(rename = "providerMetadata", borrow)]
    provider: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    descriptions: Option<&'a RawValue>,
    #[serde(borrow)]
    metrics: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Provider {
    #[serde(rename = "orgId")]
    organization: String,
}

/// A metric of the CVE list. It can have a vector in each of these fields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMetric<'a> {
    #[serde(rename = "cvssV3_1", borrow)]
    v31: Option<&'a RawValue>,
    #[serde(rename = "cvssV3_0", borrow)]
    v30: Option<&'a RawValue>,
    #[serde(rename = "cvssV4_0", borrow)]
    v40: Option<&'a RawValue>,
    #[serde(rename = "cvssV2_0", borrow)]
    v20: Option<&'a RawValue>,
}

/// Decodes a record of the CVE list, such as `CVE-2021-44228.json`.
///
/// # Errors
/// If it exceeds a limit, is not such JSON, or does not name a CVE.
pub fn decode(bytes: &[u8]) -> Result<CveRecord, CveError> {
    let record: ListRecord<'_> = json::decode(bytes, RECORD_LIMIT)?;
    let mut of = CveRecord {
        id: checked("cveMetadata.cveId", record.metadata.id)?,
        is_rejected: record.metadata.state.as_deref() == Some("REJECTED"),
        title: String::new(),
        statements: Vec::new(),
    };
    let Some(containers) = record.containers else {
        return Ok(of);
    };
    let cna: Container<'_> = piece(containers.cna);
    let title: String = piece(cna.title);
    of.title = Some(line(&title))
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| english(cna.descriptions));
    if of.is_rejected {
        return Ok(of);
    }
    of.add_metrics(CveSource::Cna, &cna);
    let adp: Vec<&RawValue> = piece(containers.adp);
    for adp in adp {
        let adp: Container<'_> = piece(Some(adp));
        let provider: Provider = piece(adp.provider);
        if provider.organization == CISA {
            of.add_metrics(CveSource::CisaAdp, &adp);
        }
    }
    Ok(of)
}

impl CveRecord {
    fn add_metrics(&mut self, source: CveSource, container: &Container<'_>) {
        let metrics: Vec<&RawValue> = piece(container.metrics);
        for metric in metrics {
            let metric: ListMetric<'_> = piece(Some(metric));
            for of in [metric.v31, metric.v30, metric.v40, metric.v20] {
                self.add_vector(source, of);
            }
        }
    }

    /// Adds the vector of a metric, if it can be read.
    fn add_vector(&mut self, source: CveSource, metric: Option<&RawValue>) {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Vector {
            #[serde(rename = "vectorString")]
            vector: String,
        }
        let Vector { vector } = piece(metric);
        if let Some(statement) = Statement::of_cve(source, &vector) {
            self.add(statement);
        }
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    vulnerabilities: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct NvdItem<'a> {
    #[serde(borrow)]
    cve: NvdRecord<'a>,
}

#[derive(Deserialize)]
struct NvdRecord<'a> {
    id: String,
    #[serde(rename = "sourceIdentifier", borrow)]
    source: Option<&'a RawValue>,
    #[serde(rename = "vulnStatus", borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    descriptions: Option<&'a RawValue>,
    #[serde(borrow)]
    metrics: Option<&'a RawValue>,
}

/// The lists of metrics of the National Vulnerability Database.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NvdMetrics<'a> {
    #[serde(rename = "cvssMetricV31", borrow)]
    v31: Option<&'a RawValue>,
    #[serde(rename = "cvssMetricV30", borrow)]
    v30: Option<&'a RawValue>,
    #[serde(rename = "cvssMetricV40", borrow)]
    v40: Option<&'a RawValue>,
    #[serde(rename = "cvssMetricV2", borrow)]
    v20: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NvdMetric<'a> {
    source: String,
    #[serde(rename = "cvssData", borrow)]
    data: Option<&'a RawValue>,
}

/// Reads a file or a page of the National Vulnerability Database. `each` gets each record, and an error for each one that
/// cannot be read.
///
/// # Errors
/// If it exceeds a limit, or is no such JSON.
pub fn read_nvd(
    bytes: &[u8],
    mut each: impl FnMut(Result<CveRecord, String>),
) -> Result<(), JsonError> {
    let page: Page<'_> = json::decode(bytes, NVD_LIMIT)?;
    for (index, record) in page.vulnerabilities.iter().enumerate() {
        let record = json::decode::<NvdItem<'_>>(record.get().as_bytes(), RECORD_LIMIT);
        let record = record.map_err(CveError::from).and_then(NvdItem::record);
        each(record.map_err(|error| format!("vulnerabilities[{index}]: {error}")));
    }
    Ok(())
}

impl NvdItem<'_> {
    fn record(self) -> Result<CveRecord, CveError> {
        let record = self.cve;
        let status: String = piece(record.status);
        let mut of = CveRecord {
            id: checked("cve.id", record.id)?,
            is_rejected: status == "Rejected",
            title: english(record.descriptions),
            statements: Vec::new(),
        };
        if of.is_rejected {
            return Ok(of);
        }
        let cna: String = piece(record.source);
        let metrics: NvdMetrics<'_> = piece(record.metrics);
        for list in [metrics.v31, metrics.v30, metrics.v40, metrics.v20] {
            let list: Vec<&RawValue> = piece(list);
            for metric in list {
                let metric: NvdMetric<'_> = piece(Some(metric));
                let source = match metric.source.as_str() {
                    NVD => CveSource::Nvd,
                    CISA => CveSource::CisaAdp,
                    source if source == cna && !cna.is_empty() => CveSource::Cna,
                    _ => continue,
                };
                of.add_vector(source, metric.data);
            }
        }
        Ok(of)
    }
}

/// A piece of a record. One of another type is as if it were missing.
fn piece<'a, T: Default + Deserialize<'a>>(text: Option<&'a RawValue>) -> T {
    let text = text.map(RawValue::get).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

fn checked(field: &'static str, id: String) -> Result<String, CveError> {
    if id.starts_with("CVE-") && is_id(&id) {
        Ok(id)
    } else {
        Err(CveError::Id(field))
    }
}

/// The first line of the English text among descriptions. Empty if there is none.
fn english(descriptions: Option<&RawValue>) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Description {
        lang: String,
        value: String,
    }
    let descriptions: Vec<&RawValue> = piece(descriptions);
    let texts = descriptions.into_iter();
    let mut texts = texts.map(|text| -> Description { piece(Some(text)) });
    let is_english = |text: &Description| text.lang == "en" || text.lang.starts_with("en-");
    let text = texts.find(is_english);
    line(&text.unwrap_or_default().value)
}

#[cfg(test)]
mod tests;

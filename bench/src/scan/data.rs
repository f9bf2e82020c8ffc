//! Advisories and packages for both sides.
//!
//! Here: an index and the archives of osv-scanner with the same records, and lists of packages in both forms. Not here:
//! what is measured.
//! Invariant: with more records, the first ones are as they were published; the others have other names.

use anyhow::{Context as _, Result};
use bailiff_scan::advisory::osv;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::index::{Builder, Index, SourceKind};
use bailiff_scan::package::Package;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The ecosystems of which packages are taken: those of which osv-scanner reads package URLs.
const ECOSYSTEMS: &[Ecosystem] = &[
    Ecosystem::Go,
    Ecosystem::PyPi,
    Ecosystem::CratesIo,
    Ecosystem::Maven,
];

/// Advisories in the forms of both sides.
pub(crate) struct Database {
    pub(crate) records: usize,
    /// Bytes of the archives.
    pub(crate) archives: u64,
    pub(crate) index: Vec<u8>,
    pub(crate) index_path: PathBuf,
    /// What osv-scanner takes as the path of its database.
    pub(crate) directory: PathBuf,
    /// A package that each advisory names, with a version.
    named: BTreeSet<(Ecosystem, String, String)>,
}

/// A list of packages in the forms of both sides.
pub(crate) struct Lists {
    pub(crate) ours: PathBuf,
    pub(crate) theirs: PathBuf,
}

impl Database {
    /// Reads the archives of a directory. With `times`, each record is there as often, with other names.
    pub(crate) fn new(from: &Path, times: usize, to: &Path) -> Result<Self> {
        let mut file = Cursor::new(Vec::new());
        let mut builder = Builder::new(&mut file, jiff::Timestamp::now(), None)?;
        let (mut records, mut archives) = (0, 0);
        let mut named = BTreeSet::new();
        let entries =
            fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
        let mut directories: Vec<_> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        directories.sort();
        for directory in directories {
            let path = directory.join("all.zip");
            let name = directory.file_name().context("it has no name")?;
            let of_peer = to.join("osv-scalibr").join(name);
            fs::create_dir_all(&of_peer)?;
            let mut written = ZipWriter::new(File::create(of_peer.join("all.zip"))?);
            let mut archive = ZipArchive::new(BufReader::new(File::open(&path)?))?;
            archives += fs::metadata(&path)?.len();
            let source = builder.source(SourceKind::Osv, path.display().to_string());
            for number in 0..archive.len() {
                let mut text = String::new();
                archive.by_index(number)?.read_to_string(&mut text)?;
                let record: Json = serde_json::from_str(&text)?;
                for copy in 0..times {
                    let record = renamed(&record, copy).to_string();
                    let advisory = osv::decode(record.as_bytes())?;
                    written.start_file(
                        format!("{}.json", advisory.id),
                        SimpleFileOptions::default(),
                    )?;
                    written.write_all(record.as_bytes())?;
                    if copy == 0 {
                        named.extend(advisory.affected.iter().map(|entry| {
                            let version = entry.versions.iter().next().unwrap_or("0.1.0");
                            (
                                entry.ecosystem.clone(),
                                entry.name.clone(),
                                version.to_owned(),
                            )
                        }));
                    }
                    builder.add(source, "record", advisory)?;
                    records += 1;
                }
            }
            written.finish()?;
        }
        builder.finish()?;
        let index = file.into_inner();
        Index::open(&index)?.verify()?;
        let index_path = to.join("index");
        fs::write(&index_path, &index)?;
        Ok(Self {
            records,
            archives,
            index,
            index_path,
            directory: to.to_owned(),
            named,
        })
    }

    /// Writes a list of packages for both sides.
    pub(crate) fn write_lists(&self, packages: &[Package]) -> Result<Lists> {
        let ours: Vec<_> = packages
            .iter()
            .map(|of| {
                json!({"ecosystem": of.ecosystem.to_string(), "name": of.name, "version": of.version})
            })
            .collect();
        let theirs: Vec<_> = packages
            .iter()
            .map(|of| {
                let (kind, name) = match &of.ecosystem {
                    Ecosystem::Go => ("golang", of.name.clone()),
                    Ecosystem::CratesIo => ("cargo", of.name.clone()),
                    Ecosystem::Maven => ("maven", of.name.replace(':', "/")),
                    Ecosystem::PyPi
                    | Ecosystem::Npm
                    | Ecosystem::Debian(_)
                    | Ecosystem::Ubuntu { .. }
                    | Ecosystem::Alpine(_) => ("pypi", of.name.clone()),
                };
                let purl = format!("pkg:{kind}/{name}@{}", of.version);
                json!({"type": "library", "name": of.name, "version": of.version, "purl": purl})
            })
            .collect();
        let lists = Lists {
            ours: self.directory.join("packages.json"),
            theirs: self.directory.join("bom.cdx.json"),
        };
        fs::write(&lists.ours, serde_json::to_vec(&ours)?)?;
        let bom = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": theirs});
        fs::write(&lists.theirs, serde_json::to_vec(&bom)?)?;
        Ok(lists)
    }
}

/// The record with other names, except for the first copy.
fn renamed(record: &Json, copy: usize) -> Json {
    let mut record = record.clone();
    if copy == 0 {
        return record;
    }
    let with = |name: &Json| Json::from(format!("{}-{copy}", name.as_str().unwrap_or_default()));
    record["id"] = with(&record["id"]);
    for entry in record["affected"].as_array_mut().into_iter().flatten() {
        let name = &mut entry["package"]["name"];
        *name = with(name);
    }
    record
}

/// Packages that the advisories name, spread over all of them.
pub(crate) fn packages(of: &Database, count: usize) -> Result<Vec<Package>> {
    let is_of = |(ecosystem, ..): &&(Ecosystem, String, String)| ECOSYSTEMS.contains(ecosystem);
    let mut named: Vec<_> = of.named.iter().filter(is_of).collect();
    named.dedup_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1));
    let step = named.len() / count;
    anyhow::ensure!(step > 0, "the advisories name fewer than {count} packages");
    let chosen = named.into_iter().step_by(step).take(count);
    Ok(chosen
        .map(|(ecosystem, name, version)| Package {
            ecosystem: ecosystem.clone(),
            name: name.clone(),
            version: version.clone(),
            source: None,
            path: None,
        })
        .collect())
}

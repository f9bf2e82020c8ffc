//! Reading an image, layer by layer.
//!
//! Here: a process for each layer, and what is made of its answers. Not here: what the process does (`child`), what is
//! believed of it (`validate`), and where layers come from.
//! Invariant: what an answer had before it ended counts. Whatever is missing is in the list of what is incomplete, and
//! no layer keeps another one from being read. A layer that an image has several times is read once.

use crate::again::Answers;
use crate::incomplete::{Cause, Incomplete};
use crate::limits::{Limit, Limits};
use crate::process::{Ended, Process, Program};
use crate::reading::Readers;
use crate::report::{Done, Frame, FrameError, Hash, NotRead, Reader, Request, Work};
use crate::sandbox::Landlock;
use crate::validate::{Checker, Expected, Invalid};
use crate::wanted::Wanted;
use bailiff_oci::tree::{FileId, NodeKind, Tree};
use bailiff_oci::{Algorithm, Digest};
use bailiff_scan::content::Fact;
use bailiff_scan::inventory::ContentDigest;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::time::Duration;

/// A layer of an image whose blob is open: what is made of `bailiff_oci::image::LayerBlob` once its content is there.
#[derive(Debug)]
pub struct OpenLayer {
    /// The digest of the blob, as the manifest has it. None if nothing states it, as in an archive of Docker.
    pub digest: Option<Digest>,
    /// The digest of the unpacked layer, as the image's configuration has it. None if nothing states it.
    pub diff_id: Option<Digest>,
    /// Bytes of the blob.
    pub size: u64,
    /// The blob. It is read from its begin, wherever its position is.
    pub file: File,
}

/// Whether layers are read in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// A process without its sandbox reads nothing.
    Required,
    /// The process has resource limits and no environment, and no sandbox.
    Off,
}

/// How an image is read.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Whether the process that reads has to be in a sandbox.
    pub mode: SandboxMode,
    /// The program that reads. Defaults to this one.
    pub program: Program,
    /// What reads files. The program has its own; this one tells which links have to be followed.
    pub readers: Readers,
    /// The bounds.
    pub limits: Limits,
}

impl Sandbox {
    /// This program, with the largest bounds.
    #[must_use]
    pub fn new(mode: SandboxMode) -> Self {
        Self {
            mode,
            program: Program::default(),
            readers: Readers::default(),
            limits: Limits::default(),
        }
    }
}

/// How much of an image was read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of the layer, from 0 for the lowest.
    pub layer: u32,
    /// Layers of the image.
    pub layers: u32,
    /// Bytes of the layer that were read, at most `size`.
    pub read: u64,
    /// Bytes of the layer.
    pub size: u64,
}

/// Which sandbox the processes had that read an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandboxed {
    /// None was started, or none could enter its sandbox.
    Nothing,
    /// Not at all, as was requested.
    Off,
    /// By an allow-list of system calls, and by what Landlock adds; the least of all layers.
    Yes(Landlock),
}

impl fmt::Display for Sandboxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "no layer was read",
            Self::Off => "the layers were read without a sandbox",
            Self::Yes(Landlock::Full) => "the layers were read in a sandbox",
            Self::Yes(Landlock::Partial) => {
                "the layers were read in a sandbox, in which the kernel supports only a part of Landlock"
            }
            Self::Yes(Landlock::Unavailable) => {
                "the layers were read in a sandbox without Landlock, which the kernel does not support"
            }
        })
    }
}

/// What is in an image.
pub struct ImageContent {
    /// Its tree, with every layer that it has. Of an incomplete layer, the tree has what was read.
    pub tree: Tree,
    /// What was not read. Empty if everything was.
    pub incomplete: Vec<Incomplete>,
    /// Which sandbox the processes had that read it.
    pub sandboxed: Sandboxed,
    /// Bytes of all layers once they are unpacked, as far as they were read to the end.
    pub unpacked: u64,
    facts: BTreeMap<FileId, Vec<Fact>>,
    /// Digests of files that are compared by content.
    pub(crate) digests: BTreeMap<FileId, ContentDigest>,
}

impl ImageContent {
    /// What a file says, in the order in which it does. Empty for a file that is not read.
    #[must_use]
    pub fn facts(&self, file: FileId) -> &[Fact] {
        self.facts.get(&file).map_or(&[], Vec::as_slice)
    }

    /// The files of the tree of the lowest `layers` layers that say something, each path with its file. A file with
    /// several names is there with each of them.
    pub fn files(&self, layers: u32) -> impl Iterator<Item = (Vec<u8>, FileId, &[Fact])> {
        self.tree
            .view_to(layers)
            .walk()
            .filter(|(_, node)| node.kind == NodeKind::File)
            .filter_map(|(path, node)| {
                let facts = self.facts.get(&node.id)?;
                Some((path, node.id, facts.as_slice()))
            })
    }
}

/// Reads the layers of an image, the lowest first.
pub fn read_image(
    layers: &[OpenLayer],
    sandbox: &Sandbox,
    progress: &mut dyn FnMut(Progress),
) -> ImageContent {
    let limits = &sandbox.limits;
    let mut reading = Reading {
        sandbox,
        content: ImageContent {
            tree: Tree::new(&limits.layer),
            incomplete: Vec::new(),
            sandboxed: Sandboxed::Nothing,
            unpacked: 0,
            facts: BTreeMap::new(),
            digests: BTreeMap::new(),
        },
        wanted: Wanted::new(sandbox.readers.interest, limits),
        facts: limits.facts,
        fact_bytes: limits.fact_bytes,
        cpu: limits.cpu_of_image(bytes_of(layers)),
        exceeded: Vec::new(),
        answers: Answers::new(),
        progress,
        layers: u32::try_from(layers.len()).unwrap_or(u32::MAX),
    };
    reading.all(layers);
    reading.content
}

/// An image that is being read.
struct Reading<'a> {
    sandbox: &'a Sandbox,
    content: ImageContent,
    wanted: Wanted,
    /// Facts that can be added.
    facts: u32,
    /// Bytes of facts that can be added.
    fact_bytes: u64,
    /// CPU time that processes can take.
    cpu: Duration,
    /// Limits that are reported already.
    exceeded: Vec<Limit>,
    /// Those about layers that come again.
    answers: Answers,
    progress: &'a mut dyn FnMut(Progress),
    layers: u32,
}

impl Reading<'_> {
    fn all(&mut self, layers: &[OpenLayer]) {
        let spool = match spool() {
            Ok(spool) => spool,
            Err(error) => {
                let cause = Cause::CannotStart(format!("cannot create a temporary file: {error}"));
                return self.incomplete(None, cause);
            }
        };
        if layers.len() > self.sandbox.limits.layers {
            self.exceeded(Limit::Layers);
        }
        for (number, blob) in (0_u32..).zip(layers.iter().take(self.sandbox.limits.layers)) {
            let work = Work::All {
                blob: hash(blob.digest.as_ref()),
                content: hash(blob.diff_id.as_ref()),
            };
            self.content.tree.begin_layer();
            self.layer(number, layers, &spool, &work);
            if let Err(cause) = self.content.tree.end_layer() {
                self.incomplete(Some(number), Cause::CannotApply(cause));
            }
        }
        let files = self.wanted.files(&self.content.tree);
        if self.wanted.exceeded() {
            self.exceeded(Limit::Links);
        }
        for (number, files) in files {
            self.layer(number, layers, &spool, &Work::Files(files));
        }
    }

    /// Has a process read a layer, unless those before it have used up the CPU time of the image.
    fn layer(&mut self, number: u32, layers: &[OpenLayer], spool: &File, work: &Work) {
        let (below, rest) = usize::try_from(number)
            .ok()
            .and_then(|number| layers.split_at_checked(number))
            .unwrap_or((layers, &[]));
        let Some((blob, above)) = rest.split_first() else {
            return;
        };
        let is_same = |other: &OpenLayer| blob.digest.is_some() && other.digest == blob.digest;
        if below.iter().any(is_same)
            && let Some(answer) = self.answers.about(blob.digest.as_ref(), work)
        {
            return self.again(number, blob, &answer, work);
        }
        if self.cpu.is_zero() {
            return self.exceeded(Limit::Cpu);
        }
        let before = cpu_of_children();
        // Its digest is verified only if all of it is read.
        let comes_again = match work {
            Work::All { .. } => above.iter().any(is_same),
            Work::Files(_) => false,
        };
        self.in_process(number, blob, spool, work, comes_again);
        let used = cpu_of_children().saturating_sub(before);
        self.cpu = self.cpu.saturating_sub(used);
    }

    /// Reads the answer about the same layer again.
    fn again(&mut self, number: u32, blob: &OpenLayer, answer: &File, work: &Work) {
        let checker = self.checker(blob, work);
        let mut answer = Reader::new(BufReader::with_capacity(64 << 10, answer));
        let cause = match self.answer(number, blob, &mut answer, checker) {
            (Err(cause), _) => Some(cause),
            (Ok(()), true) => None,
            (Ok(()), false) => Some(Cause::Ended(Ended::Unknown)),
        };
        if let Some(cause) = cause {
            self.incomplete(Some(number), cause);
        }
    }

    /// Follows an answer about a layer.
    fn checker<'w>(&self, blob: &OpenLayer, work: &'w Work) -> Checker<'w> {
        Checker::new(Expected {
            sandboxed: self.is_sandboxed(),
            work,
            size: blob.size,
            unpacked: self.sandbox.limits.layer.unpacked,
            entries: self.sandbox.limits.layer.entries,
        })
    }

    fn is_sandboxed(&self) -> bool {
        match self.sandbox.mode {
            SandboxMode::Required => true,
            SandboxMode::Off => false,
        }
    }

    /// Has a process read a layer. The answer is kept if the layer `comes_again`.
    fn in_process(
        &mut self,
        number: u32,
        blob: &OpenLayer,
        spool: &File,
        work: &Work,
        comes_again: bool,
    ) {
        let limits = &self.sandbox.limits;
        let mut ceilings = limits.ceilings(blob.size);
        let left = self.cpu.as_secs().saturating_add(1);
        ceilings.cpu_seconds = ceilings.cpu_seconds.min(left);
        let request = Request {
            sandboxed: self.is_sandboxed(),
            ceilings,
            unpacked: limits.layer.unpacked,
            entries: limits.layer.entries,
            work: work.clone(),
        };
        let started = Process::start(&self.sandbox.program, &request, &blob.file, spool);
        let (mut process, answer) = match started {
            Ok(started) => started,
            Err(error) => {
                return self.incomplete(Some(number), Cause::CannotStart(error.to_string()));
            }
        };
        let checker = self.checker(blob, work);
        let incomplete = self.content.incomplete.len();
        let answer = self.answers.record(answer, comes_again);
        let mut answer = Reader::new(BufReader::with_capacity(64 << 10, answer));
        let (end, ended) = self.answer(number, blob, &mut answer, checker);
        let cause = match end {
            // It says nothing more that would be believed.
            Err(cause) => {
                process.kill();
                Some(cause)
            }
            Ok(()) => match process.wait() {
                Ended::Normally if ended => None,
                other => Some(Cause::Ended(other)),
            },
        };
        if let Some(cause) = cause {
            self.incomplete(Some(number), cause);
        }
        // With anything that is not believed, the layer is read again: another place can have another reason.
        if self.content.incomplete.len() == incomplete
            && let Some(digest) = &blob.digest
        {
            let recorded = answer.into_inner().into_inner();
            self.answers.keep(digest, work, recorded);
        }
    }

    /// Reads an answer to its end. Returns why the rest of it is not believed, and whether it had an end of its own.
    fn answer(
        &mut self,
        number: u32,
        blob: &OpenLayer,
        answer: &mut Reader<impl Read>,
        mut checker: Checker<'_>,
    ) -> (Result<(), Cause>, bool) {
        let mut refused = false;
        loop {
            let (frame, bytes) = match answer.frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return (Ok(()), checker.ended()),
                // The process ended while it wrote; its exit status says why.
                Err(FrameError::Cut) => return (Ok(()), false),
                Err(FrameError::Io(error)) => {
                    let errno = error.raw_os_error().unwrap_or(0);
                    return (Err(Cause::Pipe(errno)), false);
                }
                Err(FrameError::TooLarge(_)) => {
                    return (Err(Cause::Answer(Invalid::TooLarge)), false);
                }
                Err(FrameError::Malformed) => {
                    return (Err(Cause::Answer(Invalid::Malformed)), false);
                }
            };
            if let Err(invalid) = checker.check(&frame) {
                return (Err(Cause::Answer(invalid)), false);
            }
            match frame {
                Frame::Started(None) => self.content.sandboxed = Sandboxed::Off,
                Frame::Started(Some(landlock)) => self.sandboxed(landlock),
                Frame::NotSandboxed(cause) => {
                    self.incomplete(Some(number), Cause::NoSandbox(cause));
                }
                Frame::Progress(read) => self.progress(number, read, blob.size),
                Frame::Entry { entry, read } => {
                    let Some(ordinal) = checker.last() else {
                        continue;
                    };
                    let id = FileId {
                        layer: number,
                        ordinal,
                    };
                    if let Err(cause) = self.content.tree.apply(ordinal, &entry) {
                        // One cause is enough to know that the layer is incomplete; there can be millions.
                        if !refused {
                            self.incomplete(Some(number), Cause::CannotApply(cause));
                        }
                        refused = true;
                    }
                    self.wanted.learn(id, &entry, read);
                }
                Frame::Fact { ordinal, fact } => {
                    let id = FileId {
                        layer: number,
                        ordinal,
                    };
                    self.fact(id, fact, bytes);
                }
                Frame::Content { ordinal, digest } => {
                    let id = FileId {
                        layer: number,
                        ordinal,
                    };
                    if self.has_room(bytes) {
                        self.content.digests.entry(id).or_insert(digest);
                    }
                }
                Frame::Done(done) => self.done(number, blob, &done),
                Frame::NotRead { cause, blob: found } => {
                    let differs = found.is_some_and(|found| self.blob(number, blob, &found));
                    match cause {
                        NotRead::CannotUnpack(cause) => {
                            // A damaged blob is the cause of whatever is wrong with its content.
                            if !differs {
                                self.incomplete(Some(number), Cause::CannotUnpack(cause));
                            }
                        }
                        NotRead::Files(errno) => {
                            self.incomplete(Some(number), Cause::Files(errno));
                        }
                    }
                }
            }
        }
    }

    fn done(&mut self, number: u32, blob: &OpenLayer, done: &Done) {
        let Some((found, content)) = &done.digests else {
            return;
        };
        self.content.unpacked = self.content.unpacked.saturating_add(done.unpacked);
        self.blob(number, blob, found);
        if let Some(found) = differs(blob.diff_id.as_ref(), content) {
            self.incomplete(Some(number), Cause::ContentDigest(found));
        }
        self.progress(number, blob.size, blob.size);
    }

    /// Compares the digest of a blob. Returns whether it differs, which is reported.
    fn blob(&mut self, number: u32, blob: &OpenLayer, found: &[u8]) -> bool {
        let found = differs(blob.digest.as_ref(), found);
        let differs = found.is_some();
        if let Some(found) = found {
            self.incomplete(Some(number), Cause::BlobDigest(found));
        }
        differs
    }

    fn fact(&mut self, id: FileId, fact: Fact, bytes: usize) {
        if self.has_room(bytes) {
            self.content.facts.entry(id).or_default().push(fact);
        }
    }

    /// Whether there is room for one more fact or digest of this size, which takes it.
    fn has_room(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match (
            self.facts.checked_sub(1),
            self.fact_bytes.checked_sub(bytes),
        ) {
            (Some(facts), Some(left)) => {
                self.facts = facts;
                self.fact_bytes = left;
                return true;
            }
            (None, _) => self.exceeded(Limit::Facts),
            (Some(_), None) => self.exceeded(Limit::FactBytes),
        }
        false
    }

    fn sandboxed(&mut self, landlock: Landlock) {
        self.content.sandboxed = match self.content.sandboxed {
            Sandboxed::Nothing => Sandboxed::Yes(landlock),
            Sandboxed::Off => Sandboxed::Off,
            Sandboxed::Yes(before) => Sandboxed::Yes(before.max(landlock)),
        };
    }

    fn progress(&mut self, layer: u32, read: u64, size: u64) {
        (self.progress)(Progress {
            layer,
            layers: self.layers,
            read,
            size,
        });
    }

    fn exceeded(&mut self, limit: Limit) {
        if !self.exceeded.contains(&limit) {
            self.exceeded.push(limit);
            self.incomplete(None, Cause::Limit(limit));
        }
    }

    fn incomplete(&mut self, layer: Option<u32>, cause: Cause) {
        self.content.incomplete.push(Incomplete { layer, cause });
    }
}

/// Bytes of the blobs of an image. A blob that several layers have counts once.
fn bytes_of(layers: &[OpenLayer]) -> u64 {
    let mut seen = BTreeSet::new();
    let mut bytes = 0_u64;
    for layer in layers {
        let is_new = layer
            .digest
            .as_ref()
            .is_none_or(|digest| seen.insert(digest.as_str()));
        if is_new {
            bytes = bytes.saturating_add(layer.size);
        }
    }
    bytes
}

/// CPU time of the processes of this one that have ended.
fn cpu_of_children() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Duration::ZERO;
    };
    let microseconds = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
    let user = microseconds(usage.user_time());
    Duration::from_micros(user.saturating_add(microseconds(usage.system_time())))
}

/// A file without a name for what the processes keep, or one in memory where none can be created.
fn spool() -> io::Result<File> {
    tempfile::tempfile().or_else(|error| {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        nix::sys::memfd::memfd_create("layer", flags)
            .map(File::from)
            .map_err(|_also| error)
    })
}

fn hash(digest: Option<&Digest>) -> Hash {
    match digest.map(Digest::algorithm) {
        None | Some(Algorithm::Sha256) => Hash::Sha256,
        Some(Algorithm::Sha384) => Hash::Sha384,
        Some(Algorithm::Sha512) => Hash::Sha512,
    }
}

/// The text of the digest that was found, if another one is stated.
fn differs(stated: Option<&Digest>, found: &[u8]) -> Option<String> {
    let stated = stated?;
    let mut text = format!("{}:", stated.algorithm().name());
    for byte in found {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    (text != stated.as_str()).then_some(text)
}

//! The world of the model: the questions, what registries answered, and the laws after each step.

use super::super::answers::{DIGEST_FOUND, FAILED, LONGEST, NOT_FOUND, Room, TAG_FOUND};
use super::super::key::{Key, Wanted};
use super::super::persisted::{Clock, Observed};
use super::super::queue::Limits;
use super::super::state::{Asked, State};
use bailiff_oci::persisted::{CONFIG_MAPS, RETENTION_SECONDS, Read, read};
use bailiff_oci::{
    Digest, Failure, ImageFacts, Lookup, ManifestKind, Missing, Reference, ShortNames, Source,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits {
    places: 6,
    waiting: 16,
    waiting_per_namespace: 5,
};
const STALE: Duration = Duration::from_hours(24);

#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask {
        namespace: u8,
        registry: u8,
        image: u8,
        is_tag: bool,
    },
    /// More digests than there is room for, which no registry has.
    Flood {
        namespace: u8,
        registry: u8,
    },
    Finish(u8, Outcome),
    /// Seconds.
    Wait(u32),
    /// A pod with the image is admitted.
    Admit {
        registry: u8,
        image: u8,
        is_tag: bool,
    },
    /// The process ends, after a last write, and another one begins.
    Restart,
}

/// What a registry answers; numbers are a content, and seconds of `Retry-After`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Found(u8),
    NotFound,
    Unauthorized,
    Certificate,
    Connect,
    Timeout,
    RateLimited(Option<u16>),
    Unavailable(u16),
}

impl Outcome {
    fn lookup(self) -> Lookup {
        let seconds = |seconds: u16| Duration::from_secs(seconds.into());
        Lookup::Failed(match self {
            Self::Found(content) => {
                let text = format!("sha256:{}", format!("{content:02x}").repeat(32));
                return Lookup::Found {
                    facts: ImageFacts {
                        digest: Digest::parse(&text).unwrap(),
                        kind: ManifestKind::Index,
                    },
                    source: Source::Registry,
                };
            }
            Self::NotFound => return Lookup::NotFound(Missing::Manifest),
            Self::Unauthorized => Failure::Unauthorized,
            Self::Certificate => Failure::Certificate,
            Self::Connect => Failure::Connect,
            Self::Timeout => Failure::Timeout,
            Self::RateLimited(after) => Failure::RateLimited {
                retry_after: after.map(seconds),
            },
            Self::Unavailable(after) => Failure::Unavailable {
                status: 503,
                retry_after: Some(seconds(after)),
            },
        })
    }
}

/// An image: its name, and whether it is a tag.
type Image = (String, bool);

/// What outlives a process about an image.
#[derive(Clone, Debug)]
struct Persisted {
    confirmed: Instant,
    facts: ImageFacts,
    last_admitted: Instant,
}

pub(super) struct World {
    state: State<Image>,
    begun: Instant,
    persisted: BTreeMap<Image, Persisted>,
    data: [Option<BTreeMap<String, String>>; CONFIG_MAPS.len()],
    roomy: bool,
    room: usize,
    now: Instant,
    keys: BTreeMap<Image, Arc<Key>>,
    /// Everything that the registry answered about an image.
    history: BTreeMap<Image, Vec<(Instant, Lookup)>>,
    running: Vec<Running>,
    /// Namespaces that wait for images, with what each other one started at that registry meanwhile.
    waiting: BTreeSet<(String, Image)>,
    passed: BTreeMap<(String, String), BTreeMap<String, usize>>,
    throttled: BTreeMap<String, Instant>,
    fresh: u32,
}

struct Running {
    image: Image,
    namespace: String,
    since: Instant,
}

fn image_of(registry: u8, image: u8, is_tag: bool) -> Image {
    let name = if is_tag {
        format!("r{registry}.test/app:{image}")
    } else {
        let digits = format!("{image:02x}").repeat(32);
        format!("r{registry}.test/app@sha256:{digits}")
    };
    (name, is_tag)
}

/// A moment by both clocks.
fn clock(begun: Instant, at: Instant) -> Clock {
    let since = i64::try_from((at - begun).as_secs()).unwrap();
    let seconds = 1_800_000_000 + since;
    Clock { at, seconds }
}

/// Whether an answer is that there is no such image, or not for this credential.
fn contradicts(lookup: &Lookup) -> bool {
    match lookup {
        Lookup::NotFound(_) | Lookup::Failed(Failure::Unauthorized) => true,
        Lookup::Found { .. } | Lookup::Failed(_) | Lookup::Pending => false,
    }
}

fn registry_of(image: &Image) -> String {
    image.0.split('/').next().unwrap().to_owned()
}

impl World {
    pub(super) fn new(room: usize) -> Self {
        let room_of_all = Room {
            entries: room,
            bytes: 16 << 20,
        };
        let now = Instant::now();
        let mut world = Self {
            state: State::new(room_of_all, LIMITS, STALE, clock(now, now)),
            begun: now,
            persisted: BTreeMap::new(),
            data: Default::default(),
            roomy: room > 1000,
            room,
            now,
            keys: BTreeMap::new(),
            history: BTreeMap::new(),
            running: Vec::new(),
            waiting: BTreeSet::new(),
            passed: BTreeMap::new(),
            throttled: BTreeMap::new(),
            fresh: 0,
        };
        world.load();
        world
    }

    fn load(&mut self) {
        let clock = clock(self.begun, self.now);
        for (number, data) in self.data.iter().enumerate() {
            let Read {
                facts,
                faults,
                carried,
            } = read(number, data.as_ref(), clock.seconds).unwrap();
            assert_eq!(faults, []);
            let bytes = data.as_ref().map_or(0, super::super::persisted::bytes);
            let read = Read {
                facts,
                faults,
                carried,
            };
            let observed = Observed::Read { read, bytes };
            self.state.persisted.observe(number, observed, clock);
        }
    }

    /// The process ends, and another one begins.
    fn restart(&mut self) {
        for (number, data) in self.data.iter_mut().enumerate() {
            if let Some(write) = self
                .state
                .persisted
                .to_write(number, true, self.now)
                .unwrap()
            {
                *data = Some(write.data);
            }
        }
        let room = Room {
            entries: self.room,
            bytes: 16 << 20,
        };
        self.state = State::new(room, LIMITS, STALE, clock(self.begun, self.now));
        self.load();
        self.history.clear();
        self.running.clear();
        self.waiting.clear();
        self.passed.clear();
        self.throttled.clear();
    }

    /// A pod with an image is admitted.
    fn admit(&mut self, image: &Image) {
        let key = self.key(image);
        self.state.admitted(&key, "ns-0", self.now);
        let history = self.history.get(image).into_iter().flatten().rev();
        let found = history
            .take_while(|(_, lookup)| !contradicts(lookup))
            .find_map(|(at, lookup)| match lookup {
                Lookup::Found { facts, .. } => Some((*at, facts.clone())),
                Lookup::NotFound(_) | Lookup::Failed(_) | Lookup::Pending => None,
            });
        let now = self.now;
        match (found, self.persisted.get_mut(image)) {
            (Some((at, facts)), Some(before)) => {
                if at >= before.confirmed {
                    (before.confirmed, before.facts) = (at, facts);
                }
                before.last_admitted = now;
            }
            (Some((confirmed, facts)), None) => {
                let persisted = Persisted {
                    confirmed,
                    facts,
                    last_admitted: now,
                };
                self.persisted.insert(image.clone(), persisted);
            }
            (None, Some(before)) => before.last_admitted = now,
            (None, None) => {}
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        match step {
            Step::Ask {
                namespace,
                registry,
                image,
                is_tag,
            } => {
                let image = image_of(*registry, *image, *is_tag);
                self.ask(&format!("ns-{namespace}"), image);
            }
            Step::Flood {
                namespace,
                registry,
            } => {
                for _ in 0..8 {
                    self.fresh += 1;
                    let name = format!("r{registry}.test/app@sha256:{:064x}", self.fresh);
                    self.ask(&format!("ns-{namespace}"), (name, false));
                }
            }
            Step::Finish(which, outcome) => {
                if !self.running.is_empty() {
                    let at = usize::from(*which) % self.running.len();
                    self.finish(at, *outcome);
                }
            }
            Step::Wait(seconds) => self.now += Duration::from_secs((*seconds).into()),
            // With little room it is not known what is forgotten, and so not what is persisted.
            Step::Admit { .. } | Step::Restart if !self.roomy => {}
            Step::Admit {
                registry,
                image,
                is_tag,
            } => self.admit(&image_of(*registry, *image, *is_tag)),
            Step::Restart => self.restart(),
        }
    }

    fn key(&mut self, image: &Image) -> Arc<Key> {
        let key = self.keys.entry(image.clone()).or_insert_with(|| {
            let wanted = Wanted::<()> {
                reference: Reference::parse(&image.0, ShortNames::DockerHub).unwrap(),
                namespace: String::new(),
                named_by_policy: false,
                credential: None,
                credential_key: String::new(),
            };
            Arc::new(Key::new(wanted.reference.registry(), &wanted))
        });
        Arc::clone(key)
    }

    fn has_room(&self, namespace: &str) -> bool {
        let of = self.waiting.iter().filter(|(of, _)| of == namespace);
        let held = of.count();
        held < LIMITS.waiting_per_namespace && held < LIMITS.waiting - self.waiting.len()
    }

    fn ask(&mut self, namespace: &str, image: Image) {
        let key = self.key(&image);
        let asked = self.state.ask(&key, namespace, || image.clone(), self.now);
        let expected = self.expected(&image);
        let is_running = self.running.iter().any(|running| running.image == image);
        let is_waiting = self.waiting.iter().any(|(_, waiting)| *waiting == image);
        match asked {
            Asked::Known(lookup) => {
                // What was forgotten can only be missing.
                let lost = !self.roomy
                    && matches!((&lookup, &expected), (
                        Lookup::Failed(failure),
                        Some(Lookup::Found { source: Source::LastKnown { cause, .. }, .. }),
                    ) if failure == cause);
                assert!(
                    Some(&lookup) == expected.as_ref() || lost,
                    "{image:?}: {lookup:?} instead of {expected:?}"
                );
            }
            Asked::Waiting => {
                assert!(!self.roomy || expected.is_none(), "{image:?} is known");
                assert!(is_running || is_waiting || self.has_room(namespace));
                if !is_running && self.has_room(namespace) {
                    self.waiting.insert((namespace.to_owned(), image));
                }
            }
            Asked::Overloaded(lookup) => {
                assert!(!is_running && !is_waiting && !self.has_room(namespace));
                let last_known = self.last_known(&image, &Failure::Overloaded);
                let nothing = Lookup::Failed(Failure::Overloaded);
                assert!(
                    Some(&lookup) == last_known.as_ref()
                        || lookup == nothing && (last_known.is_none() || !self.roomy),
                    "{image:?}: {lookup:?} instead of {last_known:?}"
                );
            }
        }
        self.start();
    }

    /// The answer to an image by all that its registry said; none: it must be asked.
    fn expected(&self, image: &Image) -> Option<Lookup> {
        let history = self.history.get(image)?;
        let (at, last) = history.last()?;
        let age = self.now - *at;
        let time = match last {
            Lookup::Found { .. } if image.1 => TAG_FOUND,
            Lookup::Found { .. } => DIGEST_FOUND,
            Lookup::NotFound(_) => {
                let since_found = history.rsplit(|(_, l)| matches!(l, Lookup::Found { .. }));
                let since_found = since_found.into_iter().next().unwrap();
                let misses = since_found
                    .iter()
                    .filter(|(_, l)| matches!(l, Lookup::NotFound(_)));
                let mut time = NOT_FOUND;
                for _ in 1..misses.count() {
                    time = (time * 2).min(LONGEST);
                }
                time
            }
            Lookup::Failed(failure) => {
                let asked_for = failure.retry_after().unwrap_or(FAILED);
                asked_for.max(FAILED).min(LONGEST)
            }
            Lookup::Pending => panic!("no registry answers that"),
        };
        if age >= time {
            return None;
        }
        match last {
            Lookup::Failed(failure) => {
                Some(self.last_known(image, failure).unwrap_or(last.clone()))
            }
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Pending => Some(last.clone()),
        }
    }

    fn last_known(&self, image: &Image, cause: &Failure) -> Option<Lookup> {
        let silent = [Failure::Connect, Failure::Timeout, Failure::Overloaded];
        let silent = silent.contains(cause)
            || matches!(
                cause,
                Failure::RateLimited { .. } | Failure::Unavailable { .. }
            );
        if !silent {
            return None;
        }
        let longest = if image.1 { STALE } else { STALE + DIGEST_FOUND };
        for (at, lookup) in self.history.get(image).into_iter().flatten().rev() {
            if contradicts(lookup) {
                return None;
            }
            if let Lookup::Found { facts, .. } = lookup {
                let age = self.now - *at;
                if age <= longest {
                    return Some(Lookup::Found {
                        facts: facts.clone(),
                        source: Source::LastKnown {
                            age,
                            last_admitted: None,
                            cause: cause.clone(),
                        },
                    });
                }
                break;
            }
        }
        // The registry was not asked.
        if *cause == Failure::Overloaded {
            return None;
        }
        let persisted = self.persisted.get(image)?;
        let longest = if image.1 {
            STALE
        } else {
            Duration::from_secs(RETENTION_SECONDS.unsigned_abs())
        };
        let age = self.now - persisted.confirmed;
        (age <= longest).then(|| Lookup::Found {
            facts: persisted.facts.clone(),
            source: Source::LastKnown {
                age,
                last_admitted: Some(clock(self.begun, persisted.last_admitted).seconds),
                cause: cause.clone(),
            },
        })
    }

    fn held(&self, by: impl Fn(&Running) -> bool) -> usize {
        self.running.iter().filter(|running| by(running)).count()
    }

    fn is_throttled(&self, registry: &str) -> bool {
        let at = self.throttled.get(registry);
        at.is_some_and(|at| self.now - *at < LONGEST)
    }

    fn start(&mut self) {
        while let Some((key, image)) = self.state.start(self.now) {
            let registry = registry_of(&image);
            let namespace = self.state.queue.namespace_of(&key).unwrap().to_owned();
            assert!(
                self.running.iter().all(|running| running.image != image),
                "{image:?} is asked for twice at once"
            );
            let held = self.held(|running| registry_of(&running.image) == registry);
            assert!(
                !self.is_throttled(&registry) || held == 0,
                "{registry} throttles"
            );
            let free = LIMITS.places - self.running.len();
            assert!(held < free, "{registry} holds {held}, and {free} are free");
            let held = self.held(|running| running.namespace == namespace);
            assert!(held < free, "{namespace} holds {held}, and {free} are free");
            let waited = (namespace.clone(), image.clone());
            assert!(self.waiting.contains(&waited), "{waited:?} did not wait");
            self.waiting.retain(|(_, waiting)| *waiting != image);
            self.running.push(Running {
                image,
                namespace: namespace.clone(),
                since: self.now,
            });
            assert!(self.running.len() <= LIMITS.places);
            self.pass(&registry, &namespace);
        }
        let free = LIMITS.places - self.running.len();
        for (namespace, image) in &self.waiting {
            let registry = registry_of(image);
            let holds_nothing = self.held(|running| running.namespace == *namespace) == 0
                && self.held(|running| registry_of(&running.image) == registry) == 0;
            assert!(
                free == 0 || !holds_nothing,
                "{namespace} has no place for {image:?}"
            );
        }
        assert_eq!(self.state.queue.running(), self.running.len());
        assert_eq!(self.state.queue.waiting().0, self.waiting.len());
        let tasks = self.running.len() + self.waiting.len();
        assert!(self.state.answers.size().entries <= self.room + tasks);
    }

    /// A namespace got a place of a registry: those that hold none let each other one pass once.
    fn pass(&mut self, registry: &str, started: &str) {
        let flows: BTreeSet<_> = self
            .waiting
            .iter()
            .filter(|(namespace, _)| self.held(|running| running.namespace == *namespace) == 0)
            .map(|(namespace, image)| (namespace.clone(), registry_of(image)))
            .collect();
        self.passed.retain(|flow, _| flows.contains(flow));
        for flow in flows.into_iter().filter(|flow| flow.1 == registry) {
            let passed = self.passed.entry(flow.clone()).or_default();
            let count = passed.entry(started.to_owned()).or_default();
            *count += 1;
            assert!(*count <= 1, "{started} passed {flow:?} {count} times");
        }
    }

    fn finish(&mut self, at: usize, outcome: Outcome) {
        // So that no two answers have the same second.
        self.now += Duration::from_secs(1);
        let Running { image, since, .. } = self.running.remove(at);
        let key = self.key(&image);
        let mut lookup = outcome.lookup();
        if let (Lookup::Found { facts, .. }, Some((_, digest))) =
            (&mut lookup, image.0.split_once('@'))
        {
            facts.digest = Digest::parse(digest).unwrap();
        }
        let registry = registry_of(&image);
        match outcome {
            Outcome::RateLimited(_) => {
                self.throttled.insert(registry, self.now);
            }
            Outcome::Connect | Outcome::Timeout | Outcome::Unavailable(_) => {}
            Outcome::Found(_)
            | Outcome::NotFound
            | Outcome::Unauthorized
            | Outcome::Certificate => {
                if self.throttled.get(&registry).is_some_and(|at| *at <= since) {
                    self.throttled.remove(&registry);
                }
            }
        }
        let history = self.history.entry(image.clone()).or_default();
        history.push((self.now, lookup.clone()));
        if contradicts(&lookup) {
            self.persisted.remove(&image);
        }
        if let (Lookup::Found { facts, .. }, true) = (&lookup, image.1) {
            let repository = image.0.rsplit_once(':').unwrap().0;
            let of_digest = (format!("{repository}@{}", facts.digest), false);
            let history = self.history.entry(of_digest).or_default();
            history.push((self.now, lookup.clone()));
        }
        let told = self.state.finish(&key, lookup, self.now);
        let expected = self.expected(&image).unwrap();
        let lost = !self.roomy && matches!(told, Lookup::Failed(_));
        assert!(
            told == expected || lost,
            "{image:?}: {told:?}, not {expected:?}"
        );
        self.start();
    }

    /// Every request that waits gets its place when those before it end.
    pub(super) fn settle(&mut self) {
        while !self.running.is_empty() {
            self.finish(0, Outcome::Found(0));
        }
        assert_eq!(self.waiting, BTreeSet::new());
    }
}

//! The expressions of a policy: what they see of an image, compiling and evaluating them.
//!
//! Here: variables and their types, the budget, the verdict. Not here: the language (`cel`), wording
//! (`messages`).
//! Invariant: each expression has a value for each image that the policy selects, or the image violates
//! the policy, also after the budget is spent. An expression that uses the tag sees it, although a pin
//! replaces it: it is about the reference as written.

use super::compile::CompiledImagePolicy;
use super::evaluate::{ParsedImage, Rule, Violation};
use super::messages::{self, Complaint};
use crate::compile::{CompiledValidation, FieldError, ValidationSource};
use crate::evaluate::message;
use crate::type_check::{pod_type, warnings};
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicySpec, ImageValidation, TypeChecking};
use bailiff_cel::admission::{BUDGET, namespace_object};
use bailiff_cel::schema::SchemaError;
use bailiff_cel::{Activation, Env, Evaluation, Object, ObjectType, Reads, Type, Value};
use bailiff_oci::{Digest, Reference};
use serde_json::Value as Json;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Places of the variables in the environment.
const VARIABLES: [&str; 4] = ["image", "container", "object", "namespaceObject"];

/// Places of the fields of `image`. The tag is the last one, because policies that pin have none.
const IMAGE: [&str; 4] = ["registry", "repository", "digest", "tag"];

/// What the expressions of all policies together can cost for one pod, however many there are. One policy
/// alone can cost as much as in the API server.
const POD_BUDGET: u64 = 5 * BUDGET;

/// What the expressions of one of so many policies can cost for one pod. None without policies. Each has
/// its own part, so that no policy takes that of another.
pub(super) fn budget(policies: usize) -> Option<u64> {
    let policies = u64::try_from(policies).unwrap_or(u64::MAX);
    Some(POD_BUDGET.checked_div(policies)?.min(BUDGET))
}

/// Which form of a reference an expression is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As it is written. So are those that use the tag, because a pin replaces it.
    Written,
    /// As the pod will have it.
    Stored,
}

/// An expression of a policy.
#[derive(Debug)]
pub(super) struct ImageRule {
    pub(super) validation: CompiledValidation,
    /// What it is about.
    view: View,
}

/// Which parts of a reference expressions can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    /// Each.
    All,
    /// All but the tag, which is not there after a pin.
    WithoutTag,
}

impl Parts {
    fn of(spec: &ImageAdmissionPolicySpec) -> Self {
        match &spec.digest {
            Some(rule) if rule.pin => Self::WithoutTag,
            Some(_) | None => Self::All,
        }
    }

    fn fields(self) -> impl Iterator<Item = (&'static str, Type)> {
        let strings = IMAGE.into_iter().map(|name| (name, Type::String));
        strings.filter(move |(name, _)| self == Self::All || *name != "tag")
    }
}

/// The environment of the expressions; the Pod has this type.
fn environment(parts: Parts, object: Type) -> Env {
    let types = [
        ObjectType::new("Image", parts.fields()),
        Type::Dyn,
        object,
        Type::Dyn,
    ];
    Env::new(VARIABLES.into_iter().zip(types))
}

/// The environment of all policies: no policy defines anything in it.
fn env() -> &'static Env {
    static ENV: OnceLock<Env> = OnceLock::new();
    ENV.get_or_init(|| environment(Parts::All, Type::Dyn))
}

fn env_without_tag() -> &'static Env {
    static ENV: OnceLock<Env> = OnceLock::new();
    ENV.get_or_init(|| environment(Parts::WithoutTag, Type::Dyn))
}

fn source(validation: &ImageValidation) -> ValidationSource<'_> {
    ValidationSource {
        expression: &validation.expression,
        message: validation.message.as_deref(),
        message_expression: validation.message_expression.as_deref(),
    }
}

/// Which parts of a variable the expressions of a policy read.
pub(super) fn reads(variable: &str, spec: &ImageAdmissionPolicySpec) -> Reads {
    let all = spec.validations.iter().flat_map(|validation| {
        let message = validation.message_expression.as_deref();
        std::iter::once(validation.expression.as_str()).chain(message)
    });
    let parsed: Option<Vec<_>> = all.map(|expression| env().parse(expression).ok()).collect();
    // What compiles can be parsed; what could not be would be read as a whole.
    match parsed {
        Some(parsed) => bailiff_cel::reads(variable, [], &parsed),
        None => Reads::everything(),
    }
}

/// Compiles the expressions of a policy.
///
/// # Errors
/// Every fault, each with its field.
pub(super) fn compile(spec: &ImageAdmissionPolicySpec) -> Result<Vec<ImageRule>, Vec<FieldError>> {
    let parts = Parts::of(spec);
    let mut compiled = Vec::new();
    let mut faults = Vec::new();
    for (index, validation) in spec.validations.iter().enumerate() {
        match source(validation).compile(env(), index) {
            Ok(program) => compiled.push(ImageRule {
                validation: program,
                view: view(&validation.expression),
            }),
            Err(found) => {
                faults.extend(found);
                continue;
            }
        }
        if parts == Parts::WithoutTag {
            faults.extend(tags(source(validation), index));
        }
    }
    if faults.is_empty() {
        Ok(compiled)
    } else {
        Err(faults)
    }
}

/// What an expression that compiles is about.
fn view(expression: &str) -> View {
    match env_without_tag().check(expression) {
        Ok(_) => View::Stored,
        Err(_) => View::Written,
    }
}

/// Where expressions that compile use the tag.
fn tags(source: ValidationSource<'_>, index: usize) -> impl Iterator<Item = FieldError> {
    let fault = |(field, expression): (String, &str)| {
        let error = env_without_tag().check(expression).err()?;
        Some(FieldError {
            field,
            message: format!("{}: {error}", messages::NO_TAG),
        })
    };
    source.expressions(index).filter_map(fault)
}

/// Checks the expressions of a policy that compiles against the schema of a Pod, as the API server does
/// for a `ValidatingAdmissionPolicy`. A warning changes no verdict.
///
/// # Errors
/// Where the Pod's schema can't be read.
pub fn type_check(policy: &ImageAdmissionPolicy) -> Result<TypeChecking, SchemaError> {
    let env = environment(Parts::of(&policy.spec), pod_type()?);
    let all = policy.spec.validations.iter().map(source);
    let expressions: Vec<_> = all.map(|v| (v.expression, v.message_expression)).collect();
    Ok(warnings(env, &expressions))
}

/// What expressions are asked about, beside the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The Pod as it will be.
    pub(super) pod: &'a Json,
    /// Its Namespace.
    pub(super) namespace: Option<&'a Json>,
}

/// An image with its surroundings, as expressions see it.
#[derive(Debug)]
struct Input<'a> {
    /// Its position among the images of the pod.
    at: usize,
    parsed: &'a ParsedImage<'a>,
    image: Parsed<'a>,
    subject: Subject<'a>,
}

impl Activation for Input<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match *VARIABLES.get(slot)? {
            "image" => Some(Value::Object(&self.image)),
            "container" => {
                let image = &self.parsed.image;
                let entry = &self.subject.pod["spec"][image.user.field()][image.index];
                Some(Value::from_json(entry))
            }
            "object" => Some(Value::from_json(self.subject.pod)),
            "namespaceObject" => self.subject.namespace.map(namespace_object),
            _ => None,
        }
    }
}

/// `image`: a reference, with its tag or without.
#[derive(Clone, Copy, Debug)]
struct Parsed<'a> {
    reference: &'a Reference,
    parts: Parts,
}

impl Object for Parsed<'_> {
    fn field(&self, index: usize) -> Option<Value<'_>> {
        let text = match *IMAGE.get(index)? {
            "registry" => Some(self.reference.registry()),
            "repository" => Some(self.reference.repository()),
            "digest" => self.reference.digest().map(Digest::as_str),
            "tag" => match self.parts {
                Parts::All => self.reference.tag(),
                Parts::WithoutTag => None,
            },
            _ => None,
        };
        text.map(Value::from)
    }

    fn index(&self, name: &str) -> Option<usize> {
        IMAGE.iter().position(|known| *known == name)
    }
}

/// What expressions of a policy say about the images of a pod.
#[derive(Debug, Default)]
pub(super) struct Validated {
    /// Each violated rule once, with the positions of the images that violate it.
    pub(super) violations: Vec<(Violation, BTreeSet<usize>)>,
    /// What the expressions cost.
    pub(super) spent: u64,
}

/// Evaluates the expressions of a policy that are about one form of a reference, for each image that it
/// selects. A reference that is not valid has no parts, and violates another rule.
pub(super) fn validate(
    policy: &CompiledImagePolicy,
    view: View,
    images: &[ParsedImage<'_>],
    subject: Subject<'_>,
    budget: u64,
) -> Validated {
    let rules = policy.validations.iter().enumerate();
    let rules: Vec<_> = rules.filter(|(_, rule)| rule.view == view).collect();
    if rules.is_empty() {
        return Validated::default();
    }
    let parts = if policy.pins() {
        Parts::WithoutTag
    } else {
        Parts::All
    };
    let selected = images.iter().enumerate().filter_map(|(at, parsed)| {
        let reference = match view {
            View::Written => parsed.written.as_ref(),
            View::Stored => parsed.reference(),
        }?;
        policy.selects(reference).then_some(Input {
            at,
            parsed,
            image: Parsed { reference, parts },
            subject,
        })
    });
    let inputs: Vec<Input<'_>> = selected.collect();
    let Some(first) = inputs.first() else {
        return Validated::default();
    };
    let mut evaluation = Evaluation::new(env(), first, budget);
    let mut violated = Violated::default();
    for (nth, input) in inputs.iter().enumerate() {
        if evaluation.spent() > budget {
            // A pod can have so many images that evaluating the rest takes time.
            for (index, _) in &rules {
                let rule = Rule::Evaluated(*index);
                let rest = inputs.iter().skip(nth).map(|input| input.at);
                violated.add(rule, *index, input, rest, over_budget);
            }
            break;
        }
        evaluation.continue_with(input);
        for (index, rule) in &rules {
            let (index, validation) = (*index, &rule.validation);
            match evaluate(&mut evaluation, validation, budget) {
                None => {}
                Some(Found::False) => {
                    let said = || Complaint::False(message(&mut evaluation, validation));
                    violated.add(Rule::Validation(index), index, input, [input.at], said);
                }
                Some(Found::Failed(complaint)) => {
                    let rule = Rule::Evaluated(index);
                    violated.add(rule, index, input, [input.at], || complaint);
                }
            }
        }
    }
    let violations = violated.0.into_iter().map(|(rule, first)| {
        let others = first.images.len().saturating_sub(1);
        let violation = Violation {
            policy: policy.name.clone(),
            rule,
            message: first
                .subject
                .complaint(policy, first.index, &first.complaint, others),
        };
        (violation, first.images)
    });
    Validated {
        violations: violations.collect(),
        spent: evaluation.spent(),
    }
}

/// For each violated rule, the first image.
#[derive(Default)]
struct Violated<'a>(BTreeMap<Rule, First<'a>>);

/// The first image that violates a rule.
struct First<'a> {
    subject: messages::Subject<'a>,
    /// Place of the expression.
    index: usize,
    complaint: Complaint,
    /// The positions of all images that violate the rule.
    images: BTreeSet<usize>,
}

impl<'a> Violated<'a> {
    /// Adds images that violate a rule about the expression at `index`, of which `input` is the first.
    fn add(
        &mut self,
        rule: Rule,
        index: usize,
        input: &Input<'a>,
        images: impl IntoIterator<Item = usize>,
        complaint: impl FnOnce() -> Complaint,
    ) {
        match self.0.entry(rule) {
            Entry::Occupied(mut known) => known.get_mut().images.extend(images),
            Entry::Vacant(new) => {
                new.insert(First {
                    subject: messages::Subject {
                        image: input.parsed.image,
                        reference: input.image.reference,
                    },
                    index,
                    complaint: complaint(),
                    images: images.into_iter().collect(),
                });
            }
        }
    }
}

fn over_budget() -> Complaint {
    Complaint::TooExpensive(messages::OVER_BUDGET.to_owned())
}

/// What is wrong with an image by an expression.
enum Found {
    /// The expression is false.
    False,
    /// It has no value.
    Failed(Complaint),
}

/// Evaluates an expression; none if it is true.
fn evaluate<'a>(
    evaluation: &mut Evaluation<'a>,
    validation: &'a CompiledValidation,
    budget: u64,
) -> Option<Found> {
    if evaluation.spent() > budget {
        return Some(Found::Failed(over_budget()));
    }
    match evaluation.run(&validation.program) {
        Ok(Value::Bool(true)) => None,
        Ok(Value::Bool(false)) => Some(Found::False),
        Ok(_) => {
            let cause = crate::messages::NOT_BOOL.to_owned();
            Some(Found::Failed(Complaint::Failed(cause)))
        }
        Err(_) if evaluation.spent() > budget => Some(Found::Failed(over_budget())),
        Err(error) if error.is_budget() => {
            Some(Found::Failed(Complaint::TooExpensive(error.to_string())))
        }
        Err(error) => Some(Found::Failed(Complaint::Failed(error.to_string()))),
    }
}

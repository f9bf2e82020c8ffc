//! From a `RuntimePolicy` to something that runs.
//!
//! Here: the environment of its expressions, every fault with its field. Not here: evaluation.
//! Invariant: a policy with a fault is never run, not even in part.

use crate::messages;
use crate::parts::ProcessParts;
use crate::selector::MatchResources;
use bailiff_api::{FailurePolicy, RunningProcesses, RuntimePolicy, RuntimePolicySpec, Severity};
use bailiff_cel::{CompileError, Env, Expression, Program, Reads, Type, reads};
use std::fmt;

/// Places of the variables in the environment.
pub(crate) const VARIABLES: [&str; 4] = ["process", "container", "object", "namespaceObject"];

/// A policy that can be evaluated.
#[derive(Debug)]
pub struct CompiledPolicy {
    /// Name of the policy.
    pub name: String,
    /// UID of the policy.
    pub uid: String,
    /// Generation of the spec that was compiled.
    pub generation: i64,
    /// How grave a violation is.
    pub severity: Severity,
    /// What happens when an expression fails.
    pub failure_policy: FailurePolicy,
    /// Whether it is evaluated for processes that run already when it or a binding of it is new.
    pub running_processes: RunningProcesses,
    /// Which pods the policy is about.
    pub constraints: MatchResources,
    pub(crate) env: Env,
    pub(crate) conditions: Vec<(String, Program)>,
    pub(crate) validations: Vec<CompiledValidation>,
    object_reads: Reads,
    process_parts: ProcessParts,
}

#[derive(Debug)]
pub(crate) struct CompiledValidation {
    pub(crate) program: Program,
    pub(crate) message: Option<String>,
    pub(crate) message_program: Option<Program>,
}

/// A validation as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidationSource<'a> {
    pub(crate) expression: &'a str,
    pub(crate) message: Option<&'a str>,
    pub(crate) message_expression: Option<&'a str>,
}

impl<'a> ValidationSource<'a> {
    /// Each expression with its field.
    pub(crate) fn expressions(self, index: usize) -> impl Iterator<Item = (String, &'a str)> {
        let field = |name: &str| format!("spec.validations[{index}].{name}");
        std::iter::once((field("expression"), self.expression)).chain(
            self.message_expression
                .map(|expression| (field("messageExpression"), expression)),
        )
    }

    /// Compiles the validation at this place of `spec.validations`.
    pub(crate) fn compile(
        self,
        env: &Env,
        index: usize,
    ) -> Result<CompiledValidation, Vec<FieldError>> {
        let types = [Type::Bool, Type::String];
        let mut programs = Vec::new();
        let mut faults = Vec::new();
        for ((field, expression), wanted) in self.expressions(index).zip(&types) {
            match typed(env, expression, wanted) {
                Ok(program) => programs.push(program),
                Err(message) => faults.push(FieldError { field, message }),
            }
        }
        let mut programs = programs.into_iter();
        match programs.next() {
            Some(program) if faults.is_empty() => Ok(CompiledValidation {
                program,
                message: self.message.map(str::to_owned),
                message_program: programs.next(),
            }),
            Some(_) | None => Err(faults),
        }
    }
}

/// A fault of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as `spec.validations[0].expression`.
    pub field: String,
    /// What is wrong, with line, column and caret for an expression.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl CompiledPolicy {
    /// Whether an expression needs what the pod's status alone tells of the container, so that
    /// the verdict has to wait for it.
    #[must_use]
    pub fn needs_container(&self) -> bool {
        self.mentions("container")
    }

    /// Which parts of the Pod its expressions read.
    #[must_use]
    pub const fn object_reads(&self) -> &Reads {
        &self.object_reads
    }

    /// Which parts of the process its expressions read, of those that a process is built without.
    #[must_use]
    pub const fn process_parts(&self) -> ProcessParts {
        self.process_parts
    }

    /// Whether an expression reads the Pod.
    #[must_use]
    pub fn needs_object(&self) -> bool {
        self.mentions("object")
    }

    /// Whether an expression reads the Pod's Namespace.
    #[must_use]
    pub fn needs_namespace_object(&self) -> bool {
        self.mentions("namespaceObject")
    }

    fn mentions(&self, variable: &str) -> bool {
        let conditions = self.conditions.iter().map(|(_, program)| program);
        let validations = self.validations.iter().flat_map(|validation| {
            std::iter::once(&validation.program).chain(validation.message_program.as_ref())
        });
        conditions
            .chain(validations)
            .chain(self.env.named())
            .any(|program| {
                let mentions = program.mentions();
                mentions.iter().any(|mention| mention == variable)
            })
    }
}

/// The environment that every expression of a `RuntimePolicy` sees; the Pod has this type.
pub(crate) fn environment(object: Type) -> Env {
    let types = [
        crate::facts::process_type(),
        crate::facts::container_type(),
        object,
        Type::Dyn,
    ];
    Env::new(VARIABLES.into_iter().zip(types))
}

/// Compiles a policy.
///
/// # Errors
/// Every fault of it, each with its field.
pub fn compile(policy: &RuntimePolicy) -> Result<CompiledPolicy, Vec<FieldError>> {
    let mut faults = Vec::new();
    let mut note = |field: String, error: &dyn fmt::Display| {
        faults.push(FieldError {
            field,
            message: error.to_string(),
        });
    };
    let mut env = environment(Type::Dyn);
    let spec = &policy.spec;
    let constraints = MatchResources::compile(&spec.match_constraints)
        .map_err(|error| note("spec.matchConstraints".to_owned(), &error));
    let mut conditions = Vec::new();
    for (index, condition) in spec.match_conditions.iter().enumerate() {
        match typed(&env, &condition.expression, &Type::Bool) {
            Ok(program) => conditions.push((condition.name.clone(), program)),
            Err(message) => note(
                format!("spec.matchConditions[{index}].expression"),
                &message,
            ),
        }
    }
    for (index, variable) in spec.variables.iter().enumerate() {
        if let Err(error) = env.define(&variable.name, &variable.expression) {
            note(format!("spec.variables[{index}].expression"), &error);
        }
    }
    let mut validations = Vec::new();
    for (index, validation) in spec.validations.iter().enumerate() {
        let source = ValidationSource {
            expression: &validation.expression,
            message: validation.message.as_deref(),
            message_expression: validation.message_expression.as_deref(),
        };
        match source.compile(&env, index) {
            Ok(compiled) => validations.push(compiled),
            Err(found) => {
                for FieldError { field, message } in found {
                    note(field, &message);
                }
            }
        }
    }
    let [object_reads, process_reads] = reads_of(["object", "process"], &env, spec);
    match constraints {
        Ok(constraints) if faults.is_empty() => Ok(CompiledPolicy {
            name: policy.metadata.name.clone().unwrap_or_default(),
            uid: policy.metadata.uid.clone().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or_default(),
            severity: spec.severity,
            failure_policy: spec.failure_policy,
            running_processes: spec.running_processes,
            constraints,
            object_reads,
            process_parts: ProcessParts::of(&process_reads),
            env,
            conditions,
            validations,
        }),
        Ok(_) | Err(()) => Err(faults),
    }
}

/// Which parts of these variables the expressions of a policy read.
fn reads_of<const N: usize>(
    variables: [&str; N],
    env: &Env,
    spec: &RuntimePolicySpec,
) -> [Reads; N] {
    let parse = |source: &str| env.parse(source).ok();
    let named = spec.variables.iter().map(|variable| {
        let parsed = parse(&variable.expression)?;
        Some((variable.name.as_str(), parsed))
    });
    let conditions = spec.match_conditions.iter().map(|c| c.expression.as_str());
    let validations = spec.validations.iter().flat_map(|validation| {
        let message = validation.message_expression.as_deref();
        std::iter::once(validation.expression.as_str()).chain(message)
    });
    let expressions = conditions.chain(validations).map(parse);
    // What compiles can be parsed; what could not be would be read as a whole.
    let (Some(named), Some(expressions)) = (
        named.collect::<Option<Vec<(&str, Expression)>>>(),
        expressions.collect::<Option<Vec<_>>>(),
    ) else {
        return variables.map(|_| Reads::everything());
    };
    variables.map(|variable| {
        let named = named.iter().map(|(name, parsed)| (*name, parsed));
        reads(variable, named, &expressions)
    })
}

/// Compiles an expression that must have a type.
fn typed(env: &Env, source: &str, wanted: &Type) -> Result<Program, String> {
    let program = env
        .compile(source)
        .map_err(|error: CompileError| error.to_string())?;
    let found = program.result_type();
    if found == wanted || *found == Type::Dyn {
        Ok(program)
    } else {
        Err(messages::wrong_type(
            &found.to_string(),
            &wanted.to_string(),
        ))
    }
}

//! Literals that are valid as text but not for their function, and aggregates of mixed types.
//!
//! Here: the API server's validators (cel-go, cel/validator.go). Not here: types (`check`).
//! Invariant: only literals are looked at; whatever is computed fails at run time.

use crate::ast::{Expr, Kind, Literal};
use crate::diagnostic::{Diagnostic, Faults};
use crate::env::Env;
use crate::library::{formatting, regexes, times};
use crate::types::Type;

/// Every fault of a tree that has its types.
pub(super) fn validate(source: &str, expr: &Expr, types: &[Type], env: &Env) -> Faults {
    let mut validator = Validator {
        source,
        types,
        homogeneous: env.homogeneous,
        exempt: 0,
        faults: Faults::default(),
        formats: Faults::default(),
    };
    validator.node(expr);
    let mut faults = validator.faults;
    faults.append(validator.formats);
    faults
}

struct Validator<'a> {
    source: &'a str,
    types: &'a [Type],
    homogeneous: bool,
    /// How many calls of `format` are around; its arguments may be of any types.
    exempt: usize,
    faults: Faults,
    /// Those of `format`, which the API server looks for last.
    formats: Faults,
}

impl Validator<'_> {
    fn fault(&mut self, at: usize, message: String, help: Option<String>) {
        self.faults
            .add(|| Diagnostic::new(self.source, at, message).with_help(help));
    }

    fn format_fault(&mut self, at: usize, message: String) {
        self.formats
            .add(|| Diagnostic::new(self.source, at, message));
    }

    fn type_of(&self, expr: &Expr, optional: bool) -> Type {
        match self.types.get(expr.id) {
            Some(Type::Optional(inner)) if optional => (**inner).clone(),
            Some(ty) => ty.clone(),
            None => Type::Error,
        }
    }

    fn node(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } => self.node(operand),
            Kind::Call {
                function,
                target,
                arguments,
            } => {
                // A dot before the name says only where it is looked for.
                self.argument(function.strip_prefix('.').unwrap_or(function), arguments);
                let format = usize::from(function == "format");
                self.exempt = self.exempt.saturating_add(format);
                for part in target.iter().map(|t| &**t).chain(arguments) {
                    self.node(part);
                }
                self.exempt = self.exempt.saturating_sub(format);
                // Those within this one come first, also where both faults are at one place.
                if function == "format"
                    && self.homogeneous
                    && let Some(target) = target
                    && let Kind::Literal(Literal::String(text)) = &target.kind
                    && let [list] = arguments.as_slice()
                {
                    self.clauses(expr.at, text, list);
                }
            }
            Kind::List(elements) => {
                for (element, _) in elements {
                    self.node(element);
                }
                if self.homogeneous && self.exempt == 0 {
                    let mut parts = elements.iter().map(|(e, optional)| (e, *optional));
                    self.same(&mut parts, true);
                }
            }
            Kind::Map(entries) => {
                for (key, value, _) in entries {
                    self.node(key);
                    self.node(value);
                }
                if self.homogeneous && self.exempt == 0 {
                    self.same(&mut entries.iter().map(|(key, _, _)| (key, false)), false);
                    let mut values = entries.iter().map(|(_, value, o)| (value, *o));
                    self.same(&mut values, false);
                }
            }
            Kind::Message { fields, .. } => {
                for field in fields {
                    self.node(&field.value);
                }
            }
            Kind::Comprehension(c) => {
                for part in [&c.range, &c.init, &c.condition, &c.step, &c.result] {
                    self.node(part);
                }
            }
        }
    }

    /// The clauses of a `format` whose text and list stand in the expression.
    fn clauses(&mut self, at: usize, text: &str, list: &Expr) {
        let Kind::List(elements) = &list.kind else {
            return;
        };
        let mut used = 0_usize;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '%' || rest.next_if_eq(&'%').is_some() {
                continue;
            }
            let no_more = rest.peek().is_some() && used >= elements.len();
            if no_more {
                self.format_fault(at, format!("index {used} out of range"));
                return;
            }
            let verb = match formatting::clause_head(&mut rest) {
                Ok((verb, _)) => verb,
                Err(fault) => {
                    self.format_fault(at, fault);
                    return;
                }
            };
            let Some((element, _)) = elements.get(used) else {
                return;
            };
            used = used.saturating_add(1);
            let ty = self.type_of(element, false);
            if let Some(fault) = formatting::static_fault(verb, &ty) {
                // A clause that is not known is the call's fault, not the element's.
                let known = "sdfeboxX".contains(verb);
                self.format_fault(if known { element.at } else { at }, fault);
                return;
            }
            if verb == 's' && self.nested(element) {
                return;
            }
        }
        if elements.len() > used {
            let given = elements.len();
            let words = "too many arguments supplied to string.format";
            self.format_fault(at, format!("{words} (expected {used}, got {given})"));
        }
    }

    /// The parts of a list or a map within the list of a `format`; whether one can't be text.
    fn nested(&mut self, element: &Expr) -> bool {
        let parts: Vec<&Expr> = match &element.kind {
            Kind::List(elements) => elements.iter().map(|(inner, _)| inner).collect(),
            Kind::Map(entries) => entries.iter().flat_map(|(k, v, _)| [k, v]).collect(),
            _ => return false,
        };
        parts.into_iter().any(|inner| {
            if self.nested(inner) {
                return true;
            }
            let ty = self.type_of(inner, false);
            let fault = formatting::static_fault('s', &ty);
            let found = fault.is_some();
            if let Some(fault) = fault {
                self.format_fault(inner.at, fault);
            }
            found
        })
    }

    fn argument(&mut self, function: &str, arguments: &[Expr]) {
        let Some(first) = arguments.first() else {
            return;
        };
        let Kind::Literal(literal) = &first.kind else {
            return;
        };
        // The API server does not report what is wrong with a pattern.
        let mut help = None;
        let valid = match (function, literal) {
            ("duration", Literal::String(text)) => times::parse_duration(text).is_some(),
            ("timestamp", Literal::String(text)) => times::parse_timestamp(text).is_ok(),
            ("timestamp", Literal::Int(seconds)) => times::is_timestamp(*seconds),
            ("timestamp" | "duration", _) => false,
            ("matches", Literal::String(pattern)) => {
                help = regexes::compile(pattern).err();
                help.is_none()
            }
            _ => true,
        };
        if !valid {
            self.fault(first.at, format!("invalid {function} argument"), help);
        }
    }

    fn same(&mut self, parts: &mut dyn Iterator<Item = (&Expr, bool)>, once: bool) {
        let mut first: Option<Type> = None;
        for (part, optional) in parts {
            let ty = self.type_of(part, optional);
            match &first {
                None => first = Some(ty),
                Some(wanted) if *wanted == ty => {}
                Some(wanted) => {
                    let message = format!("expected type '{wanted}' but found '{ty}'");
                    self.fault(part.at, message, None);
                    if once {
                        return;
                    }
                }
            }
        }
    }
}

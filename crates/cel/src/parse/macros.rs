//! Macros: calls that the parser turns into loops and conditions.
//!
//! Here: what each becomes (cel-go, parser/macro.go, ext/comprehensions.go, cel/library.go,
//! ext/lists.go, ext/bindings.go). Not here: which call is meant (`grammar`).
//! Invariant: what a macro makes is reported at the opening bracket of its call.

use super::grammar::Parser;
use crate::ast::{Comprehension, Expr, Field, Kind, Literal, op};
use crate::diagnostic::Diagnostic;
use crate::stack;

/// The accumulator; no name in a source can be this.
pub(crate) const ACCUMULATOR: &str = "@result";
/// The variable of a loop over nothing.
const UNUSED: &str = "#unused";
const SORT_INPUT: &str = "@__sortBy_input__";

/// What a loop's variable must be, in the words of `map`, `filter` and `sortBy`.
const NOT_IDENTIFIER: &str = "argument is not an identifier";
/// In the words of the other macros.
const NOT_SIMPLE: &str = "argument must be a simple name";

/// Which macros and which syntax there is beside the standard.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "features of an environment that go together freely"
)]
pub(crate) struct Macros {
    /// `optMap`, `optFlatMap`.
    pub(crate) optionals: bool,
    /// Those with two variables, `transformList` and its like.
    pub(crate) two_variables: bool,
    /// `sortBy`.
    pub(crate) sort_by: bool,
    /// `cel.bind`.
    pub(crate) bind: bool,
    /// Fields in backquotes.
    pub(crate) quoted_fields: bool,
}

/// What a macro needs to be there.
enum Feature {
    Standard,
    TwoVariables,
    Optionals,
    SortBy,
    Bind,
}

/// The macros with a target: name, how many arguments at least and at most, what they need.
const NAMES: &[(&str, usize, usize, Feature)] = &[
    ("all", 2, 2, Feature::Standard),
    ("exists", 2, 2, Feature::Standard),
    ("exists_one", 2, 2, Feature::Standard),
    ("filter", 2, 2, Feature::Standard),
    ("map", 2, 3, Feature::Standard),
    ("all", 3, 3, Feature::TwoVariables),
    ("exists", 3, 3, Feature::TwoVariables),
    ("exists_one", 3, 3, Feature::TwoVariables),
    ("existsOne", 3, 3, Feature::TwoVariables),
    ("transformList", 3, 4, Feature::TwoVariables),
    ("transformMap", 3, 4, Feature::TwoVariables),
    ("transformMapEntry", 3, 4, Feature::TwoVariables),
    ("optMap", 2, 2, Feature::Optionals),
    ("optFlatMap", 2, 2, Feature::Optionals),
    ("sortBy", 2, 2, Feature::SortBy),
    ("bind", 3, 3, Feature::Bind),
];

/// What a call became.
pub(super) enum Expanded {
    /// It is a macro.
    Macro(Expr),
    /// It is a call.
    Call(Option<Expr>, Vec<Expr>),
}

/// A call that looks like a macro and can't be one.
pub(super) struct Refused {
    /// Where, in bytes.
    pub(super) at: usize,
    /// Why.
    pub(super) fault: Diagnostic,
}

type Outcome = Result<Expanded, Refused>;

impl Parser<'_> {
    /// Expands a call with a target.
    pub(super) fn method_macro(
        &mut self,
        at: usize,
        target: Expr,
        function: &str,
        arguments: Vec<Expr>,
    ) -> Outcome {
        let Some(name) = self.macro_of(&target, function, arguments.len()) else {
            return Ok(Expanded::Call(Some(target), arguments));
        };
        let mut arguments = arguments.into_iter();
        let mut next = || arguments.next();
        let (Some(first), Some(second)) = (next(), next()) else {
            return Err(self.refused(at, "a macro lacks arguments"));
        };
        let (third, fourth) = (next(), next());
        let made = match (function, third) {
            ("bind", Some(body)) => {
                let name = self.simple(
                    &first,
                    "cel.bind() variable names must be simple identifiers",
                )?;
                self.bind(at, name, second, body)
            }
            ("optMap" | "optFlatMap", _) => {
                let message = format!("{function}() variable name must be a simple identifier");
                let name = self.simple(&first, &message)?;
                self.optional_map(at, target, name, second, function == "optMap")
                    .map_err(|fault| Refused { at, fault })?
            }
            ("sortBy", _) => {
                if matches!(
                    target.kind,
                    Kind::Literal(_) | Kind::Map(_) | Kind::Message { .. }
                ) {
                    return Err(self.refused(
                        target.at,
                        "sortBy can only be applied to a list, identifier, comprehension, call or select expression",
                    ));
                }
                let name = self.variable(&first, NOT_IDENTIFIER)?;
                self.sort_by(at, target, name, second)
            }
            ("filter", None) => {
                let name = self.variable(&first, NOT_IDENTIFIER)?;
                // An element stands where the variable does.
                self.fold(at, function, target, (name, None), Some(second), first)
            }
            (_, None) => {
                let words = match function {
                    "map" => NOT_IDENTIFIER,
                    _ => NOT_SIMPLE,
                };
                let name = self.variable(&first, words)?;
                self.fold(at, function, target, (name, None), None, second)
            }
            ("map", Some(body)) => {
                let name = self.variable(&first, NOT_IDENTIFIER)?;
                self.fold(at, function, target, (name, None), Some(second), body)
            }
            (_, Some(body)) => {
                let one = self.variable(&first, NOT_SIMPLE)?;
                let two = self.variable(&second, NOT_SIMPLE)?;
                if one == two {
                    return Err(self.refused(second.at, format!("duplicate variable name: {one}")));
                }
                let (filter, body) = match fourth {
                    Some(last) => (Some(body), last),
                    None => (None, body),
                };
                self.fold(at, function, target, (one, Some(two)), filter, body)
            }
        };
        Ok(Expanded::Macro(Expr {
            macro_name: Some(name),
            ..made
        }))
    }

    /// The macro that a call of this name, with so many arguments, is.
    fn macro_of(&self, target: &Expr, function: &str, arguments: usize) -> Option<&'static str> {
        let is_cel = || matches!(&target.kind, Kind::Ident(name) if name == "cel");
        NAMES
            .iter()
            .find(|(name, least, most, feature)| {
                let enabled = match feature {
                    Feature::Standard => true,
                    Feature::TwoVariables => self.macros.two_variables,
                    Feature::Optionals => self.macros.optionals,
                    Feature::SortBy => self.macros.sort_by,
                    Feature::Bind => self.macros.bind && is_cel(),
                };
                enabled && *name == function && (*least..=*most).contains(&arguments)
            })
            .map(|(name, ..)| *name)
    }

    /// Expands a call without a target.
    pub(super) fn function_macro(
        &mut self,
        at: usize,
        function: &str,
        mut arguments: Vec<Expr>,
    ) -> Outcome {
        if function != "has" || arguments.len() != 1 {
            return Ok(Expanded::Call(None, arguments));
        }
        let Some(argument) = arguments.pop() else {
            return Ok(Expanded::Call(None, arguments));
        };
        match argument.kind {
            // What is asked already is asked once (cel-go v0.29.2, parser/macro.go, `makeHas`).
            Kind::Select { operand, field, .. } => Ok(Expanded::Macro(self.node(
                at,
                Kind::Select {
                    operand,
                    field,
                    test: true,
                },
            ))),
            _ => Err(self.refused(argument.at, "invalid argument to has() macro")),
        }
    }

    /// The name of a loop's variable.
    fn variable(&self, argument: &Expr, words: &str) -> Result<String, Refused> {
        let name = self.simple(argument, words)?;
        // The name that the accumulator had once.
        if name == "__result__" {
            let words = "iteration variable overwrites accumulator variable";
            return Err(self.refused(argument.at, words));
        }
        Ok(name)
    }

    fn simple(&self, argument: &Expr, message: &str) -> Result<String, Refused> {
        match &argument.kind {
            Kind::Ident(name) => Ok(name.clone()),
            _ => Err(self.refused(argument.at, message)),
        }
    }

    fn refused(&self, at: usize, message: impl Into<String>) -> Refused {
        let fault = self.error(at, message);
        Refused { at, fault }
    }

    pub(super) fn ident(&mut self, at: usize, name: &str) -> Expr {
        self.node(at, Kind::Ident(name.to_owned()))
    }

    fn literal(&mut self, at: usize, literal: Literal) -> Expr {
        self.node(at, Kind::Literal(literal))
    }

    pub(super) fn call(&mut self, at: usize, function: &str, arguments: Vec<Expr>) -> Expr {
        self.node(
            at,
            Kind::Call {
                function: function.to_owned(),
                target: None,
                arguments,
            },
        )
    }

    fn method(&mut self, at: usize, target: Expr, function: &str, arguments: Vec<Expr>) -> Expr {
        self.node(
            at,
            Kind::Call {
                function: function.to_owned(),
                target: Some(Box::new(target)),
                arguments,
            },
        )
    }

    fn fold(
        &mut self,
        at: usize,
        function: &str,
        range: Expr,
        (variable, second): (String, Option<String>),
        filter: Option<Expr>,
        body: Expr,
    ) -> Expr {
        let truth = Literal::Bool(true);
        let (init, condition, step) = match function {
            "all" => {
                let accumulator = self.ident(at, ACCUMULATOR);
                let condition = self.call(at, op::NOT_STRICTLY_FALSE, vec![accumulator]);
                let accumulator = self.ident(at, ACCUMULATOR);
                let step = self.call(at, op::AND, vec![accumulator, body]);
                (self.literal(at, truth), condition, step)
            }
            "exists" => {
                let accumulator = self.ident(at, ACCUMULATOR);
                let not = self.call(at, op::NOT, vec![accumulator]);
                let condition = self.call(at, op::NOT_STRICTLY_FALSE, vec![not]);
                let accumulator = self.ident(at, ACCUMULATOR);
                let step = self.call(at, op::OR, vec![accumulator, body]);
                (self.literal(at, Literal::Bool(false)), condition, step)
            }
            "exists_one" | "existsOne" => {
                let accumulator = self.ident(at, ACCUMULATOR);
                let one = self.literal(at, Literal::Int(1));
                let more = self.call(at, op::ADD, vec![accumulator, one]);
                let same = self.ident(at, ACCUMULATOR);
                let step = self.call(at, op::CONDITIONAL, vec![body, more, same]);
                let init = self.literal(at, Literal::Int(0));
                (init, self.literal(at, truth), step)
            }
            "transformMap" | "transformMapEntry" => {
                let mut arguments = vec![self.ident(at, ACCUMULATOR)];
                if function == "transformMap" {
                    arguments.push(self.ident(at, &variable));
                }
                arguments.push(body);
                let step = self.call(at, op::MAP_INSERT, arguments);
                let init = self.node(at, Kind::Map(Vec::new()));
                (
                    init,
                    self.literal(at, truth),
                    self.filtered(at, filter, step),
                )
            }
            _ => {
                let accumulator = self.ident(at, ACCUMULATOR);
                let added = self.node(at, Kind::List(vec![(body, false)]));
                let step = self.call(at, op::ADD, vec![accumulator, added]);
                let init = self.node(at, Kind::List(Vec::new()));
                (
                    init,
                    self.literal(at, truth),
                    self.filtered(at, filter, step),
                )
            }
        };
        let result = self.ident(at, ACCUMULATOR);
        let result = if matches!(function, "exists_one" | "existsOne") {
            let one = self.literal(at, Literal::Int(1));
            self.call(at, op::EQUALS, vec![result, one])
        } else {
            result
        };
        let comprehension = Comprehension {
            range,
            variable,
            second,
            accumulator: ACCUMULATOR.to_owned(),
            init,
            condition,
            step,
            result,
        };
        self.node(at, Kind::Comprehension(Box::new(comprehension)))
    }

    fn filtered(&mut self, at: usize, filter: Option<Expr>, step: Expr) -> Expr {
        match filter {
            None => step,
            Some(filter) => {
                let same = self.ident(at, ACCUMULATOR);
                self.call(at, op::CONDITIONAL, vec![filter, step, same])
            }
        }
    }

    /// A loop over nothing, whose accumulator is the variable.
    fn bind(&mut self, at: usize, name: String, value: Expr, body: Expr) -> Expr {
        let range = self.node(at, Kind::List(Vec::new()));
        let condition = self.literal(at, Literal::Bool(false));
        let step = self.ident(at, &name);
        let comprehension = Comprehension {
            range,
            variable: UNUSED.to_owned(),
            second: None,
            accumulator: name,
            init: value,
            condition,
            step,
            result: body,
        };
        self.node(at, Kind::Comprehension(Box::new(comprehension)))
    }

    fn optional_map(
        &mut self,
        at: usize,
        target: Expr,
        name: String,
        body: Expr,
        wrap: bool,
    ) -> Result<Expr, Diagnostic> {
        let copy = self.repeated_target(at, &target)?;
        let has = self.method(at, target, "hasValue", Vec::new());
        let value = self.method(at, copy, "value", Vec::new());
        let mapped = self.bind(at, name, value, body);
        let mapped = if wrap {
            self.call(at, "optional.of", vec![mapped])
        } else {
            mapped
        };
        let none = self.call(at, "optional.none", Vec::new());
        Ok(self.call(at, op::CONDITIONAL, vec![has, mapped, none]))
    }

    /// The same tree once more: a chain of these doubles with each call.
    fn repeated_target(&mut self, at: usize, target: &Expr) -> Result<Expr, Diagnostic> {
        stack::with(stack::levels(target.depth), || {
            self.room(at, target.count())?;
            Ok(self.copy(at, target))
        })
    }

    fn sort_by(&mut self, at: usize, target: Expr, name: String, key: Expr) -> Expr {
        let input = self.ident(at, SORT_INPUT);
        let keys = self.fold(at, "map", input, (name, None), None, key);
        let input = self.ident(at, SORT_INPUT);
        let sorted = self.method(at, input, "@sortByAssociatedKeys", vec![keys]);
        self.bind(at, SORT_INPUT.to_owned(), target, sorted)
    }

    /// The same tree with numbers of its own. What is copied is reported where it was, but for the fields of
    /// messages: those where the macro is (cel-go v0.29.2, parser/helper.go, `Copy`).
    fn copy(&mut self, at: usize, expr: &Expr) -> Expr {
        let kind = match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) => expr.kind.clone(),
            Kind::Select {
                operand,
                field,
                test,
            } => Kind::Select {
                operand: Box::new(self.copy(at, operand)),
                field: field.clone(),
                test: *test,
            },
            Kind::Call {
                function,
                target,
                arguments,
            } => Kind::Call {
                function: function.clone(),
                target: target
                    .as_ref()
                    .map(|target| Box::new(self.copy(at, target))),
                arguments: arguments.iter().map(|a| self.copy(at, a)).collect(),
            },
            Kind::List(elements) => Kind::List(
                elements
                    .iter()
                    .map(|(e, o)| (self.copy(at, e), *o))
                    .collect(),
            ),
            Kind::Map(entries) => Kind::Map(
                entries
                    .iter()
                    .map(|(k, v, o)| (self.copy(at, k), self.copy(at, v), *o))
                    .collect(),
            ),
            Kind::Message { name, fields } => Kind::Message {
                name: name.clone(),
                fields: fields
                    .iter()
                    .map(|field| Field {
                        value: self.copy(at, &field.value),
                        name: field.name.clone(),
                        at,
                        ..*field
                    })
                    .collect(),
            },
            Kind::Comprehension(c) => Kind::Comprehension(Box::new(Comprehension {
                range: self.copy(at, &c.range),
                variable: c.variable.clone(),
                second: c.second.clone(),
                accumulator: c.accumulator.clone(),
                init: self.copy(at, &c.init),
                condition: self.copy(at, &c.condition),
                step: self.copy(at, &c.step),
                result: self.copy(at, &c.result),
            })),
        };
        let made = self.node(expr.at, kind);
        Expr {
            macro_name: expr.macro_name,
            ..made
        }
    }
}

//! From tokens to a tree.
//!
//! Here: precedence and brackets (cel-spec, "Syntax"). Not here: macros (`macros`), lists, maps and
//! messages (`aggregates`), types.
//! Invariant: a syntax error names what was found and what was expected there.

use super::lexer::{Token, tokens};
use super::macros::{Expanded, Refused};
use super::{DEPTH_LIMIT, Macros, NODES_LIMIT, SIZE_LIMIT};
use crate::ast::{Expr, Kind, Literal, Tree, op};
use crate::diagnostic::{CompileError, Diagnostic, Faults};
use crate::stack;

/// Words that can't be names (cel-spec, "Syntax").
pub(crate) const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Words that are no names at all, not even of fields (cel-go, parser/gen/CEL.g4).
pub(crate) const KEYWORDS: &[&str] = &["false", "in", "null", "true"];

/// Comparisons, each with the function it calls.
const RELATIONS: &[(&str, &str)] = &[
    ("==", "_==_"),
    ("!=", "_!=_"),
    ("<=", "_<=_"),
    (">=", "_>=_"),
    ("<", "_<_"),
    (">", "_>_"),
    ("in", "@in"),
];

/// Arithmetic, each with the function it calls and how tight it holds.
const ARITHMETIC: &[(&str, &str, u8)] = &[
    ("+", "_+_", 1),
    ("-", "_-_", 1),
    ("*", "_*_", 2),
    ("/", "_/_", 2),
    ("%", "_%_", 2),
];

/// Parses an expression.
///
/// # Errors
/// The first syntax error, or, where the syntax is right, the faults of all macros.
pub(crate) fn parse(source: &str, macros: Macros) -> Result<Tree, CompileError> {
    let size = source.chars().count();
    if size > SIZE_LIMIT {
        return Err(Diagnostic::of_whole(format!(
            "expression code point size exceeds limit: size: {size}, limit {SIZE_LIMIT}"
        ))
        .into());
    }
    let tokens = tokens(source)?;
    let nesting = nesting(&tokens);
    stack::with(nesting.saturating_mul(CALLS), || {
        let mut parser = Parser {
            source,
            tokens,
            next: 0,
            open: Open::default(),
            nodes: 0,
            macros,
            faults: Faults::default(),
        };
        let expr = parser.expression()?;
        if !matches!(parser.peek(), Token::End) {
            return Err(parser.unexpected("an operator or the end").into());
        }
        if !parser.faults.is_empty() {
            return Err(parser.faults.into_error());
        }
        Ok(Tree::new(expr, parser.nodes))
    })
}

/// How many levels of the stack ([`stack::with`]) a pair of brackets takes in the parser.
const CALLS: usize = 8;

/// The most brackets and conditions that are within each other; beyond the limit it does not
/// matter how many.
fn nesting(tokens: &[(usize, Token)]) -> usize {
    let (mut open, mut most) = (0_usize, 0_usize);
    for (_, token) in tokens {
        match token {
            Token::Symbol("(" | "[" | "{" | "?") => open = open.saturating_add(1),
            Token::Symbol(")" | "]" | "}") => open = open.saturating_sub(1),
            _ => continue,
        }
        most = most.max(open);
    }
    most.min(DEPTH_LIMIT)
}

/// How many rules of each kind the parser is within. Those that are here can be within more of
/// their own than any other rule is (cel-go, parser/gen/CEL.g4): an operand on the right is a rule
/// of its own.
#[derive(Default)]
struct Open {
    expression: usize,
    relation: usize,
    calculation: usize,
}

pub(super) struct Parser<'a> {
    source: &'a str,
    pub(super) tokens: Vec<(usize, Token)>,
    pub(super) next: usize,
    open: Open,
    nodes: usize,
    pub(super) macros: Macros,
    /// What is wrong with macros; the syntax is right in spite of it.
    faults: Faults,
}

pub(super) type Parsed = Result<Expr, Diagnostic>;

/// Counts one rule more.
fn deeper(open: &mut usize) -> Result<(), Diagnostic> {
    *open = open.saturating_add(1);
    if *open > DEPTH_LIMIT {
        return Err(Diagnostic::of_whole(format!(
            "expression recursion limit exceeded: {DEPTH_LIMIT}"
        )));
    }
    Ok(())
}

fn checked_nesting(made: Expr) -> Parsed {
    if usize::from(made.nesting) > DEPTH_LIMIT {
        return Err(Diagnostic::of_whole("max recursion depth exceeded"));
    }
    Ok(made)
}

impl Parser<'_> {
    /// A node with the next number.
    pub(super) fn node(&mut self, at: usize, kind: Kind) -> Expr {
        let id = self.nodes;
        self.nodes = id.saturating_add(1);
        Expr::new(id, at, kind)
    }

    /// A node that counts for the limit of nesting, as operators, fields, methods and indexes do.
    fn counted(&mut self, at: usize, kind: Kind) -> Parsed {
        let made = self.node(at, kind);
        let nesting = made.nesting.saturating_add(1);
        checked_nesting(Expr { nesting, ..made })
    }

    /// Whether there may be so many nodes more. Only what a macro repeats can make them many.
    pub(super) fn room(&self, at: usize, nodes: usize) -> Result<(), Diagnostic> {
        if self.nodes.saturating_add(nodes) > NODES_LIMIT {
            let message = format!(
                "expression has more than {NODES_LIMIT} nodes once its macros are expanded"
            );
            return Err(self.error(at, message));
        }
        Ok(())
    }

    /// Keeps the fault of a macro; where it is, something stands in for what the macro would have become.
    fn faulty(&mut self, refused: Refused) -> Expr {
        let Refused { at, fault } = refused;
        self.faults.add(|| fault);
        self.node(at, Kind::Literal(Literal::Null))
    }

    pub(super) fn peek(&self) -> &Token {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |token| &token.1)
    }

    pub(super) fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.source.len(), |token| token.0)
    }

    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.source, at, message)
    }

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::Ident(name) => format!("'{name}'"),
            Token::Quoted(name) => format!("'`{name}`'"),
            Token::String(_) => "a string".to_owned(),
            Token::Bytes(_) => "bytes".to_owned(),
            Token::Int(_) | Token::Uint(_) | Token::Double(_) => "a number".to_owned(),
        };
        self.error(
            self.at(),
            format!("Syntax error: {expected} is expected here, not {found}"),
        )
    }

    /// Takes a symbol, if it is the next token.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let taken = matches!(self.peek(), Token::Symbol(next) if *next == symbol);
        if taken {
            self.next = self.next.saturating_add(1);
        }
        taken
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), Diagnostic> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{symbol}'")))
        }
    }

    pub(super) fn name(&mut self) -> Result<String, Diagnostic> {
        match self.peek().clone() {
            Token::Ident(name) if !KEYWORDS.contains(&name.as_str()) => {
                self.next = self.next.saturating_add(1);
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub(super) fn expression(&mut self) -> Parsed {
        deeper(&mut self.open.expression)?;
        let condition = self.or()?;
        let at = self.at();
        let whole = if self.take("?") {
            let then = self.or()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            self.operator(at, op::CONDITIONAL, vec![condition, then, otherwise])?
        } else {
            condition
        };
        self.open.expression = self.open.expression.saturating_sub(1);
        Ok(whole)
    }

    /// A call of an operator, which counts for the limit of nesting.
    fn operator(&mut self, at: usize, function: &str, arguments: Vec<Expr>) -> Parsed {
        self.counted(
            at,
            Kind::Call {
                function: function.to_owned(),
                target: None,
                arguments,
            },
        )
    }

    fn or(&mut self) -> Parsed {
        let (mut terms, mut operators) = (vec![self.and()?], Vec::new());
        loop {
            let at = self.at();
            if !self.take("||") {
                return Ok(self.balance(op::OR, terms, &operators));
            }
            operators.push(at);
            terms.push(self.and()?);
        }
    }

    fn and(&mut self) -> Parsed {
        let (mut terms, mut operators) = (vec![self.relation()?], Vec::new());
        loop {
            let at = self.at();
            if !self.take("&&") {
                return Ok(self.balance(op::AND, terms, &operators));
            }
            operators.push(at);
            terms.push(self.relation()?);
        }
    }

    /// A chain of `&&` or `||` as a tree of least depth; the order of evaluation stays.
    fn balance(&mut self, function: &str, mut terms: Vec<Expr>, operators: &[usize]) -> Expr {
        // As cel-go splits: the operator in the middle, rounded up.
        let middle = operators.len() / 2;
        let Some(at) = operators.get(middle).copied() else {
            let none = || Expr::new(0, 0, Kind::Literal(Literal::Null));
            return terms.pop().unwrap_or_else(none);
        };
        let right = terms.split_off(middle.saturating_add(1));
        let (before, after) = operators.split_at(middle);
        let left = self.balance(function, terms, before);
        let right = self.balance(function, right, after.get(1..).unwrap_or_default());
        self.call(at, function, vec![left, right])
    }

    fn relation(&mut self) -> Parsed {
        deeper(&mut self.open.relation)?;
        let mut left = self.calculation(0)?;
        loop {
            let at = self.at();
            let Some((_, function)) = self.one_of(|name| RELATIONS.iter().find(|r| r.0 == name))
            else {
                break;
            };
            deeper(&mut self.open.relation)?;
            let right = self.calculation(0)?;
            self.open.relation = self.open.relation.saturating_sub(1);
            left = self.operator(at, function, vec![left, right])?;
        }
        self.open.relation = self.open.relation.saturating_sub(1);
        Ok(left)
    }

    /// Operators that hold at least as tight as `least`.
    fn calculation(&mut self, least: u8) -> Parsed {
        deeper(&mut self.open.calculation)?;
        let mut left = self.unary()?;
        loop {
            let at = self.at();
            let tight = |name: &str| ARITHMETIC.iter().find(|a| a.0 == name && a.2 >= least);
            let Some((_, function, tightness)) = self.one_of(tight) else {
                break;
            };
            let right = self.calculation(tightness.saturating_add(1))?;
            left = self.operator(at, function, vec![left, right])?;
        }
        self.open.calculation = self.open.calculation.saturating_sub(1);
        Ok(left)
    }

    /// Takes the next token, if it is an operator that is looked for.
    fn one_of<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = match self.peek() {
            Token::Symbol(symbol) => find(symbol),
            Token::Ident(name) => find(name),
            _ => None,
        }?;
        self.next = self.next.saturating_add(1);
        Some(found)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        if self.take("!") {
            return self.repeated(at, "!", op::NOT);
        }
        // A single sign before a number is part of it.
        if !self.is_signed_number() && self.take("-") {
            return self.repeated(at, "-", op::NEGATE);
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    /// Whether a sign and a number follow.
    fn is_signed_number(&self) -> bool {
        let after = self.tokens.get(self.next.saturating_add(1));
        matches!(self.peek(), Token::Symbol("-"))
            && matches!(after, Some((_, Token::Int(_) | Token::Double(_))))
    }

    /// What follows `!` or `-`: of several in a row only whether they are odd counts.
    fn repeated(&mut self, at: usize, symbol: &str, function: &str) -> Parsed {
        let mut odd = true;
        while self.take(symbol) {
            odd = !odd;
        }
        let operand = self.primary()?;
        let operand = self.members(operand)?;
        if odd {
            Ok(self.call(at, function, vec![operand]))
        } else {
            Ok(operand)
        }
    }

    /// Fields, methods and indexes after an operand.
    fn members(&mut self, mut operand: Expr) -> Parsed {
        loop {
            let at = self.at();
            if self.take(".") {
                let optional = self.take("?");
                let name_at = self.at();
                let quoted = match self.peek() {
                    Token::Quoted(name) if self.macros.quoted_fields => Some(name.clone()),
                    _ => None,
                };
                // What is in backquotes is a field, never a method.
                let is_field = optional || quoted.is_some();
                let field = match quoted {
                    Some(name) => {
                        self.next = self.next.saturating_add(1);
                        name
                    }
                    None => self.name()?,
                };
                let open = self.at();
                if !is_field && self.take("(") {
                    let arguments = self.arguments()?;
                    let parts = arguments.iter().chain([&operand]);
                    let nesting = parts.map(|part| part.nesting).max().unwrap_or_default();
                    operand = match self.method_macro(open, operand, &field, arguments) {
                        Err(refused) => self.faulty(refused),
                        // What counts is the call, not what it becomes.
                        Ok(Expanded::Macro(made)) => checked_nesting(Expr {
                            nesting: nesting.saturating_add(1),
                            ..made
                        })?,
                        Ok(Expanded::Call(target, arguments)) => self.counted(
                            open,
                            Kind::Call {
                                function: field,
                                target: target.map(Box::new),
                                arguments,
                            },
                        )?,
                    };
                } else if optional {
                    let name = Literal::String(field.into());
                    let name = self.node(name_at, Kind::Literal(name));
                    operand = self.operator(at, op::OPT_SELECT, vec![operand, name])?;
                } else {
                    let select = Kind::Select {
                        operand: Box::new(operand),
                        field,
                        test: false,
                    };
                    operand = self.counted(at, select)?;
                }
            } else if self.take("[") {
                let function = if self.take("?") {
                    op::OPT_INDEX
                } else {
                    op::INDEX
                };
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.operator(at, function, vec![operand, index])?;
            } else {
                break;
            }
        }
        Ok(operand)
    }

    /// What follows an opening bracket of a call, the closing one included.
    fn arguments(&mut self) -> Result<Vec<Expr>, Diagnostic> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.expression()?);
        }
        Ok(arguments)
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        if let Some(name) = self.message_name() {
            return self.message(name);
        }
        let negative = self.is_signed_number() && self.take("-");
        let token = self.peek().clone();
        let literal = match token {
            Token::Int(value) => Literal::Int(
                if negative {
                    0_i64.checked_sub_unsigned(value)
                } else {
                    i64::try_from(value).ok()
                }
                .ok_or_else(|| self.error(at, "invalid int literal"))?,
            ),
            Token::Uint(value) => Literal::Uint(value),
            Token::Double(value) => Literal::Double(if negative { -value } else { value }),
            Token::String(text) => Literal::String(text.into()),
            Token::Bytes(bytes) => Literal::Bytes(bytes.into()),
            Token::Ident(name) => {
                self.next = self.next.saturating_add(1);
                return self.identifier(at, &name, "");
            }
            Token::Symbol("(") => {
                self.next = self.next.saturating_add(1);
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => return self.list(at),
            Token::Symbol("{") => return self.map(at),
            Token::Symbol(".") => {
                self.next = self.next.saturating_add(1);
                let at = self.at();
                let name = self.name()?;
                return self.identifier(at, &name, ".");
            }
            Token::Quoted(_) | Token::Symbol(_) | Token::End => {
                return Err(self.unexpected("a value"));
            }
        };
        self.next = self.next.saturating_add(1);
        Ok(self.node(at, Kind::Literal(literal)))
    }

    /// A name or a call; with a leading dot it is not looked for in the container.
    fn identifier(&mut self, at: usize, name: &str, dot: &str) -> Parsed {
        let literal = match name {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if let Some(literal) = literal {
            return Ok(self.node(at, Kind::Literal(literal)));
        }
        if name == "in" {
            return Err(self.error(at, "Syntax error: a value is expected here, not 'in'"));
        }
        if RESERVED.contains(&name) {
            return Err(self.error(at, format!("reserved identifier: {name}")));
        }
        let open = self.at();
        if !self.take("(") {
            return Ok(self.ident(at, &format!("{dot}{name}")));
        }
        let arguments = self.arguments()?;
        // With its dot it is the name of no macro.
        let name = format!("{dot}{name}");
        Ok(match self.function_macro(open, &name, arguments) {
            Err(refused) => self.faulty(refused),
            Ok(Expanded::Macro(made)) => made,
            Ok(Expanded::Call(_, arguments)) => self.call(open, &name, arguments),
        })
    }
}

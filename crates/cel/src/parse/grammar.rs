//! From tokens to a tree.
//!
//! Here: precedence, brackets, macros (cel-spec, "Syntax" and "Macros"). Not here: types.
//! Invariant: a syntax error names what was found and what was expected there.

use super::DEPTH_LIMIT;
use super::lexer::{Token, tokens};
use crate::ast::{Expr, Fold, Kind};
use crate::diagnostic::Diagnostic;

/// Words that can't be names (cel-spec, "Syntax").
const RESERVED: &[&str] = &[
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

/// Binary operators from loose to tight, each with the function it calls.
const LEVELS: &[&[(&str, &str)]] = &[
    &[
        ("==", "_==_"),
        ("!=", "_!=_"),
        ("<=", "_<=_"),
        (">=", "_>=_"),
        ("<", "_<_"),
        (">", "_>_"),
        ("in", "@in"),
    ],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

/// Parses an expression.
pub(crate) fn parse(source: &str) -> Result<Expr, Diagnostic> {
    let mut parser = Parser {
        source,
        tokens: tokens(source)?,
        next: 0,
        depth: 0,
    };
    let expr = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

type Parsed = Result<Expr, Diagnostic>;

fn node(at: usize, kind: Kind) -> Expr {
    Expr { at, kind }
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |token| &token.1)
    }

    fn at(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.source.len(), |token| token.0)
    }

    fn error(&self, at: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.source, at, message)
    }

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::Ident(name) => format!("'{name}'"),
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
    fn take(&mut self, symbol: &str) -> bool {
        let taken = matches!(self.peek(), Token::Symbol(next) if *next == symbol);
        if taken {
            self.next = self.next.saturating_add(1);
        }
        taken
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Diagnostic> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{symbol}'")))
        }
    }

    fn name(&mut self) -> Result<String, Diagnostic> {
        match self.peek().clone() {
            Token::Ident(name) => {
                self.next = self.next.saturating_add(1);
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn deeper(&mut self) -> Result<(), Diagnostic> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_LIMIT {
            return Err(self.error(
                self.at(),
                format!("expression recursion limit exceeded: {DEPTH_LIMIT}"),
            ));
        }
        Ok(())
    }

    fn expression(&mut self) -> Parsed {
        self.deeper()?;
        let condition = self.or()?;
        let at = self.at();
        let whole = if self.take("?") {
            let then = self.or()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            node(
                at,
                Kind::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)),
            )
        } else {
            condition
        };
        self.depth = self.depth.saturating_sub(1);
        Ok(whole)
    }

    fn or(&mut self) -> Parsed {
        let mut parts = vec![self.and()?];
        let at = self.at();
        while self.take("||") {
            parts.push(self.and()?);
        }
        Ok(balance(at, parts, |a, b| {
            Kind::Or(Box::new(a), Box::new(b))
        }))
    }

    fn and(&mut self) -> Parsed {
        let mut parts = vec![self.binary(0)?];
        let at = self.at();
        while self.take("&&") {
            parts.push(self.binary(0)?);
        }
        Ok(balance(at, parts, |a, b| {
            Kind::And(Box::new(a), Box::new(b))
        }))
    }

    fn binary(&mut self, level: usize) -> Parsed {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level.saturating_add(1))?;
        let mut chain = 0_usize;
        loop {
            let at = self.at();
            let operator = match self.peek() {
                Token::Symbol(symbol) => *symbol,
                Token::Ident(name) if name == "in" => "in",
                _ => break,
            };
            let Some((_, function)) = operators.iter().find(|(name, _)| *name == operator) else {
                break;
            };
            self.next = self.next.saturating_add(1);
            // A long chain leans to the left, one level deeper for each operator.
            chain = chain.saturating_add(1);
            self.deeper()?;
            let right = self.binary(level.saturating_add(1))?;
            left = node(
                at,
                Kind::Call {
                    function: (*function).to_owned(),
                    target: None,
                    arguments: vec![left, right],
                },
            );
        }
        self.depth = self.depth.saturating_sub(chain);
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        if self.take("!") {
            self.deeper()?;
            let operand = self.unary()?;
            self.depth = self.depth.saturating_sub(1);
            return Ok(node(
                at,
                Kind::Call {
                    function: "!_".to_owned(),
                    target: None,
                    arguments: vec![operand],
                },
            ));
        }
        if self.take("-") {
            let literal = match *self.peek() {
                Token::Int(value) if value <= i64::MIN.unsigned_abs() => {
                    Some(Kind::Int(0_i64.wrapping_sub_unsigned(value)))
                }
                Token::Double(value) => Some(Kind::Double(-value)),
                _ => None,
            };
            if let Some(kind) = literal {
                self.next = self.next.saturating_add(1);
                let operand = node(at, kind);
                return self.members(operand);
            }
            self.deeper()?;
            let operand = self.unary()?;
            self.depth = self.depth.saturating_sub(1);
            return Ok(node(
                at,
                Kind::Call {
                    function: "-_".to_owned(),
                    target: None,
                    arguments: vec![operand],
                },
            ));
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    /// Fields, methods and indexes after an operand.
    fn members(&mut self, mut operand: Expr) -> Parsed {
        let mut chain = 0_usize;
        loop {
            let at = self.at();
            if self.take(".") {
                let optional = self.take("?");
                let field = self.name()?;
                if !optional && self.take("(") {
                    let arguments = self.arguments()?;
                    operand = self.method(at, operand, field, arguments)?;
                } else {
                    operand = node(
                        at,
                        Kind::Select {
                            operand: Box::new(operand),
                            field,
                            optional,
                        },
                    );
                }
            } else if self.take("[") {
                let optional = self.take("?");
                let index = self.expression()?;
                self.expect("]")?;
                operand = node(
                    at,
                    Kind::Index {
                        operand: Box::new(operand),
                        index: Box::new(index),
                        optional,
                    },
                );
            } else {
                break;
            }
            chain = chain.saturating_add(1);
            self.deeper()?;
        }
        self.depth = self.depth.saturating_sub(chain);
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
        let token = self.peek().clone();
        let literal = match token {
            Token::Int(value) => {
                Kind::Int(i64::try_from(value).map_err(|_| self.error(at, "invalid int literal"))?)
            }
            Token::Uint(value) => Kind::Uint(value),
            Token::Double(value) => Kind::Double(value),
            Token::String(text) => Kind::String(text),
            Token::Bytes(bytes) => Kind::Bytes(bytes),
            Token::Ident(name) => return self.identifier(at, name),
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
                let name = self.name()?;
                return Ok(node(at, Kind::Ident(name)));
            }
            Token::Symbol(_) | Token::End => return Err(self.unexpected("a value")),
        };
        self.next = self.next.saturating_add(1);
        Ok(node(at, literal))
    }

    fn identifier(&mut self, at: usize, name: String) -> Parsed {
        self.next = self.next.saturating_add(1);
        match name.as_str() {
            "true" => return Ok(node(at, Kind::Bool(true))),
            "false" => return Ok(node(at, Kind::Bool(false))),
            "null" => return Ok(node(at, Kind::Null)),
            "in" => return Err(self.error(at, "Syntax error: a value is expected here, not 'in'")),
            _ if RESERVED.contains(&name.as_str()) => {
                return Err(self.error(at, format!("reserved identifier: {name}")));
            }
            _ => {}
        }
        if !self.take("(") {
            return Ok(node(at, Kind::Ident(name)));
        }
        let mut arguments = self.arguments()?;
        if name == "has" && arguments.len() == 1 {
            return match arguments.pop().map(|argument| argument.kind) {
                Some(Kind::Select {
                    operand,
                    field,
                    optional: false,
                }) => Ok(node(at, Kind::Has { operand, field })),
                _ => Err(self.error(at, "invalid argument to has() macro")),
            };
        }
        Ok(node(
            at,
            Kind::Call {
                function: name,
                target: None,
                arguments,
            },
        ))
    }

    fn list(&mut self, at: usize) -> Parsed {
        self.expect("[")?;
        let mut elements = Vec::new();
        while !self.take("]") {
            let optional = self.take("?");
            elements.push((self.expression()?, optional));
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(node(at, Kind::List(elements)))
    }

    fn map(&mut self, at: usize) -> Parsed {
        self.expect("{")?;
        let mut entries = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, optional));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(node(at, Kind::Map(entries)))
    }

    /// A method, or the macro of that name.
    fn method(
        &self,
        at: usize,
        target: Expr,
        function: String,
        mut arguments: Vec<Expr>,
    ) -> Parsed {
        let fold = match (function.as_str(), arguments.len()) {
            ("all", 2) => Fold::All,
            ("exists", 2) => Fold::Exists,
            ("exists_one" | "existsOne", 2) => Fold::ExistsOne,
            ("map", 2 | 3) => Fold::Map,
            ("filter", 2) => Fold::Filter,
            _ => {
                return Ok(node(
                    at,
                    Kind::Call {
                        function,
                        target: Some(Box::new(target)),
                        arguments,
                    },
                ));
            }
        };
        let body = arguments.pop().map(Box::new);
        let filter = if arguments.len() > 1 {
            arguments.pop().map(Box::new)
        } else {
            None
        };
        match (arguments.pop().map(|argument| argument.kind), body) {
            (Some(Kind::Ident(variable)), Some(body)) => Ok(node(
                at,
                Kind::Comprehension {
                    fold,
                    range: Box::new(target),
                    variable,
                    filter,
                    body,
                },
            )),
            _ => Err(self.error(at, "argument must be a simple name")),
        }
    }
}

/// A chain of `&&` or `||` as a tree of least depth; the order of evaluation stays.
fn balance(at: usize, mut parts: Vec<Expr>, join: fn(Expr, Expr) -> Kind) -> Expr {
    while parts.len() > 1 {
        let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            joined.push(match rest.next() {
                Some(right) => node(at, join(left, right)),
                None => left,
            });
        }
        parts = joined;
    }
    parts.pop().unwrap_or(Expr {
        at,
        kind: Kind::Null,
    })
}

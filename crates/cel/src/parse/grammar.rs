//! From tokens to a tree.
//!
//! Here: precedence and brackets (cel-spec, "Syntax"). Not here: macros (`macros`), types.
//! Invariant: a syntax error names what was found and what was expected there.

use super::lexer::{Token, tokens};
use super::macros::Expanded;
use super::{DEPTH_LIMIT, Macros, SIZE_LIMIT};
use crate::ast::{Expr, Kind, Literal, op};
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

/// Parses an expression; the tree, and how many nodes it has.
///
/// # Errors
/// The first syntax error, or, where the syntax is right, the faults of all macros.
pub(crate) fn parse(source: &str, macros: Macros) -> Result<(Expr, usize), Vec<Diagnostic>> {
    let one = |fault| vec![fault];
    let size = source.chars().count();
    if size > SIZE_LIMIT {
        return Err(one(Diagnostic::new(
            "",
            0,
            format!("expression code point size exceeds limit: size: {size}, limit {SIZE_LIMIT}"),
        )));
    }
    let mut parser = Parser {
        source,
        tokens: tokens(source).map_err(one)?,
        next: 0,
        depth: 0,
        nodes: 0,
        macros,
        faults: Vec::new(),
    };
    let expr = parser.expression().map_err(one)?;
    if !matches!(parser.peek(), Token::End) {
        return Err(one(parser.unexpected("an operator or the end")));
    }
    if parser.faults.is_empty() {
        return Ok((expr, parser.nodes));
    }
    parser
        .faults
        .sort_by_key(|fault| (fault.line, fault.column));
    Err(parser.faults)
}

pub(super) struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    nodes: usize,
    pub(super) macros: Macros,
    /// What is wrong with macros; the syntax is right in spite of it.
    faults: Vec<Diagnostic>,
}

type Parsed = Result<Expr, Diagnostic>;

impl Parser<'_> {
    /// A node with the next number.
    pub(super) fn node(&mut self, at: usize, kind: Kind) -> Expr {
        let id = self.nodes;
        self.nodes = id.saturating_add(1);
        Expr { id, at, kind }
    }

    /// Keeps the fault of a macro, and stands in for what it would have become.
    fn faulty(&mut self, at: usize, fault: Diagnostic) -> Expr {
        self.faults.push(fault);
        self.node(at, Kind::Literal(Literal::Null))
    }

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
            Token::Ident(name) if !matches!(name.as_str(), "in" | "true" | "false" | "null") => {
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
            self.call(at, op::CONDITIONAL, vec![condition, then, otherwise])
        } else {
            condition
        };
        self.depth = self.depth.saturating_sub(1);
        Ok(whole)
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
        let (mut terms, mut operators) = (vec![self.binary(0)?], Vec::new());
        loop {
            let at = self.at();
            if !self.take("&&") {
                return Ok(self.balance(op::AND, terms, &operators));
            }
            operators.push(at);
            terms.push(self.binary(0)?);
        }
    }

    /// A chain of `&&` or `||` as a tree of least depth; the order of evaluation stays.
    fn balance(&mut self, function: &str, mut terms: Vec<Expr>, operators: &[usize]) -> Expr {
        // As cel-go splits: the operator in the middle, rounded up.
        let middle = operators.len() / 2;
        let Some(at) = operators.get(middle).copied() else {
            return terms.pop().unwrap_or(Expr {
                id: 0,
                at: 0,
                kind: Kind::Literal(Literal::Null),
            });
        };
        let right = terms.split_off(middle.saturating_add(1));
        let (before, after) = operators.split_at(middle);
        let left = self.balance(function, terms, before);
        let right = self.balance(function, right, after.get(1..).unwrap_or_default());
        self.call(at, function, vec![left, right])
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
            left = self.call(at, function, vec![left, right]);
        }
        self.depth = self.depth.saturating_sub(chain);
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        if self.take("!") {
            return self.repeated(at, "!", op::NOT);
        }
        if let Some(operand) = self.negative() {
            return self.members(operand);
        }
        if self.take("-") {
            return self.repeated(at, "-", op::NEGATE);
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    /// A number with its sign.
    fn negative(&mut self) -> Option<Expr> {
        let at = self.at();
        let signed = matches!(self.peek(), Token::Symbol("-"));
        let number = self.tokens.get(self.next.saturating_add(1));
        let literal = match number.filter(|_| signed)?.1 {
            Token::Int(value) if value <= i64::MIN.unsigned_abs() => {
                Literal::Int(0_i64.wrapping_sub_unsigned(value))
            }
            Token::Double(value) => Literal::Double(-value),
            _ => return None,
        };
        self.next = self.next.saturating_add(2);
        Some(self.node(at, Kind::Literal(literal)))
    }

    /// What follows `!` or `-`: of several in a row only whether they are odd counts.
    fn repeated(&mut self, at: usize, symbol: &str, function: &str) -> Parsed {
        let mut odd = true;
        while self.take(symbol) {
            odd = !odd;
        }
        self.deeper()?;
        let operand = match self.negative() {
            Some(number) => number,
            None => self.primary()?,
        };
        let operand = self.members(operand)?;
        self.depth = self.depth.saturating_sub(1);
        if odd {
            Ok(self.call(at, function, vec![operand]))
        } else {
            Ok(operand)
        }
    }

    /// Fields, methods and indexes after an operand.
    fn members(&mut self, mut operand: Expr) -> Parsed {
        let mut chain = 0_usize;
        loop {
            let at = self.at();
            if self.take(".") {
                let optional = self.take("?");
                let name_at = self.at();
                let quoted = match self.peek() {
                    Token::Quoted(name) if self.macros.quoted_fields => Some(name.clone()),
                    _ => None,
                };
                let field = match quoted {
                    Some(name) => {
                        self.next = self.next.saturating_add(1);
                        name
                    }
                    None => self.name()?,
                };
                let open = self.at();
                if !optional && self.take("(") {
                    let arguments = self.arguments()?;
                    operand = match self.method_macro(open, operand, &field, arguments) {
                        Err(fault) => self.faulty(open, fault),
                        Ok(Expanded::Macro(made)) => made,
                        Ok(Expanded::Call(target, arguments)) => self.node(
                            open,
                            Kind::Call {
                                function: field,
                                target: target.map(Box::new),
                                arguments,
                            },
                        ),
                    };
                } else if optional {
                    let name = Literal::String(field.into());
                    let name = self.node(name_at, Kind::Literal(name));
                    operand = self.call(at, op::OPT_SELECT, vec![operand, name]);
                } else {
                    let select = Kind::Select {
                        operand: Box::new(operand),
                        field,
                        test: false,
                    };
                    operand = self.node(at, select);
                }
            } else if self.take("[") {
                let function = if self.take("?") {
                    op::OPT_INDEX
                } else {
                    op::INDEX
                };
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.call(at, function, vec![operand, index]);
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
            Token::Int(value) => Literal::Int(
                i64::try_from(value).map_err(|_| self.error(at, "invalid int literal"))?,
            ),
            Token::Uint(value) => Literal::Uint(value),
            Token::Double(value) => Literal::Double(value),
            Token::String(text) => Literal::String(text.into()),
            Token::Bytes(bytes) => Literal::Bytes(bytes.into()),
            Token::Ident(name) => return self.identifier(at, &name, ""),
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
                return match self.peek().clone() {
                    Token::Ident(name) => self.identifier(at, &name, "."),
                    _ => Err(self.unexpected("a name")),
                };
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
        self.next = self.next.saturating_add(1);
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
        Ok(match self.function_macro(open, name, arguments) {
            Err(fault) => self.faulty(open, fault),
            Ok(Expanded::Macro(made)) => made,
            Ok(Expanded::Call(_, arguments)) => self.call(open, &format!("{dot}{name}"), arguments),
        })
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
        Ok(self.node(at, Kind::List(elements)))
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
        Ok(self.node(at, Kind::Map(entries)))
    }
}

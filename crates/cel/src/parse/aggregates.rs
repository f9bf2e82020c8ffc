//! Lists, maps and messages as they are written.
//!
//! Here: what stands between their brackets. Not here: their elements (`grammar`), which messages
//! there are (`message`).
//! Invariant: what follows a name is a message only where the name is nothing but words and dots; so a
//! brace after any other operand is a fault of the syntax.

use super::grammar::{Parsed, Parser};
use super::lexer::Token;
use crate::ast::{Field, Kind};
use crate::parse::KEYWORDS;

impl Parser<'_> {
    pub(super) fn list(&mut self, at: usize) -> Parsed {
        self.expect("[")?;
        let mut elements = Vec::new();
        if self.take(",") {
            self.expect("]")?;
            return Ok(self.node(at, Kind::List(elements)));
        }
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

    pub(super) fn map(&mut self, at: usize) -> Parsed {
        self.expect("{")?;
        let mut entries = Vec::new();
        if self.take(",") {
            self.expect("}")?;
            return Ok(self.node(at, Kind::Map(entries)));
        }
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

    /// Takes the name of a message, if one with its brace is next. Words that can't be names elsewhere
    /// can be here (cel-go v0.29.2, parser/parser.go, `VisitCreateMessage`).
    pub(super) fn message_name(&mut self) -> Option<String> {
        let token = |place: usize| self.tokens.get(place).map(|token| &token.1);
        let mut place = self.next;
        let mut name = String::new();
        if let Token::Symbol(".") = token(place)? {
            name.push('.');
            place = place.saturating_add(1);
        }
        loop {
            match token(place)? {
                Token::Ident(word) if !KEYWORDS.contains(&word.as_str()) => name.push_str(word),
                _ => return None,
            }
            place = place.saturating_add(1);
            match token(place)? {
                Token::Symbol("{") => break,
                Token::Symbol(".") => name.push('.'),
                _ => return None,
            }
            place = place.saturating_add(1);
        }
        self.next = place;
        Some(name)
    }

    /// What follows the name of a message.
    pub(super) fn message(&mut self, name: String) -> Parsed {
        let at = self.at();
        self.expect("{")?;
        let mut fields = Vec::new();
        if self.take(",") {
            self.expect("}")?;
            return Ok(self.node(at, Kind::Message { name, fields }));
        }
        while !self.take("}") {
            let optional = self.take("?");
            let name = self.field_name()?;
            let at = self.at();
            self.expect(":")?;
            let value = self.expression()?;
            fields.push(Field {
                at,
                name,
                value,
                optional,
            });
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(self.node(at, Kind::Message { name, fields }))
    }

    /// A field by its name, which may stand in backquotes.
    fn field_name(&mut self) -> Result<String, crate::diagnostic::Diagnostic> {
        match self.peek() {
            Token::Quoted(name) if self.macros.quoted_fields => {
                let name = name.clone();
                self.next = self.next.saturating_add(1);
                Ok(name)
            }
            _ => self.name(),
        }
    }
}

//! From text to tokens.
//!
//! Here: literals, identifiers, operators (cel-spec, "Syntax"). Not here: how they combine.
//! Invariant: every token has its byte offset, and offsets only grow.

use crate::diagnostic::Diagnostic;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Ident(String),
    /// A field in backquotes.
    Quoted(String),
    /// An operator or a bracket.
    Symbol(&'static str),
    End,
}

/// Longer ones first: `<=` is not `<` and `=`.
const SYMBOLS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

/// All tokens of a text, each with its byte offset; the last is [`Token::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, Diagnostic> {
    let mut lexer = Lexer { source, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip();
        let at = lexer.at;
        let token = lexer
            .token()
            .map_err(|message| Diagnostic::new(source, at, message))?;
        let end = token == Token::End;
        found.push((at, token));
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.advance(next.len_utf8());
        Some(next)
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            self.advance(rest.len().saturating_sub(trimmed.len()));
            if !trimmed.starts_with("//") {
                return;
            }
            self.advance(trimmed.find('\n').unwrap_or(trimmed.len()));
        }
    }

    fn token(&mut self) -> Result<Token, String> {
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        let second_digit = self
            .rest()
            .chars()
            .nth(1)
            .is_some_and(|c| c.is_ascii_digit());
        if first.is_ascii_digit() || first == '.' && second_digit {
            return self.number();
        }
        if let Some(token) = self.text()? {
            return Ok(token);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let rest = self.rest();
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            self.advance(end);
            return Ok(Token::Ident(rest.get(..end).unwrap_or_default().to_owned()));
        }
        if first == '`' {
            self.advance(1);
            let rest = self.rest();
            let end = rest
                .find('`')
                .ok_or("Syntax error: a quoted field has no end")?;
            let name = rest.get(..end).unwrap_or_default().to_owned();
            self.advance(end.saturating_add(1));
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/ ".contains(c);
            if name.is_empty() || !name.chars().all(allowed) {
                return Err(format!("Syntax error: invalid quoted field `{name}`"));
            }
            return Ok(Token::Quoted(name));
        }
        let symbol = SYMBOLS
            .iter()
            .find(|symbol| self.rest().starts_with(**symbol));
        let symbol =
            symbol.ok_or_else(|| format!("Syntax error: token recognition error at: '{first}'"))?;
        self.advance(symbol.len());
        Ok(Token::Symbol(symbol))
    }

    fn digits(&mut self, hex: bool) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| {
                if hex {
                    !c.is_ascii_hexdigit()
                } else {
                    !c.is_ascii_digit()
                }
            })
            .unwrap_or(rest.len());
        self.advance(end);
        rest.get(..end).unwrap_or_default()
    }

    fn number(&mut self) -> Result<Token, String> {
        let start = self.at;
        if self.rest().starts_with("0x") {
            self.advance(2);
            let value = u64::from_str_radix(self.digits(true), 16)
                .map_err(|_| "invalid int literal".to_owned())?;
            return Ok(self.unsigned(value));
        }
        let whole = self.digits(false);
        let mut fraction = false;
        let after = self.rest();
        if after.starts_with('.') && after.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) {
            fraction = true;
            self.advance(1);
            self.digits(false);
        }
        let exponent = self.rest();
        if exponent.starts_with(['e', 'E']) {
            let signed = exponent
                .get(1..)
                .is_some_and(|rest| rest.starts_with(['+', '-']));
            let digits = exponent
                .get(if signed { 2 } else { 1 }..)
                .unwrap_or_default();
            if digits.starts_with(|c: char| c.is_ascii_digit()) {
                fraction = true;
                self.advance(if signed { 2 } else { 1 });
                self.digits(false);
            }
        }
        if fraction {
            let text = self.source.get(start..self.at).unwrap_or_default();
            return text
                .parse()
                .ok()
                .filter(|double: &f64| double.is_finite())
                .map(Token::Double)
                .ok_or_else(|| "invalid double literal".to_owned());
        }
        let value = whole
            .parse()
            .map_err(|_| "invalid int literal".to_owned())?;
        Ok(self.unsigned(value))
    }

    /// A whole number, unsigned when `u` follows.
    fn unsigned(&mut self, value: u64) -> Token {
        if self.rest().starts_with(['u', 'U']) {
            self.advance(1);
            return Token::Uint(value);
        }
        Token::Int(value)
    }

    /// A string or bytes literal, when one begins here.
    fn text(&mut self) -> Result<Option<Token>, String> {
        let rest = self.rest();
        // At most two letters may stand before the quote; looking further would read the whole text
        // for each token.
        let prefix = rest
            .bytes()
            .take(2)
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let (mut raw, mut bytes) = (false, false);
        for letter in rest.get(..prefix).unwrap_or_default().chars() {
            match letter {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes && !raw => bytes = true,
                _ => return Ok(None),
            }
        }
        let quoted = rest.get(prefix..).unwrap_or_default();
        let Some(quote) = quoted.chars().next().filter(|c| ['"', '\''].contains(c)) else {
            return Ok(None);
        };
        self.advance(prefix);
        let triple: String = [quote; 3].iter().collect();
        let end = if quoted.starts_with(&triple) {
            triple
        } else {
            quote.to_string()
        };
        self.advance(end.len());
        let mut text = Vec::new();
        loop {
            if self.rest().starts_with(&end) {
                self.advance(end.len());
                break;
            }
            match self.next() {
                None => return Err("Syntax error: a string has no end".to_owned()),
                Some('\n' | '\r') if end.len() == 1 => {
                    return Err("Syntax error: a string has no end on its line".to_owned());
                }
                Some('\\') if !raw => self.escape(bytes, &mut text)?,
                // Each way to end a line is one newline (cel-go v0.29.2, parser/unescape.go).
                Some('\r') => {
                    if self.rest().starts_with('\n') {
                        self.advance(1);
                    }
                    text.push(b'\n');
                }
                Some(letter) => text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if bytes {
            return Ok(Some(Token::Bytes(text)));
        }
        String::from_utf8(text)
            .map(|text| Some(Token::String(text)))
            .map_err(|_| "Syntax error: a string is not UTF-8".to_owned())
    }

    fn escape(&mut self, bytes: bool, text: &mut Vec<u8>) -> Result<(), String> {
        let plain = |letter| match letter {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(letter).ok(),
            _ => None,
        };
        let letter = self.next().ok_or("Syntax error: a string has no end")?;
        if let Some(byte) = plain(letter) {
            text.push(byte);
            return Ok(());
        }
        let (digits, radix, kind) = match letter {
            'x' | 'X' => (2, 16, "hexadecimal"),
            'u' => (4, 16, "hexadecimal"),
            'U' => (8, 16, "hexadecimal"),
            '0'..='3' => (2, 8, "octal"),
            _ => {
                return Err(format!(
                    "Syntax error: there is no escape '\\{letter}'; a backslash is written as '\\\\'"
                ));
            }
        };
        let code = self.rest().get(..digits).filter(|code| {
            let is_digit = |letter: char| letter.is_digit(radix);
            code.chars().all(is_digit)
        });
        let code =
            code.ok_or_else(|| format!("Syntax error: '\\{letter}' takes {digits} {kind} digits"))?;
        let first = letter.to_digit(4).filter(|_| radix == 8).unwrap_or(0);
        let code = u32::from_str_radix(code, radix).map_err(|error| error.to_string())?;
        self.advance(digits);
        let code = if radix == 8 {
            first.saturating_mul(64).saturating_add(code)
        } else {
            code
        };
        // The words of the API server's engine, which finds these when it reads the text of a literal.
        if bytes {
            let byte = u8::try_from(code)
                .ok()
                .filter(|_| !matches!(letter, 'u' | 'U'));
            text.push(byte.ok_or("unable to unescape string")?);
        } else {
            let letter = char::from_u32(code).ok_or("invalid unicode code point")?;
            text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

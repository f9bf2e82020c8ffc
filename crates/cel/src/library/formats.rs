//! Named formats of Kubernetes: labels, subdomains and the like (k8s.io/apiserver,
//! pkg/cel/library/format.go; k8s.io/apimachinery, pkg/util/validation).
//!
//! Here: the formats and what they say about a text. Not here: `string.format` (`formatting`).
//! Invariant: an empty list of faults is `optional.none()`.

use super::{Opaque, Outcome, Row, no_overload, urls};
use crate::value::Value;

/// A named format.
#[derive(Debug)]
pub struct Format {
    /// The name that it is asked for by.
    key: &'static str,
    /// Its own name.
    pub(crate) name: &'static str,
    validate: fn(&str) -> Vec<String>,
    /// Length of its longest pattern; costs are counted by it.
    pub(crate) pattern_size: u64,
}

#[rustfmt::skip]
static FORMATS: &[Format] = &[
    Format { key: "dns1123Label", name: "DNS1123Label", validate: |s| label(s), pattern_size: 30 },
    Format { key: "dns1123Subdomain", name: "DNS1123Subdomain", validate: |s| subdomain(s), pattern_size: 60 },
    Format { key: "dns1035Label", name: "DNS1035Label", validate: |s| label_1035(s), pattern_size: 30 },
    Format { key: "qualifiedName", name: "QualifiedName", validate: qualified_name, pattern_size: 60 },
    Format { key: "dns1123LabelPrefix", name: "DNS1123LabelPrefix", validate: |s| label(&unmasked(s)), pattern_size: 30 },
    Format { key: "dns1123SubdomainPrefix", name: "DNS1123SubdomainPrefix", validate: |s| subdomain(&unmasked(s)), pattern_size: 60 },
    Format { key: "dns1035LabelPrefix", name: "DNS1035LabelPrefix", validate: |s| label_1035(&unmasked(s)), pattern_size: 30 },
    Format { key: "labelValue", name: "LabelValue", validate: label_value, pattern_size: 40 },
    Format { key: "uri", name: "URI", validate: |s| urls::parse(s, true).err().into_iter().collect(), pattern_size: 1103 },
    Format { key: "uuid", name: "uuid", validate: |s| told(is_uuid(s), "does not match the UUID format"), pattern_size: 70 },
    Format { key: "byte", name: "byte", validate: |s| told(is_base64(s), "invalid base64"), pattern_size: 84 },
    Format { key: "date", name: "date", validate: |s| told(is_date(s), "invalid date"), pattern_size: 70 },
    Format { key: "datetime", name: "datetime", validate: |s| told(is_date_time(s), "invalid datetime"), pattern_size: 70 },
];

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "validate", run: validate, overloads: &[("format-validate", "format.(string) -> optional(list(string))")] },
    Row { name: "format.named", run: named, overloads: &[("format-named", "(string) -> optional(format)")] },
    Row { name: "format.dns1123Label", run: |_| constant(0), overloads: &[("format.dns1123Label", "() -> format")] },
    Row { name: "format.dns1123Subdomain", run: |_| constant(1), overloads: &[("format.dns1123Subdomain", "() -> format")] },
    Row { name: "format.dns1035Label", run: |_| constant(2), overloads: &[("format.dns1035Label", "() -> format")] },
    Row { name: "format.qualifiedName", run: |_| constant(3), overloads: &[("format.qualifiedName", "() -> format")] },
    Row { name: "format.dns1123LabelPrefix", run: |_| constant(4), overloads: &[("format.dns1123LabelPrefix", "() -> format")] },
    Row { name: "format.dns1123SubdomainPrefix", run: |_| constant(5), overloads: &[("format.dns1123SubdomainPrefix", "() -> format")] },
    Row { name: "format.dns1035LabelPrefix", run: |_| constant(6), overloads: &[("format.dns1035LabelPrefix", "() -> format")] },
    Row { name: "format.labelValue", run: |_| constant(7), overloads: &[("format.labelValue", "() -> format")] },
    Row { name: "format.uri", run: |_| constant(8), overloads: &[("format.uri", "() -> format")] },
    Row { name: "format.uuid", run: |_| constant(9), overloads: &[("format.uuid", "() -> format")] },
    Row { name: "format.byte", run: |_| constant(10), overloads: &[("format.byte", "() -> format")] },
    Row { name: "format.date", run: |_| constant(11), overloads: &[("format.date", "() -> format")] },
    Row { name: "format.datetime", run: |_| constant(12), overloads: &[("format.datetime", "() -> format")] },
];

fn constant<'a>(place: usize) -> Outcome<'a> {
    FORMATS.get(place).map_or_else(no_overload, |format| {
        Ok(Value::opaque(Opaque::Format(format)))
    })
}

fn named<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(key)] = arguments else {
        return no_overload();
    };
    Ok(match FORMATS.iter().find(|format| *format.key == **key) {
        Some(format) => Value::some(Value::opaque(Opaque::Format(format))),
        None => Value::Optional(None),
    })
}

fn validate<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Opaque(format), Value::String(text)] = arguments else {
        return no_overload();
    };
    let Opaque::Format(format) = &**format else {
        return no_overload();
    };
    let faults = (format.validate)(text);
    if faults.is_empty() {
        return Ok(Value::Optional(None));
    }
    Ok(Value::some(Value::list(
        faults.into_iter().map(Value::from).collect(),
    )))
}

fn told(valid: bool, fault: &str) -> Vec<String> {
    if valid {
        Vec::new()
    } else {
        vec![fault.to_owned()]
    }
}

/// A name that ends with a dash, as generateName allows, as it may be once it is whole. An `a` stands
/// for the dash and for the byte before it, whatever that is (k8s.io/apimachinery v0.37.2,
/// pkg/api/validation/generic.go, `maskTrailingDash`); a character that loses its last byte fits no
/// name, and neither do the spaces for what is left of it.
fn unmasked(text: &str) -> String {
    let Some((rest, last)) = text.strip_suffix('-').and_then(|rest| {
        let last = rest.chars().next_back()?;
        Some((rest.strip_suffix(last)?, last))
    }) else {
        return text.to_owned();
    };
    let left = last.len_utf8().saturating_sub(1);
    [rest, &" ".repeat(left), "a"].concat()
}

/// Names and labels of objects say "bytes", DNS names "characters", and both count bytes
/// (k8s.io/apimachinery v0.37.2, pkg/api/validate/content, pkg/util/validation).
fn too_long(text: &str, limit: usize, unit: &str) -> Option<String> {
    (text.len() > limit).then(|| format!("must be no more than {limit} {unit}"))
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| is_alphanumeric(*b))
        && bytes.last().is_some_and(|b| is_alphanumeric(*b))
        && bytes.iter().all(|b| is_alphanumeric(*b) || *b == b'-')
}

/// Whether a text is a label of DNS (RFC 1123), as the name of a namespace is.
pub(super) fn is_dns_label(text: &str) -> bool {
    label(text).is_empty()
}

/// Whether a text is a subdomain of DNS (RFC 1123), as the name of a service account is.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    subdomain(text).is_empty()
}

fn label(text: &str) -> Vec<String> {
    let mut faults: Vec<_> = too_long(text, 63, "characters").into_iter().collect();
    if !is_label(text) {
        let subdomain = text.split('.').all(is_label);
        faults.push(if subdomain {
            "must not contain dots".to_owned()
        } else {
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')".to_owned()
        });
    }
    faults
}

fn subdomain(text: &str) -> Vec<String> {
    subdomain_in(text, "characters")
}

fn subdomain_in(text: &str, unit: &str) -> Vec<String> {
    let mut faults: Vec<_> = too_long(text, 253, unit).into_iter().collect();
    if !text.split('.').all(is_label) {
        faults.push("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".to_owned());
    }
    faults
}

fn label_1035(text: &str) -> Vec<String> {
    let mut faults: Vec<_> = too_long(text, 63, "characters").into_iter().collect();
    let letter = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !letter || !is_label(text) {
        faults.push("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')".to_owned());
    }
    faults
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn qualified_name(text: &str) -> Vec<String> {
    const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut faults = Vec::new();
    let mut parts = text.split('/');
    let (first, second, more) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    let name = match (second, more) {
        (None, _) => first,
        (Some(name), None) => {
            if first.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                let prefix = subdomain_in(first, "bytes");
                faults.extend(
                    prefix
                        .into_iter()
                        .map(|fault| format!("prefix part {fault}")),
                );
            }
            name
        }
        (Some(_), Some(_)) => {
            return vec![format!(
                "a valid label key {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if let Some(fault) = too_long(name, 63, "bytes") {
        faults.push(format!("name part {fault}"));
    }
    if !is_name(name) {
        faults.push(format!("name part {NAME}"));
    }
    faults
}

fn label_value(text: &str) -> Vec<String> {
    let mut faults: Vec<_> = too_long(text, 63, "bytes").into_iter().collect();
    if !text.is_empty() && !is_name(text) {
        faults.push("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".to_owned());
    }
    faults
}

/// Five groups of digits; each of the dashes between them may be missing.
fn is_uuid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (place, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if place > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        match rest.split_at_checked(length) {
            Some((group, after)) if group.iter().all(u8::is_ascii_hexdigit) => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// Whether a text looks like base64, as govalidator has it: not empty, and the bits that are left
/// over may be any.
fn is_base64(text: &str) -> bool {
    let digits = text
        .strip_suffix("==")
        .or_else(|| text.strip_suffix('='))
        .unwrap_or(text);
    !digits.is_empty()
        && text.len().is_multiple_of(4)
        && digits
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
}

/// A day of any year of four digits, as Go's `time.Parse` reads one: also of the year 0, which is no
/// point in time of the language.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits| {
        let is_number = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| is_number)
    };
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    match (number(year, 4), number(month, 2), number(day, 2)) {
        (Some(year), Some(month), Some(day)) => {
            super::times::days_of(year, month).is_some_and(|days| (1..=days).contains(&day))
        }
        _ => false,
    }
}

/// A day, and a time of day as kube-openapi's pattern has it: before the fraction stands any character
/// but a newline, and an offset is two numbers of two digits. What follows another `t` is not looked at.
fn is_date_time(text: &str) -> bool {
    // One character for each, as Go has it.
    let lower: String = text
        .chars()
        .map(|c| c.to_lowercase().next().unwrap_or(c))
        .collect();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else {
        return false;
    };
    is_date(date) && is_time_of_day(time).unwrap_or(false)
}

fn is_time_of_day(text: &str) -> Option<bool> {
    let two = |text: &str, most: u32| {
        let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        is_number && text.parse::<u32>().is_ok_and(|number| number <= most)
    };
    let (clock, mut rest) = text.split_at_checked(8)?;
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else {
        return None;
    };
    let is_clock = two(hour, 23) && two(minute, 59) && two(second, 59);
    // A point, or whatever else, and digits.
    let mut letters = rest.chars();
    if let Some(first) = letters.next()
        && first != '\n'
        && letters.as_str().starts_with(|c: char| c.is_ascii_digit())
        && !is_zone(rest)
    {
        rest = letters
            .as_str()
            .trim_start_matches(|c: char| c.is_ascii_digit());
    }
    Some(is_clock && is_zone(rest))
}

/// `z` or `+99:99`.
fn is_zone(text: &str) -> bool {
    match text.as_bytes() {
        [b'z'] => true,
        [b'+' | b'-', numbers @ ..] => match numbers {
            [a, b, b':', c, d] => [a, b, c, d].into_iter().all(u8::is_ascii_digit),
            _ => false,
        },
        _ => false,
    }
}

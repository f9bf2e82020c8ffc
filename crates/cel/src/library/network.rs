//! IP addresses and prefixes (k8s.io/apiserver, pkg/cel/library/ip.go, cidr.go).
//!
//! Here: parsing, properties, containment. Not here: URLs (`urls`).
//! Invariant: no zone and no IPv4 address within an IPv6 address is accepted.

use super::{Opaque, Outcome, Row, fail, no_overload, quoted};
use crate::value::Value;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "ip", run: to_ip, overloads: &[("string_to_ip", "(string) -> ip"), ("cidr_ip", "cidr.() -> ip")] },
    Row { name: "isIP", run: is_ip, overloads: &[("is_ip", "(string) -> bool")] },
    Row { name: "ip.isCanonical", run: is_canonical, overloads: &[("ip_is_canonical", "(string) -> bool")] },
    Row { name: "family", run: family, overloads: &[("ip_family", "ip.() -> int")] },
    Row { name: "isUnspecified", run: |a| has(a, IpAddr::is_unspecified), overloads: &[("ip_is_unspecified", "ip.() -> bool")] },
    Row { name: "isLoopback", run: |a| has(a, IpAddr::is_loopback), overloads: &[("ip_is_loopback", "ip.() -> bool")] },
    Row { name: "isLinkLocalMulticast", run: |a| has(a, is_link_local_multicast), overloads: &[("ip_is_link_local_multicast", "ip.() -> bool")] },
    Row { name: "isLinkLocalUnicast", run: |a| has(a, is_link_local_unicast), overloads: &[("ip_is_link_local_unicast", "ip.() -> bool")] },
    Row { name: "isGlobalUnicast", run: |a| has(a, is_global_unicast), overloads: &[("ip_is_global_unicast", "ip.() -> bool")] },
    Row { name: "string", run: text, overloads: &[("ip_to_string", "(ip) -> string"), ("cidr_to_string", "(cidr) -> string")] },
    Row { name: "cidr", run: to_cidr, overloads: &[("string_to_cidr", "(string) -> cidr")] },
    Row { name: "isCIDR", run: is_cidr, overloads: &[("is_cidr", "(string) -> bool")] },
    Row { name: "containsIP", run: contains_ip, overloads: &[
        ("cidr_contains_ip_string", "cidr.(string) -> bool"), ("cidr_contains_ip_ip", "cidr.(ip) -> bool"),
    ] },
    Row { name: "containsCIDR", run: contains_cidr, overloads: &[
        ("cidr_contains_cidr_string", "cidr.(string) -> bool"), ("cidr_contains_cidr", "cidr.(cidr) -> bool"),
    ] },
    Row { name: "prefixLength", run: prefix_length, overloads: &[("cidr_prefix_length", "cidr.() -> int")] },
    Row { name: "masked", run: masked, overloads: &[("cidr_masked", "cidr.() -> cidr")] },
];

/// What the specification reads and Kubernetes refuses: an IPv4 address within an IPv6 address.
#[rustfmt::skip]
pub(super) const SPECIFICATION: &[Row] = &[
    Row { name: "ip", run: to_mapped, overloads: &[] },
];

fn to_mapped<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let mapped = match arguments {
        [Value::String(text)] if !text.contains('.') => text
            .parse::<Ipv6Addr>()
            .ok()
            .and_then(|six| six.to_ipv4_mapped()),
        _ => None,
    };
    mapped.map_or_else(no_overload, |four| {
        Ok(Value::opaque(Opaque::Ip(IpAddr::V4(four))))
    })
}

/// A range of addresses: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Prefix {
    fn width(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Its address with the bits that do not count set to zero.
    fn masked(self) -> Self {
        let drop = u32::from(self.width().saturating_sub(self.bits));
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(drop).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(drop).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, ..self }
    }

    fn contains(self, address: IpAddr) -> bool {
        let other = Self { address, ..self };
        address.is_ipv4() == self.address.is_ipv4() && other.masked() == self.masked()
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if let Some((address, _)) = text.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(format!(
            "IP address {} with zone value is not allowed",
            quoted(text)
        ));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        let quoted = quoted(text);
        format!("IP Address {quoted} parse error during conversion from string: ParseAddr({quoted}): {}", address_fault(text))
    })?;
    if let IpAddr::V6(six) = address
        && six.to_ipv4_mapped().is_some()
    {
        return Err(format!(
            "IPv4-mapped IPv6 address {} is not allowed",
            quoted(text)
        ));
    }
    Ok(address)
}

/// An address as Go's net/netip reads it, with or without a zone.
///
/// # Errors
/// As `netip.ParseAddr` words them.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    if let Some((address, zone)) = text.split_once('%')
        && !zone.is_empty()
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Ok(address.into());
    }
    text.parse()
        .map_err(|_| format!("ParseAddr({}): {}", quoted(text), address_fault(text)))
}

/// What is wrong with an address, in the words of Go's net/netip.
fn address_fault(text: &str) -> String {
    match text
        .find(['.', ':', '%'])
        .and_then(|place| text.get(place..))
    {
        Some(rest) if rest.starts_with('.') => four_fault(text),
        Some(rest) if rest.starts_with('%') => "missing IPv6 address".to_owned(),
        Some(_) => six_fault(text),
        None => "unable to parse IP".to_owned(),
    }
}

fn six_fault(text: &str) -> String {
    let at = |message: &str, rest: &str| format!("{message} (at {})", quoted(rest));
    let (mut rest, zone) = text.split_once('%').unwrap_or((text, "zone"));
    if zone.is_empty() {
        return "zone must be a non-empty string".to_owned();
    }
    let mut ellipsis = false;
    if let Some(after) = rest.strip_prefix("::") {
        ellipsis = true;
        rest = after;
    }
    let mut groups = 0_u32;
    while groups < 8 {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let after = rest.get(digits..).unwrap_or("");
        match digits {
            0 => {
                return at(
                    "each colon-separated field must have at least one digit",
                    rest,
                );
            }
            1..=4 => {}
            _ => return at("each group must have 4 or less digits", rest),
        }
        if after.starts_with('.') {
            if !ellipsis && groups != 6 {
                return at(
                    "embedded IPv4 address must replace the final 2 fields of the address",
                    rest,
                );
            }
            if groups > 6 {
                return at(
                    "too many hex fields to fit an embedded IPv4 at the end of the address",
                    rest,
                );
            }
            return four_fault(rest);
        }
        groups = groups.saturating_add(1);
        rest = after;
        if rest.is_empty() {
            break;
        }
        let Some(after) = rest.strip_prefix(':') else {
            return at("unexpected character, want colon", rest);
        };
        if after.is_empty() {
            return at("colon must be followed by more characters", rest);
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(':') {
            if ellipsis {
                return at("multiple :: in address", rest);
            }
            ellipsis = true;
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    match (rest.is_empty(), groups < 8) {
        (false, _) => at("trailing garbage after address", rest),
        (true, true) => "address string too short".to_owned(),
        (true, false) => "the :: must expand to at least one field of zeros".to_owned(),
    }
}

fn four_fault(text: &str) -> String {
    let (mut value, mut digits, mut fields) = (0_u32, 0_u32, 0_u32);
    for (place, byte) in text.bytes().enumerate() {
        let rest = text.get(place..).unwrap_or("");
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return "IPv4 field has octet with leading zero".to_owned();
                }
                value = value
                    .saturating_mul(10)
                    .saturating_add(u32::from(byte.wrapping_sub(b'0')));
                digits = digits.saturating_add(1);
                if value > 255 {
                    return "IPv4 field has value >255".to_owned();
                }
            }
            b'.' => {
                if digits == 0 || rest.len() == 1 {
                    return format!(
                        "IPv4 field must have at least one digit (at {})",
                        quoted(rest)
                    );
                }
                if fields == 3 {
                    return "IPv4 address too long".to_owned();
                }
                fields = fields.saturating_add(1);
                (value, digits) = (0, 0);
            }
            _ => return format!("unexpected character (at {})", quoted(rest)),
        }
    }
    "IPv4 address too short".to_owned()
}

fn parse_cidr(text: &str) -> Result<Prefix, String> {
    let error = |why: &str| {
        format!(
            "network address parse error during conversion from string: netip.ParsePrefix({}): {why}",
            quoted(text)
        )
    };
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| error("no '/'"))?;
    let zone = address.contains('%');
    let address = self::address(address).map_err(|why| error(&why))?;
    if zone {
        return Err(error("IPv6 zones cannot be present in a prefix"));
    }
    let bad = || error(&format!("bad bits after slash: {}", quoted(bits)));
    let plain = bits.bytes().all(|b| b.is_ascii_digit()) && !bits.is_empty();
    if !plain || (bits.len() > 1 && bits.starts_with('0')) {
        return Err(bad());
    }
    let width = if address.is_ipv4() { 32 } else { 128 };
    let number: u32 = bits.parse().map_err(|_| bad())?;
    let bits = u8::try_from(number).ok().filter(|bits| *bits <= width);
    let bits = bits.ok_or_else(|| error("prefix length out of range"))?;
    if let IpAddr::V6(six) = address
        && six.to_ipv4_mapped().is_some()
    {
        return Err(format!(
            "IPv4-mapped IPv6 address {} is not allowed",
            quoted(text)
        ));
    }
    Ok(Prefix { address, bits })
}

fn ip(arguments: &[Value<'_>]) -> Option<IpAddr> {
    match arguments {
        [Value::Opaque(value)] => match **value {
            Opaque::Ip(address) => Some(address),
            _ => None,
        },
        _ => None,
    }
}

fn cidr(value: &Value<'_>) -> Option<Prefix> {
    match value {
        Value::Opaque(value) => match **value {
            Opaque::Cidr(prefix) => Some(prefix),
            _ => None,
        },
        _ => None,
    }
}

fn to_ip<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => match parse_ip(text) {
            Ok(address) => Ok(Value::opaque(Opaque::Ip(address))),
            Err(error) => fail(error),
        },
        [value] => match cidr(value) {
            Some(prefix) => Ok(Value::opaque(Opaque::Ip(prefix.address))),
            None => no_overload(),
        },
        _ => no_overload(),
    }
}

fn is_ip<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::Bool(parse_ip(text).is_ok())),
        _ => no_overload(),
    }
}

fn is_canonical<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => match parse_ip(text) {
            Ok(address) => Ok(Value::Bool(address.to_string() == **text)),
            Err(error) => fail(error),
        },
        _ => no_overload(),
    }
}

fn family<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    ip(arguments).map_or_else(no_overload, |address| {
        Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 }))
    })
}

fn has<'a>(arguments: &[Value<'a>], test: fn(&IpAddr) -> bool) -> Outcome<'a> {
    ip(arguments).map_or_else(no_overload, |address| Ok(Value::Bool(test(&address))))
}

fn is_link_local_multicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => matches!(address.octets(), [0xff, second, ..] if second & 0x0f == 2),
    }
}

fn is_link_local_unicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_global_unicast(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified()
        && !broadcast
        && !address.is_loopback()
        && !address.is_multicast()
        && !is_link_local_unicast(address)
}

fn text<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::Opaque(value)] => match &**value {
            Opaque::Ip(_) | Opaque::Cidr(_) => Ok(Value::from(value.to_string())),
            _ => no_overload(),
        },
        _ => no_overload(),
    }
}

fn to_cidr<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => match parse_cidr(text) {
            Ok(prefix) => Ok(Value::opaque(Opaque::Cidr(prefix))),
            Err(error) => fail(format!(
                "network address parse error during conversion from string: {error}"
            )),
        },
        _ => no_overload(),
    }
}

fn is_cidr<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments {
        [Value::String(text)] => Ok(Value::Bool(parse_cidr(text).is_ok())),
        _ => no_overload(),
    }
}

fn contains_ip<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [range, other] = arguments else {
        return no_overload();
    };
    let address = match other {
        Value::String(text) => parse_ip(text).ok(),
        other => ip(std::slice::from_ref(other)),
    };
    match (cidr(range), address) {
        (Some(range), Some(address)) => Ok(Value::Bool(range.contains(address))),
        (Some(_), None) if matches!(other, Value::String(_)) => fail("no such overload"),
        _ => no_overload(),
    }
}

fn contains_cidr<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    let [range, other] = arguments else {
        return no_overload();
    };
    let other = match other {
        Value::String(_) => to_cidr(std::slice::from_ref(other))?,
        other => other.clone(),
    };
    match (cidr(range), cidr(&other)) {
        (Some(range), Some(other)) => Ok(Value::Bool(
            range.bits <= other.bits && range.contains(other.address),
        )),
        _ => no_overload(),
    }
}

fn prefix_length<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments.first().and_then(cidr) {
        Some(prefix) => Ok(Value::Int(prefix.bits.into())),
        None => no_overload(),
    }
}

fn masked<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match arguments.first().and_then(cidr) {
        Some(prefix) => Ok(Value::opaque(Opaque::Cidr(prefix.masked()))),
        None => no_overload(),
    }
}

//! What a call costs, by the sizes of its arguments and of its result.
//!
//! Here: which count each function has, estimated or counted, and the count at run time
//! (k8s.io/apiserver v0.37.2, pkg/cel/library/cost.go, `CallCost`; cel-go v0.29.2,
//! interpreter/runtimecost.go, `costCall`, ext/lists.go, ext/sets.go). Not here: the range that an
//! estimate has for each count (`cost::call`), what names, fields and literals cost (`eval`).
//! Invariant: a count never wraps around.

use crate::eval::EvalError;
use crate::plan::go_name;
use crate::value::Value;

/// How a call is counted; chosen when an expression is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Always the same.
    Fixed(u64),
    /// A tenth of the smaller of both.
    Smaller,
    /// The same, but one for values that only their own functions know.
    Equals,
    /// A tenth of both together.
    Joined,
    /// A tenth of one argument, so many times.
    Scan { argument: usize, times: u64 },
    /// The same, where an optional has size one.
    PlainScan { argument: usize, times: u64 },
    /// A fifth of the result.
    Result,
    /// The size of the second argument.
    Size,
    /// A tenth of the first times a quarter of the pattern.
    Regex,
    /// The same, where an optional has size one.
    PlainRegex,
    /// A tenth of each, multiplied.
    Contains,
    /// A walk through the first argument. An estimate takes what is no list for text, but for
    /// `includes`.
    Traversal { includes: bool },
    /// Both sizes multiplied, so many times, and one.
    Sets(u64),
    /// One, ten, and the size of the result.
    MadeList,
    /// One, ten, and the size of the first times the depth.
    Flatten,
    /// One, ten, and twice the square of the size of an argument; more for text. What an estimate
    /// takes for text is what the overload is for.
    SelfCompare { argument: usize, text: bool },
    /// A prefix and an address.
    ContainsIp { parsed: bool },
    /// Two prefixes.
    ContainsCidr { parsed: bool },
    /// A format's longest pattern and the text.
    Validate,
    /// A selector of labels or fields: a list, and a requirement for each two characters.
    Selector,
}

/// `ceil(size * tenths / 10)`, without rounding in between.
fn tenths(size: u64, tenths: u64) -> u64 {
    size.saturating_mul(tenths).div_ceil(10)
}

/// A quarter of a pattern's length, which stands for its number of expressions.
fn quarter(size: u64) -> u64 {
    size.div_ceil(4)
}

impl Cost {
    /// How a call of a function is counted; without an overload it is known only by its name.
    pub(crate) fn of(function: &str, overload: Option<&str>) -> Self {
        // The API server's own functions look into no optional, the language's do.
        let scan = |argument, times| Self::PlainScan { argument, times };
        match function {
            "_==_" => return Self::Equals,
            "_!=_" => return Self::Smaller,
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes" => {
                let includes = function == "includes";
                return Self::Traversal { includes };
            }
            "url"
            | "lowerAscii"
            | "upperAscii"
            | "substring"
            | "trim"
            | "jsonpatch.escapeKey"
            | "cidr"
            | "isIP"
            | "isCIDR"
            | "quantity"
            | "isQuantity"
            | "semver"
            | "isSemver" => return scan(0, 1),
            "replace" | "split" | "ip.isCanonical" => return scan(0, 2),
            "join" => return Self::Result,
            "find" | "findAll" => return Self::PlainRegex,
            "ip" if overload != Some("cidr_ip") => return scan(0, 1),
            "containsIP" => {
                let parsed = overload == Some("cidr_contains_ip_string");
                return Self::ContainsIp { parsed };
            }
            "containsCIDR" => {
                let parsed = overload == Some("cidr_contains_cidr_string");
                return Self::ContainsCidr { parsed };
            }
            "validate" => return Self::Validate,
            // An expression has no more than two of them within its limit.
            "check" => return Self::Fixed(350_000),
            "fieldSelector" | "labelSelector" => return Self::Selector,
            _ => {}
        }
        let Some(overload) = overload else {
            return Self::Fixed(1);
        };
        let scan = |argument, times| Self::Scan { argument, times };
        match overload {
            "starts_with_string" | "ends_with_string" => scan(1, 1),
            "string_to_bytes" | "bytes_to_string" | "strings_quote" | "string_format" => scan(0, 1),
            "in_list" => Self::Size,
            "less_string"
            | "less_equals_string"
            | "greater_string"
            | "greater_equals_string"
            | "less_bytes"
            | "less_equals_bytes"
            | "greater_bytes"
            | "greater_equals_bytes" => Self::Smaller,
            "add_string" | "add_bytes" => Self::Joined,
            "matches" | "matches_string" => Self::Regex,
            "contains_string" => Self::Contains,
            "list_sets_contains_list" | "list_sets_intersects_list" => Self::Sets(1),
            "list_sets_equivalent_list" => Self::Sets(2),
            "list_slice" | "lists_range" | "list_reverse" => Self::MadeList,
            "list_flatten" | "list_flatten_int" => Self::Flatten,
            "list_distinct" => Self::SelfCompare {
                argument: 0,
                text: false,
            },
            _ => Self::sort(overload).unwrap_or(Self::Fixed(1)),
        }
    }

    fn sort(overload: &str) -> Option<Self> {
        let (list, argument) = match overload.strip_suffix("_sortByAssociatedKeys") {
            Some(list) => (list, 1),
            None => (overload.strip_suffix("_sort")?, 0),
        };
        let element = list.strip_prefix("list_")?;
        let text = matches!(element, "string" | "bytes");
        Some(Self::SelfCompare { argument, text })
    }

    /// Whether the result is looked at, so that a call is paid for only after it was made.
    pub(crate) const fn needs_result(self) -> bool {
        matches!(self, Self::Result | Self::MadeList)
    }

    /// What a call costs. Absent arguments are errors, which have size one.
    pub(crate) fn count(self, arguments: &[Option<&Value<'_>>], result: Option<&Value<'_>>) -> u64 {
        let size = |index: usize| match arguments.get(index) {
            Some(Some(value)) => value.size(),
            _ => 1,
        };
        // What the extensions of cel-go count, who look into no optional.
        let plain = |index: usize| match arguments.get(index) {
            Some(Some(Value::Optional(_))) => 1,
            _ => size(index),
        };
        let made = |size: u64| size.saturating_add(11);
        match self {
            Self::Fixed(cost) => cost,
            Self::Equals if matches!(arguments.first(), Some(Some(Value::Opaque(_)))) => 1,
            Self::Smaller | Self::Equals => match (arguments.first(), arguments.get(1)) {
                (Some(Some(a)), Some(Some(b))) => tenths(smaller(a, b), 1),
                _ => tenths(size(0).min(size(1)), 1),
            },
            Self::Joined => tenths(size(0).saturating_add(size(1)), 1),
            Self::Scan { argument, times } => tenths(size(argument), times),
            Self::PlainScan { argument, times } => tenths(plain(argument), times),
            Self::Result => tenths(result.map_or(1, Value::size), 2),
            Self::Size => size(1),
            Self::Regex => tenths(size(0).saturating_add(1), 1).saturating_mul(quarter(size(1))),
            Self::PlainRegex => {
                tenths(plain(0).saturating_add(1), 1).saturating_mul(quarter(plain(1)))
            }
            Self::Contains => tenths(size(0), 1).saturating_mul(tenths(size(1), 1)),
            Self::Traversal { .. } => match arguments.first() {
                Some(Some(value)) => traversal(value),
                _ => 1,
            },
            Self::Sets(times) => plain(0)
                .saturating_mul(plain(1))
                .saturating_mul(times)
                .saturating_add(1),
            Self::MadeList => made(result.map_or(1, Value::size)),
            Self::Flatten => match arguments.get(1) {
                Some(Some(Value::Int(depth))) => {
                    let depth = u64::try_from(*depth).unwrap_or(1);
                    made(plain(0).saturating_mul(depth))
                }
                _ => made(plain(0)),
            },
            Self::SelfCompare { argument, .. } => {
                self_compare(arguments.get(argument).copied().flatten())
            }
            Self::ContainsIp { parsed } => {
                let base = tenths(size(0).saturating_mul(2), 1);
                base.saturating_add(if parsed { tenths(plain(1), 1) } else { 0 })
            }
            Self::ContainsCidr { parsed } => {
                let base = tenths(size(0).saturating_mul(2), 1);
                let masked = tenths(size(0), 1).saturating_add(1);
                let parsed = if parsed { tenths(plain(1), 1) } else { 0 };
                base.saturating_add(masked).saturating_add(parsed)
            }
            Self::Validate => match arguments.first() {
                Some(Some(Value::Opaque(opaque))) => match &**opaque {
                    super::Opaque::Format(format) => tenths(plain(1).saturating_add(1), 1)
                        .saturating_mul(quarter(format.pattern_size)),
                    _ => 1,
                },
                _ => 1,
            },
            Self::Selector => {
                let size = size(1);
                let requirements = size.div_ceil(2).saturating_mul(50);
                tenths(size, 1)
                    .saturating_add(requirements)
                    .saturating_add(10)
            }
        }
    }
}

impl Cost {
    /// What the API server says where its count ends the evaluation, because an operand is no
    /// list.
    pub(crate) fn panics(self, operands: &[Result<Value<'_>, EvalError>]) -> Option<String> {
        let list = |index: usize| match operands.get(index)? {
            Ok(Value::List(_)) => None,
            Ok(other) => Some(format!(
                "{} is not traits.Lister: missing method {}",
                go_name(other),
                // The first in the alphabet of those that a list has and the value has not.
                if adds(other) { "Contains" } else { "Add" }
            )),
            Err(_) => Some("*types.Err is not traits.Lister: missing method Add".to_owned()),
        };
        let words = match self {
            Self::SelfCompare { argument, .. } => list(argument)?,
            Self::Flatten => match operands.get(1)? {
                Ok(Value::Int(_)) => return None,
                Ok(other) => format!("ref.Val is {}, not types.Int", go_name(other)),
                Err(_) => "ref.Val is *types.Err, not types.Int".to_owned(),
            },
            _ => return None,
        };
        Some(format!("internal error: interface conversion: {words}"))
    }
}

/// Whether `+` is for values like this.
fn adds(value: &Value<'_>) -> bool {
    matches!(
        value,
        Value::Bytes(_)
            | Value::Double(_)
            | Value::Duration(_)
            | Value::Int(_)
            | Value::String(_)
            | Value::Timestamp(_)
            | Value::Uint(_)
    )
}

/// The smaller of two sizes. The characters of a text are not counted where its bytes tell that
/// there are more of them.
fn smaller(a: &Value<'_>, b: &Value<'_>) -> u64 {
    let (Value::String(x), Value::String(y)) = (a, b) else {
        return a.size().min(b.size());
    };
    let (short, long) = if x.len() <= y.len() { (a, y) } else { (b, x) };
    let least = short.size();
    let bytes = u64::try_from(long.len()).unwrap_or(u64::MAX);
    if bytes.wrapping_div(4) >= least {
        return least;
    }
    least.min(u64::try_from(long.characters()).unwrap_or(u64::MAX))
}

fn self_compare(list: Option<&Value<'_>>) -> u64 {
    let Some(Value::List(list)) = list else {
        return 11;
    };
    let size = u64::try_from(list.len()).unwrap_or(u64::MAX);
    let square = size.saturating_mul(size);
    let text = matches!(list.get(0), Some(Value::String(_) | Value::Bytes(_)));
    // Twice, and a tenth more for text; cut, not rounded.
    let compared = if text {
        square.saturating_mul(21).wrapping_div(10)
    } else {
        square.saturating_mul(2)
    };
    compared.saturating_add(11)
}

/// What a walk through a value costs: one for each scalar, a tenth for text, cut.
fn traversal(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => u64::try_from(text.len())
            .unwrap_or(u64::MAX)
            .wrapping_div(10),
        Value::Bytes(bytes) => u64::try_from(bytes.len())
            .unwrap_or(u64::MAX)
            .wrapping_div(10),
        Value::List(list) => list
            .iter()
            .fold(0, |sum, element| sum.saturating_add(traversal(&element))),
        Value::Map(map) => map.entries().fold(0, |sum, (key, value)| {
            sum.saturating_add(traversal(&key))
                .saturating_add(traversal(&value))
        }),
        _ => 1,
    }
}

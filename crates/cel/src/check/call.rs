//! Which functions there are, for which types, and what they give.
//!
//! Here: one table of overloads. Not here: what they do (`eval::function`).
//! Invariant: a call that compiles has a row; with `dyn` the row is chosen at run time.

use super::{Checker, Node, Typed};
use crate::ast::{Expr, Kind};
use crate::diagnostic::near;
use crate::eval::Function;
use crate::types::Type;
use crate::value::Value;

/// The names that stand for types, as values.
pub(super) fn type_value(name: &str) -> Option<&'static str> {
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
    ]
    .into_iter()
    .find(|known| *known == name)
}

/// The type of an argument, as a row of the table asks for it.
#[derive(Clone, Copy)]
enum Want {
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    /// A list of anything.
    List,
    /// A list of strings.
    Strings,
    Map,
    Optional,
    Any,
}

/// What a row gives.
#[derive(Clone, Copy)]
enum Give {
    Fixed(Want),
    /// The type of the first argument.
    Same,
    /// The element of the first argument, a list or an optional.
    Element,
    /// An optional of the first argument's type.
    Optional,
    Type,
}

use Want::{
    Any, Bool, Bytes, Double, Duration, Int, List, Map, Optional, String as Str, Strings,
    Timestamp, Uint,
};

/// Name, whether it is a method, arguments (the target first), result, what it does.
type Row = (&'static str, bool, &'static [Want], Give, Function);

const fn gives(want: Want) -> Give {
    Give::Fixed(want)
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("!_", false, &[Bool], gives(Bool), Function::Not),
    ("-_", false, &[Int], gives(Int), Function::Negate),
    ("-_", false, &[Double], gives(Double), Function::Negate),
    ("_+_", false, &[Int, Int], gives(Int), Function::Add),
    ("_+_", false, &[Uint, Uint], gives(Uint), Function::Add),
    ("_+_", false, &[Double, Double], gives(Double), Function::Add),
    ("_+_", false, &[Str, Str], gives(Str), Function::Add),
    ("_+_", false, &[Bytes, Bytes], gives(Bytes), Function::Add),
    ("_+_", false, &[List, List], Give::Same, Function::Add),
    ("_+_", false, &[Timestamp, Duration], gives(Timestamp), Function::Add),
    ("_+_", false, &[Duration, Timestamp], gives(Timestamp), Function::Add),
    ("_+_", false, &[Duration, Duration], gives(Duration), Function::Add),
    ("_-_", false, &[Int, Int], gives(Int), Function::Subtract),
    ("_-_", false, &[Uint, Uint], gives(Uint), Function::Subtract),
    ("_-_", false, &[Double, Double], gives(Double), Function::Subtract),
    ("_-_", false, &[Timestamp, Timestamp], gives(Duration), Function::Subtract),
    ("_-_", false, &[Timestamp, Duration], gives(Timestamp), Function::Subtract),
    ("_-_", false, &[Duration, Duration], gives(Duration), Function::Subtract),
    ("_*_", false, &[Int, Int], gives(Int), Function::Multiply),
    ("_*_", false, &[Uint, Uint], gives(Uint), Function::Multiply),
    ("_*_", false, &[Double, Double], gives(Double), Function::Multiply),
    ("_/_", false, &[Int, Int], gives(Int), Function::Divide),
    ("_/_", false, &[Uint, Uint], gives(Uint), Function::Divide),
    ("_/_", false, &[Double, Double], gives(Double), Function::Divide),
    ("_%_", false, &[Int, Int], gives(Int), Function::Modulo),
    ("_%_", false, &[Uint, Uint], gives(Uint), Function::Modulo),
    ("@in", false, &[Any, List], gives(Bool), Function::In),
    ("@in", false, &[Any, Map], gives(Bool), Function::In),
    ("size", false, &[Str], gives(Int), Function::Size),
    ("size", false, &[Bytes], gives(Int), Function::Size),
    ("size", false, &[List], gives(Int), Function::Size),
    ("size", false, &[Map], gives(Int), Function::Size),
    ("size", true, &[Str], gives(Int), Function::Size),
    ("size", true, &[Bytes], gives(Int), Function::Size),
    ("size", true, &[List], gives(Int), Function::Size),
    ("size", true, &[Map], gives(Int), Function::Size),
    ("contains", true, &[Str, Str], gives(Bool), Function::Contains),
    ("startsWith", true, &[Str, Str], gives(Bool), Function::StartsWith),
    ("endsWith", true, &[Str, Str], gives(Bool), Function::EndsWith),
    ("matches", true, &[Str, Str], gives(Bool), Function::Matches),
    ("matches", false, &[Str, Str], gives(Bool), Function::Matches),
    ("lowerAscii", true, &[Str], gives(Str), Function::LowerAscii),
    ("upperAscii", true, &[Str], gives(Str), Function::UpperAscii),
    ("trim", true, &[Str], gives(Str), Function::Trim),
    ("replace", true, &[Str, Str, Str], gives(Str), Function::Replace),
    ("split", true, &[Str, Str], gives(Strings), Function::Split),
    ("join", true, &[Strings], gives(Str), Function::Join),
    ("join", true, &[Strings, Str], gives(Str), Function::Join),
    ("substring", true, &[Str, Int], gives(Str), Function::Substring),
    ("substring", true, &[Str, Int, Int], gives(Str), Function::Substring),
    ("indexOf", true, &[Str, Str], gives(Int), Function::IndexOf),
    ("lastIndexOf", true, &[Str, Str], gives(Int), Function::LastIndexOf),
    ("bool", false, &[Any], gives(Bool), Function::ToBool),
    ("int", false, &[Any], gives(Int), Function::ToInt),
    ("uint", false, &[Any], gives(Uint), Function::ToUint),
    ("double", false, &[Any], gives(Double), Function::ToDouble),
    ("string", false, &[Any], gives(Str), Function::ToString),
    ("dyn", false, &[Any], gives(Any), Function::Dyn),
    ("type", false, &[Any], Give::Type, Function::TypeOf),
    ("duration", false, &[Str], gives(Duration), Function::ToDuration),
    ("duration", false, &[Duration], gives(Duration), Function::ToDuration),
    ("timestamp", false, &[Str], gives(Timestamp), Function::ToTimestamp),
    ("timestamp", false, &[Timestamp], gives(Timestamp), Function::ToTimestamp),
    ("orValue", true, &[Optional, Any], Give::Element, Function::OrValue),
    ("hasValue", true, &[Optional], gives(Bool), Function::HasValue),
    ("value", true, &[Optional], Give::Element, Function::OptionalValue),
    ("optional.of", false, &[Any], Give::Optional, Function::OptionalOf),
    ("optional.none", false, &[], gives(Optional), Function::OptionalNone),
];

impl Want {
    fn ty(self) -> Type {
        match self {
            Bool => Type::Bool,
            Int => Type::Int,
            Uint => Type::Uint,
            Double => Type::Double,
            Str => Type::String,
            Bytes => Type::Bytes,
            Duration => Type::Duration,
            Timestamp => Type::Timestamp,
            List => Type::list(Type::Dyn),
            Strings => Type::list(Type::String),
            Map => Type::Map(Box::new(Type::Dyn), Box::new(Type::Dyn)),
            Optional => Type::optional(Type::Dyn),
            Any => Type::Dyn,
        }
    }
}

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        at: usize,
        function: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Typed {
        // `optional.of(x)` is a function with a dot in its name.
        if let Some(Kind::Ident(name)) = target.map(|target| &target.kind)
            && name == "optional"
            && ["of", "none"].contains(&function)
        {
            return self.overload(at, &format!("optional.{function}"), None, arguments);
        }
        self.overload(at, function, target, arguments)
    }

    fn overload(
        &mut self,
        at: usize,
        function: &str,
        target: Option<&Expr>,
        arguments: &[Expr],
    ) -> Typed {
        let method = target.is_some();
        let (nodes, types): (Vec<_>, Vec<_>) = target
            .into_iter()
            .chain(arguments)
            .map(|argument| self.node(argument))
            .unzip();
        if let [a, b] = types.as_slice()
            && let Some(function) = comparison(function, a, b)
        {
            return (
                Node::Call {
                    function,
                    arguments: nodes,
                },
                Type::Bool,
            );
        }
        let named: Vec<_> = TABLE
            .iter()
            .filter(|row| row.0 == function && row.1 == method)
            .collect();
        let mut matching = named.iter().filter(|row| {
            row.2.len() == types.len()
                && types
                    .iter()
                    .zip(row.2)
                    .all(|(have, want)| have.fits(&want.ty()))
        });
        let Some(first) = matching.next() else {
            return self.no_overload(at, function, method, &types, named.is_empty());
        };
        // With `dyn` several rows may fit, and then so may their results.
        let result = matching.fold(result_type(first.3, &types), |result, row| {
            result.join(&result_type(row.3, &types))
        });
        (
            Node::Call {
                function: first.4,
                arguments: self.constant_pattern(at, first.4, nodes),
            },
            result,
        )
    }

    /// A pattern that stands in the expression is checked now.
    fn constant_pattern(&mut self, at: usize, function: Function, nodes: Vec<Node>) -> Vec<Node> {
        if let (Function::Matches, Some(Node::Constant(Value::String(pattern)))) =
            (function, nodes.get(1))
            && let Err(error) = crate::eval::pattern(pattern)
        {
            self.fault(at, format!("invalid matches argument: {error}"), None);
        }
        nodes
    }

    fn no_overload(
        &mut self,
        at: usize,
        function: &str,
        method: bool,
        types: &[Type],
        unknown: bool,
    ) -> Typed {
        let comparable = ["_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"].contains(&function);
        if unknown && !comparable {
            let help = near(function, TABLE.iter().map(|row| row.0));
            return self.fault(
                at,
                format!("undeclared reference to '{function}' (in container '')"),
                help,
            );
        }
        let mut words = types.iter().map(ToString::to_string);
        let applied = if method {
            let target = words.next().unwrap_or_default();
            format!("{target}.({})", words.collect::<Vec<_>>().join(", "))
        } else {
            format!("({})", words.collect::<Vec<_>>().join(", "))
        };
        self.fault(
            at,
            format!("found no matching overload for '{function}' applied to '{applied}'"),
            None,
        )
    }
}

fn result_type(give: Give, types: &[Type]) -> Type {
    match (give, types.first()) {
        (Give::Fixed(want), _) => want.ty(),
        (Give::Type, _) => Type::Type,
        (Give::Same, Some(first)) => first.clone(),
        (Give::Optional, Some(first)) => Type::optional(first.clone()),
        (Give::Element, Some(Type::Optional(element) | Type::List(element))) => (**element).clone(),
        (Give::Same | Give::Element | Give::Optional, _) => Type::Dyn,
    }
}

/// Comparisons: equality of what fits, order of what has one, kinds of numbers with each other.
fn comparison(function: &str, a: &Type, b: &Type) -> Option<Function> {
    let number = |ty: &Type| matches!(ty, Type::Int | Type::Uint | Type::Double | Type::Dyn);
    let ordered = |ty: &Type| {
        number(ty)
            || matches!(
                ty,
                Type::Bool | Type::String | Type::Bytes | Type::Duration | Type::Timestamp
            )
    };
    let order = a.fits(b) && ordered(a) && ordered(b) || number(a) && number(b);
    match function {
        "_==_" if a.fits(b) || number(a) && number(b) => Some(Function::Equal),
        "_!=_" if a.fits(b) || number(a) && number(b) => Some(Function::NotEqual),
        "_<_" if order => Some(Function::Less),
        "_<=_" if order => Some(Function::LessOrEqual),
        "_>_" if order => Some(Function::Greater),
        "_>=_" if order => Some(Function::GreaterOrEqual),
        _ => None,
    }
}

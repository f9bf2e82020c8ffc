//! Makes expressions: well-typed ones, and some with a part of another type.
//!
//! Here: templates for each type, and the choice among them by a seed. Not here: what is expected.
//! Invariant: no result depends on the order of a map with several entries, which has none.

/// Templates by the type that they give. In braces is the type of a part: a letter, and after
/// `+` the type of the variable `$` that the part may use.
const TEMPLATES: &[(char, &[&str])] = &[
    (
        'i',
        &[
            "1",
            "0",
            "-1",
            "7",
            "9223372036854775807",
            "{i} + {i}",
            "{i} - {i}",
            "{i} * {i}",
            "{i} / {i}",
            "{i} % {i}",
            "-({i})",
            "size({s})",
            "{s}.size()",
            "{L}.size()",
            "size({S})",
            "{L}[0]",
            "{L}[{i}]",
            "{s}.indexOf({s})",
            "{s}.lastIndexOf({s})",
            "{L}.sum()",
            "{L}.max()",
            "{L}.min()",
            "int({d})",
            "int({s})",
            "int({u})",
            "object.spec.replicas",
            "object.spec.containers.size()",
            "({b} ? {i} : {i})",
            "{O}.orValue({i})",
            "{O}.value()",
            "{M}['a']",
            "{M}.a",
            "{M}.size()",
            "{D}.getHours()",
            "{D}.getSeconds()",
            "{T}.getFullYear()",
            "{T}.getMonth()",
            "{T}.getHours('Europe/Berlin')",
            "{T}.getDayOfWeek()",
            "{q}.sign()",
            "{q}.compareTo({q})",
            "{q}.asInteger()",
            "{a}.family()",
            "{c}.prefixLength()",
            "{v}.major()",
            "{v}.compareTo({v})",
            "{L}.indexOf({i})",
            "object.spec.containers[{i}].ports[0].containerPort",
            "{L}.filter($, {b+i}).size()",
            "{L}.map($, {i+i})[0]",
            "dyn({i})",
            "int({T})",
            "int({D})",
            "{L}.first().value()",
            "{L}.last().orValue({i})",
            "{i} + {o}",
        ],
    ),
    (
        'u',
        &[
            "1u",
            "0u",
            "{u} + {u}",
            "{u} - {u}",
            "{u} * {u}",
            "{u} / {u}",
            "uint({i})",
            "uint({s})",
            "uint({d})",
        ],
    ),
    (
        'd',
        &[
            "1.5",
            "0.0",
            "-2.25",
            "1e10",
            "{d} + {d}",
            "{d} * {d}",
            "{d} / {d}",
            "double({i})",
            "double({s})",
            "object.spec.ratio",
            "{q}.asApproximateFloat()",
            "-({d})",
        ],
    ),
    (
        's',
        &[
            "'a'",
            "''",
            "'web'",
            "'Hello, World'",
            "'a,b,c'",
            "'12'",
            "'é☺'",
            "object.metadata.name",
            "object.spec.containers[0].image",
            "{s} + {s}",
            "string({i})",
            "string({d})",
            "string({b})",
            "string({u})",
            "string({D})",
            "string({T})",
            "{s}.lowerAscii()",
            "{s}.upperAscii()",
            "{s}.trim()",
            "{s}.replace({s}, {s})",
            "{s}.replace({s}, {s}, {i})",
            "{s}.substring({i})",
            "{s}.substring({i}, {i})",
            "{s}.charAt({i})",
            "{S}.join()",
            "{S}.join({s})",
            "{S}[0]",
            "{S}[{i}]",
            "({b} ? {s} : {s})",
            "{s}.split({s})[0]",
            "{s}.find('[a-z]+')",
            "{s}.find({s})",
            "object.metadata.labels['app']",
            "object.metadata.labels[{s}]",
            "object.metadata.labels[?{s}].orValue({s})",
            "object.?spec.?foo.orValue({s})",
            "{S}.max()",
            "{S}.filter($, {b+s})[0]",
            "{S}.map($, {s+s}).join('-')",
            "strings.quote({s})",
            "'%s-%d'.format([{s}, {i}])",
            "'%s'.format([{L}])",
            "'%s %s'.format([{o}, {d}])",
            "string({a})",
            "string({c})",
            "string(type({o}))",
            "'%x'.format([{i}])",
            "'%.2f'.format([{d}])",
            "dyn({s})",
            "string({y})",
            "url('https://example.com:80/a?b=c').getHost()",
            "url({s}).getScheme()",
            "{s}.reverse()",
        ],
    ),
    ('y', &["b'abc'", "b''", "bytes({s})", "{y} + {y}"]),
    (
        'b',
        &[
            "true",
            "false",
            "{i} == {i}",
            "{i} != {i}",
            "{i} < {i}",
            "{i} >= {d}",
            "{u} <= {i}",
            "{s} == {s}",
            "{s} < {s}",
            "{L} == {L}",
            "{M} == {M}",
            "{b} && {b}",
            "{b} || {b}",
            "!({b})",
            "{s}.contains({s})",
            "{s}.startsWith({s})",
            "{s}.endsWith({s})",
            "{s}.matches('^[a-z]+$')",
            "{s}.matches({s})",
            "{i} in {L}",
            "{s} in {S}",
            "{s} in {M}",
            "{i} in [1, 2, 3]",
            "{s} in ['a', 'web']",
            "{o} in [1, 'a']",
            "has(object.spec.foo)",
            "has(object.spec.containers)",
            "has({o}.a)",
            "has({o}.a.b)",
            "{L}.all($, {b+i})",
            "{L}.exists($, {b+i})",
            "{L}.exists_one($, {b+i})",
            "{S}.all($, {b+s})",
            "{S}.exists($, {b+s})",
            "object.spec.containers.all($, {b+o})",
            "object.spec.containers.exists($, $.image.startsWith({s}))",
            "object.spec.containers.all($, has($.ports))",
            "{L}.isSorted()",
            "{O}.hasValue()",
            "({b} ? {b} : {b})",
            "{q}.isGreaterThan({q})",
            "{q}.isLessThan({q})",
            "isQuantity({s})",
            "{q} == {q}",
            "{q}.isInteger()",
            "isIP({s})",
            "{a} == {a}",
            "{a}.isLoopback()",
            "{a}.isGlobalUnicast()",
            "{c}.containsIP({a})",
            "{c}.containsIP({s})",
            "{c}.containsCIDR({c})",
            "isCIDR({s})",
            "isSemver({s})",
            "isSemver({s}, {b})",
            "{v}.isLessThan({v})",
            "isURL({s})",
            "sets.contains({L}, {L})",
            "sets.intersects({S}, {S})",
            "sets.equivalent({L}, {L})",
            "{D} < {D}",
            "{T} < {T}",
            "type({o}) == type({o})",
            "{o} == {o}",
            "{o} != {o}",
            "{o} < {o}",
            "dyn({b})",
            "bool({s})",
            "{L}.includes({i})",
            "{o}.includes({o})",
            "{L}.all($, @, {b+i})",
            "{S}.exists($, @, @ == {s})",
            "object == oldObject",
            "{y} == {y}",
            "{y} < {y}",
            "{d} == {i}",
            "format.dns1123Label().validate({s}).hasValue()",
            "{L}.exists($, 1 / $ > {i})",
            "{L}.all($, {i} / $ < 3)",
        ],
    ),
    (
        'L',
        &[
            "[]",
            "[1, 2, 3]",
            "[{i}]",
            "[{i}, {i}]",
            "[0, 1]",
            "{L} + {L}",
            "{L}.map($, {i+i})",
            "{L}.filter($, {b+i})",
            "{L}.map($, {b+i}, {i+i})",
            "lists.range(4)",
            "{L}.slice(0, 1)",
            "{L}.sort()",
            "{L}.reverse()",
            "{L}.distinct()",
            "[[1], {L}].flatten()",
            "({b} ? {L} : {L})",
            "{S}.map($, $.size())",
            "{L}.sortBy($, {i+i})",
            "{L}.transformList($, @, $ + @)",
            "[?{O}, {i}]",
            "[{O}].unwrapOpt()",
            "{M}.map($, {M}[$])",
            "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
        ],
    ),
    (
        'S',
        &[
            "[]",
            "['a', 'b']",
            "[{s}]",
            "[{s}, {s}]",
            "{S} + {S}",
            "{s}.split(',')",
            "{s}.split({s}, {i})",
            "{S}.map($, {s+s})",
            "{S}.filter($, {b+s})",
            "{L}.map($, string($))",
            "object.spec.containers.map($, $.name)",
            "object.spec.containers[0].args",
            "{s}.findAll('[a-z]')",
            "{s}.findAll('.', {i})",
            "{S}.sort()",
            "{S}.distinct()",
            "['ALL']",
        ],
    ),
    (
        'M',
        &[
            "{}",
            "{'a': 1}",
            "{'a': {i}}",
            "{{s}: {i}}",
            "{?'a': {O}}",
            "{L}.filter($, $ == 1).transformMap($, @, @)",
            "({b} ? {M} : {M})",
            "[1].transformMapEntry($, @, {'a': @})",
        ],
    ),
    (
        'O',
        &[
            "optional.of({i})",
            "optional.none()",
            "{M}[?'a']",
            "{M}.?a",
            "{L}[?{i}]",
            "{O}.optMap($, {i+i})",
            "{O}.or({O})",
            "optional.ofNonZeroValue({i})",
            "{O}.optFlatMap($, optional.of($))",
            "{L}.first()",
            "object.spec.?replicas",
        ],
    ),
    (
        'D',
        &[
            "duration('1h')",
            "duration('-90s')",
            "duration('1.5ms')",
            "{D} + {D}",
            "{D} - {D}",
            "{T} - {T}",
            "duration({s})",
        ],
    ),
    (
        'T',
        &[
            "timestamp('2024-02-29T12:34:56Z')",
            "timestamp('1969-07-20T20:17:40.5+02:00')",
            "timestamp({i})",
            "{T} + {D}",
            "{T} - {D}",
            "timestamp({s})",
        ],
    ),
    (
        'q',
        &[
            "quantity('1')",
            "quantity('500m')",
            "quantity('2Gi')",
            "quantity('1e3')",
            "quantity('0.1')",
            "{q}.add({q})",
            "{q}.sub({q})",
            "{q}.add({i})",
            "quantity({s})",
        ],
    ),
    (
        'a',
        &[
            "ip('10.0.0.1')",
            "ip('::1')",
            "ip('2001:db8::1')",
            "ip({s})",
            "{c}.ip()",
        ],
    ),
    (
        'c',
        &[
            "cidr('10.0.0.0/8')",
            "cidr('192.168.1.7/24')",
            "cidr('2001:db8::/32')",
            "{c}.masked()",
            "cidr({s})",
        ],
    ),
    (
        'v',
        &[
            "semver('1.2.3')",
            "semver('1.10.0-rc.1')",
            "semver('v1.2', true)",
            "semver({s})",
        ],
    ),
    (
        'o',
        &[
            "object",
            "object.spec",
            "object.spec.nodeSelector",
            "object.metadata.labels",
            "object.spec.containers[0]",
            "object.spec.containers[1]",
            "object.spec.hostNetwork",
            "oldObject",
            "null",
            "object.spec.foo",
            "object.metadata",
            "dyn({i})",
            "dyn({s})",
            "dyn({L})",
            "dyn({M})",
            "dyn({b})",
            "dyn({d})",
            "dyn({u})",
            "object.spec.containers",
            "object.spec.replicas",
            "dyn({D})",
            "{o}.spec",
            "{o}[0]",
            "{o}['name']",
            "type({s})",
            "dyn({y})",
            "dyn({O})",
        ],
    ),
];

/// Makes expressions from a seed.
pub(crate) struct Generator {
    state: u64,
    names: usize,
}

impl Generator {
    /// The same seed makes the same expressions.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            names: 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let value = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(value).unwrap() % limit
    }

    /// The next expression.
    pub(crate) fn expression(&mut self) -> String {
        self.names = 0;
        let (ty, _) = TEMPLATES[self.below(TEMPLATES.len())];
        let depth = self.below(5) + 1;
        self.of(ty, depth, &mut Vec::new())
    }

    fn of(&mut self, ty: char, depth: usize, scope: &mut Vec<(String, char)>) -> String {
        // One part in forty is of another type than is asked for.
        let ty = if self.below(40) == 0 {
            TEMPLATES[self.below(TEMPLATES.len())].0
        } else {
            ty
        };
        let known: Vec<_> = scope
            .iter()
            .filter(|(_, known)| *known == ty)
            .map(|(name, _)| name.clone())
            .collect();
        if !known.is_empty() && self.below(2) == 0 {
            return known[self.below(known.len())].clone();
        }
        let templates = TEMPLATES.iter().find(|(known, _)| *known == ty).unwrap().1;
        let plain: Vec<_> = templates.iter().filter(|text| !has_part(text)).collect();
        let template = if depth == 0 && !plain.is_empty() {
            plain[self.below(plain.len())]
        } else {
            templates[self.below(templates.len())]
        };
        self.filled(template, depth, scope)
    }

    fn filled(&mut self, template: &str, depth: usize, scope: &mut Vec<(String, char)>) -> String {
        let (one, two) = (format!("x{}", self.names), format!("y{}", self.names));
        self.names += 1;
        let mut made = String::new();
        let mut rest = template;
        while let Some(c) = rest.chars().next() {
            if let Some((ty, variable, length)) = part(rest) {
                if let Some(variable) = variable {
                    scope.push((one.clone(), variable));
                }
                made.push_str(&self.of(ty, depth.saturating_sub(1), scope));
                if variable.is_some() {
                    scope.pop();
                }
                rest = &rest[length..];
            } else {
                match c {
                    '$' if !rest.starts_with("$'") => made.push_str(&one),
                    '@' => made.push_str(&two),
                    other => made.push(other),
                }
                rest = &rest[c.len_utf8()..];
            }
        }
        made
    }
}

/// A part at the start of a text: its type, its variable's type, its length.
fn part(text: &str) -> Option<(char, Option<char>, usize)> {
    let bytes = text.as_bytes();
    let letter = |at: usize| {
        bytes
            .get(at)
            .filter(|b| b.is_ascii_alphabetic())
            .map(|b| char::from(*b))
    };
    match (bytes.first()?, letter(1)?, bytes.get(2)?) {
        (b'{', ty, b'}') => Some((ty, None, 3)),
        (b'{', ty, b'+') if bytes.get(4) == Some(&b'}') => Some((ty, letter(3), 5)),
        _ => None,
    }
}

fn has_part(text: &str) -> bool {
    (0..text.len()).any(|at| text.get(at..).is_some_and(|rest| part(rest).is_some()))
}

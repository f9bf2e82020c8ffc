//! Questions about rights are the same in both engines: what is asked, what is refused before it is
//! asked, what it costs, and what the answer says.
//!
//! Here: a table, and chains that are made. Not here: how rules decide (`bailiff_cli::eval`).
//! Invariant: a question that no rule is for is answered by its own text, so a part that gets lost
//! on the way is seen.

use super::engines::{Release, compare};
use super::generator::Case;
use super::{NEWEST, none_unlike};
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn bindings() -> Arc<Json> {
    Arc::new(json!({
        "object": {"a": 1, "verb": "get"},
        "request": {
            "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "requestSubResource": "scale",
            "resource": {"group": "extensions", "version": "v1", "resource": "others"},
            "namespace": "shop", "name": "web", "operation": "UPDATE",
            "userInfo": {"username": "jane", "groups": ["dev"]},
        },
        "authorizer": {"rules": [
            {"users": ["jane"], "verbs": ["create"], "apiGroups": [""], "resources": ["pods", "pods/exec"],
             "namespaces": ["shop"], "decision": "Allow", "reason": "jane may"},
            {"verbs": ["delete"], "resources": ["*"], "decision": "Deny", "reason": "never"},
            {"nonResourceURLs": ["/healthz"], "decision": "Allow"},
            {"resources": ["secrets"], "resourceNames": ["tls"], "decision": "Failed", "error": "the webhook is away", "reason": "unknown"},
            {"verbs": ["watch"], "decision": "NoOpinion", "reason": "no idea"},
        ]},
    }))
}

fn same(release: Release, texts: impl IntoIterator<Item = String>) {
    let bindings = bindings();
    let cases: Vec<_> = texts
        .into_iter()
        .map(|text| Case::of(&text, Arc::clone(&bindings)))
        .collect();
    let report = compare(release, &cases);
    // Most of them have a value or an error at run time, so the functions are called.
    let run: usize = ["value", "error"]
        .iter()
        .filter_map(|kind| report.kinds.get(kind))
        .sum();
    assert!(run * 2 > cases.len(), "{:?}", report.kinds);
    none_unlike(release, &report);
}

const TABLE: &[&str] = &[
    "authorizer",
    "authorizer.requestResource",
    "authorizer.group('apps')",
    "authorizer.path('/a')",
    "authorizer.path('/a').check('get')",
    "type(authorizer)",
    "type(authorizer) == type(authorizer.serviceAccount('a', 'b'))",
    "type(authorizer.requestResource)",
    "authorizer.requestResource.check('get').reason()",
    "authorizer.requestResource.check('update').allowed()",
    "authorizer.requestResource.subresource('').namespace('').name('').check('list').reason()",
    "authorizer.group('').resource('pods').namespace('shop').check('create').allowed()",
    "authorizer.group('').resource('pods').subresource('exec').namespace('shop').check('create').reason()",
    "authorizer.group('').resource('pods').namespace('other').check('create').reason()",
    "authorizer.group('apps').resource('deployments').check('delete').reason()",
    "authorizer.group('').resource('secrets').name('tls').check('get').errored()",
    "authorizer.group('').resource('secrets').name('tls').check('get').error()",
    "authorizer.group('').resource('secrets').name('tls').check('get').reason()",
    "authorizer.group('').resource('secrets').name('tls').check('get').allowed()",
    "authorizer.group('').resource('secrets').name('x').check('get').error()",
    "authorizer.group('').resource('pods').check('watch').reason()",
    "authorizer.path('/healthz').check('get').allowed()",
    "authorizer.path('/healthz ').check('get').reason()",
    "authorizer.path('').check('get').allowed()",
    "authorizer.path(' \\t\\n').check('get').allowed()",
    "authorizer.path('\\u00a0')",
    "authorizer.path('\\u200b').check('get').reason()",
    "authorizer.group('').resource('')",
    "authorizer.group(' ').resource('  ')",
    "authorizer.serviceAccount('shop', 'web').path('/a').check('get').reason()",
    "authorizer.serviceAccount('shop', 'web.x').group('a').resource('b').check('c').reason()",
    "authorizer.serviceAccount('shop', 'web').serviceAccount('x', 'y').path('/a').check('get').reason()",
    "authorizer.serviceAccount('shop.x', 'web')",
    "authorizer.serviceAccount('Shop', 'Web')",
    "authorizer.serviceAccount('', 'web')",
    "authorizer.serviceAccount('shop', '')",
    "authorizer.serviceAccount('shop', 'not@valid')",
    "authorizer.serviceAccount('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'web')",
    "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=a').check('list').reason()",
    "authorizer.group('').resource('pods').fieldSelector('not a selector').check('list').reason()",
    "authorizer.group('').resource('pods').labelSelector('app in (a, b), !c').check('list').reason()",
    "authorizer.group('').resource('pods').labelSelector('(').check('list').reason()",
    "authorizer.group('').resource('pods').labelSelector('').fieldSelector('').check('list').reason()",
    // Two are within the limit of an expression, three are not.
    "authorizer.path('/a').check('get').allowed() || authorizer.path('/b').check('get').allowed()",
    "[1, 2, 3].all(x, authorizer.path('/' + string(x)).check('get').allowed() || true)",
    "['a', 'b', 'c'].map(x, authorizer.path(x).check('get').reason())",
    "authorizer == authorizer",
    "authorizer != authorizer",
    "authorizer.path('/a') == authorizer.path('/a')",
    "authorizer.requestResource == null",
    "authorizer in [authorizer]",
    "authorizer.check('get')",
    "authorizer.resource('pods')",
    "authorizer.group('').check('get')",
    "authorizer.requestResource.allowed()",
    "authorizer.requestResource.group('a')",
    "authorizer.path(1)",
    "authorizer.serviceAccount('a')",
    "authorizer.foo",
    "authorizer.?requestResource",
    "has(authorizer.requestResource)",
    "authorizer.requestResource.namespace",
    "requestResource",
    "authorizer.requestResources",
    "dyn(authorizer).path('/a').check('get').reason()",
    "dyn(authorizer).group(1)",
    "dyn(authorizer).path(dyn(1))",
    "dyn(authorizer.requestResource).check(object.verb).reason()",
    "dyn(authorizer.requestResource).path('/a')",
    "dyn(authorizer).requestResource",
    "dyn(object).path('/a')",
    "dyn(authorizer).serviceAccount(1, 2)",
    "dyn(authorizer).serviceAccount('a', object.a)",
    "authorizer.path(object.verb).check(object.a)",
    "authorizer.path(object.verb).check(object.verb).reason()",
    "authorizer.group(object.none).resource('a')",
    "dyn(authorizer).allowed()",
    "dyn(authorizer.path('/a').check('get')).allowed()",
    "string(dyn(authorizer))",
    "'%s'.format([dyn(authorizer)])",
    "'%s'.format([authorizer])",
    "size(dyn(authorizer))",
    "optional.of(authorizer).optMap(a, a.path('/x').check('get').reason())",
    "optional.ofNonZeroValue(authorizer).hasValue()",
    "[authorizer, authorizer.serviceAccount('a', 'b')].map(a, a.path('/x').check('get').reason())",
    "{'a': authorizer}.a.path('/x').check('get').reason()",
    "(true ? authorizer.requestResource : authorizer.group('a').resource('b')).check('get').reason()",
];

#[test]
fn questions_about_rights_are_the_same() {
    same(NEWEST, TABLE.iter().map(|text| (*text).to_owned()));
}

#[test]
fn questions_of_an_old_release_are_the_same() {
    let kept = TABLE.iter().filter(|text| !text.contains("sortBy"));
    same(Release(30), kept.map(|text| (*text).to_owned()));
}

#[test]
fn an_authorizer_that_is_not_declared_is_refused_in_the_same_words() {
    let bindings = Arc::new(json!({"object": {"a": 1}}));
    let texts = [
        "authorizer",
        "authorizer.requestResource",
        "authorizer.path('/a')",
        "@params",
        "x",
    ];
    let cases: Vec<_> = texts
        .iter()
        .map(|text| Case::of(text, Arc::clone(&bindings)))
        .collect();
    none_unlike(NEWEST, &compare(NEWEST, &cases));
}

/// Chains of calls that may follow each other, some with what may not.
struct Chains(u64);

impl Chains {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        of[usize::try_from(self.0 % of.len() as u64).unwrap()]
    }

    fn text(&mut self) -> &'static str {
        self.one(&[
            "''",
            "'pods'",
            "'deployments'",
            "'secrets'",
            "'apps'",
            "'shop'",
            "'tls'",
            "'get'",
            "'create'",
            "'delete'",
            "'watch'",
            "'/healthz'",
            "' '",
            "'a b'",
            "'A'",
            "object.verb",
            "dyn('exec')",
            "object.a",
            "request.namespace",
            "'x=y'",
            "1",
        ])
    }

    fn chain(&mut self) -> String {
        let mut made = self
            .one(&[
                "authorizer",
                "authorizer",
                "dyn(authorizer)",
                "authorizer.requestResource",
                "authorizer.serviceAccount('shop', 'web')",
            ])
            .to_owned();
        let steps: &[&[&str]] = match self.one(&["path", "resource", "resource", "any"]) {
            "path" => &[
                &["path"],
                &["check"],
                &["allowed", "reason", "errored", "error"],
            ],
            "resource" if made.ends_with("requestResource") => &[
                &["name", "namespace", "subresource"],
                &["fieldSelector", "labelSelector"],
                &["check"],
                &["allowed", "reason", "errored", "error"],
            ],
            "resource" => &[
                &["group"],
                &["resource"],
                &["name", "namespace", "subresource"],
                &["name", "namespace", "subresource", "labelSelector"],
                &["check"],
                &["allowed", "reason", "errored", "error"],
            ],
            _ => &[
                &["path", "group", "resource", "check", "name"],
                &["resource", "check", "allowed"],
                &["check", "namespace", "reason"],
            ],
        };
        for step in steps {
            let name = self.one(step);
            let argument = match name {
                "allowed" | "reason" | "errored" | "error" => "",
                "group" => self.one(&["''", "'apps'", "object.verb"]),
                "resource" => self.one(&["'pods'", "'deployments'", "'secrets'", "' '"]),
                _ => self.text(),
            };
            made = format!("{made}.{name}({argument})");
        }
        made
    }
}

#[test]
fn chains_of_questions_are_the_same() {
    let mut chains = Chains(0x9e37_79b9_7f4a_7c15);
    let mut made: Vec<_> = (0..3_000).map(|_| chains.chain()).collect();
    made.sort();
    made.dedup();
    assert!(made.len() > 1_000, "{}", made.len());
    same(NEWEST, made);
}

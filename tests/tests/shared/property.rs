//! Properties of the border: any request arrives in Python without loss, anything that a handler returns becomes the exact
//! response or a contract failure.
//!
//! Beside a model in Rust stands what `httpy_rs` says in Python: `httpy_tests::twin`. Properties of route maps stand with
//! their code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::LazyLock;

use axum::Router;
use bytes::Bytes;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use httpy::PyService;
use httpy_tests::app::{App, ask};
use httpy_tests::twin::{self, Asked, latin_1, revealed};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

// What handlers return.

/// Two handlers that evaluate the expression in their body: one returns the result, one what is to become of it.
const EVALUATE: &str = r#"
import http, json
from twin import judge

class Text(str):
    def __str__(self): raise ValueError("str")
    def encode(self, *_): return b"lie"
    def __getitem__(self, _): return "lie"

class Array(bytearray):
    def __bytes__(self): return b"lie"

class Number(int):
    def __int__(self): return 204
    def __index__(self): raise ValueError("index")

class Items(tuple):
    def __iter__(self): raise ValueError("iter")

class Table(dict):
    def items(self): raise ValueError("items")
    def __len__(self): return 0

class Meta(type):
    @property
    def __name__(cls): raise ValueError("name")

class Unnamed(metaclass=Meta): pass

class Posing:
    __class__ = tuple

def released(view):
    view.release()
    return view

names = dict(globals())

def handle(method, path, params, query, headers, body):
    return eval(body, names)

def judged(method, path, params, query, headers, body):
    verdict = judge(headers["X-Target"][0], headers["X-Method"][0], lambda: eval(body, names))
    return 200, json.dumps(verdict), {}
"#;

/// Its handler, the one that judges, and the handler's target.
///
/// What is static is never dropped: no app, whose folder would stay behind.
static EVALUATING: LazyLock<(PyService, PyService, String)> = LazyLock::new(|| {
    let app = App::with(EVALUATE, |builder| builder.path(twin::FOLDER));
    (app.service(), app.handler("judged"), app.target("handle"))
});

/// A Python literal of text: ASCII, latin-1, lone surrogates that stand for bytes and others, and what is beyond.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]".prop_map(|text| text.replace('\\', "\\\\").replace('"', "\\\"")),
        1 => any::<u8>().prop_map(|byte| format!("\\x{byte:02x}")),
        1 => (0xd7f0_u32..0xe010).prop_map(|point| format!("\\u{point:04x}")),
        1 => (0_u32..0x11_0000).prop_map(|point| format!("\\U{point:08x}")),
    ];
    let literal = vec(piece, 0..8).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    (literal, prop::bool::weighted(0.1)).prop_map(|(literal, lies)| {
        if lies {
            format!("Text({literal})")
        } else {
            literal
        }
    })
}

fn binary() -> impl Strategy<Value = String> {
    let literal = vec(any::<u8>().prop_map(|byte| format!("\\x{byte:02x}")), 0..8);
    let literal = literal.prop_map(|bytes| format!("b\"{}\"", bytes.concat()));
    let shape = select(vec![
        "{}",
        "bytearray({})",
        "Array({})",
        "memoryview({})",
        "memoryview({})[::2]",
        "memoryview({} * 8).cast('Q')",
        "released(memoryview({}))",
        "({} * 70_000)",
    ]);
    (literal, shape).prop_map(|(literal, shape)| shape.replace("{}", &literal))
}

fn status() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (195..1005_i64).prop_map(|status| status.to_string()),
        2 => select(vec!["204", "205", "304"]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|status| status.to_string()),
        1 => select(vec!["2**63", "-2**63", "-2**63 - 1", "2**70", "True", "200.0", "http.HTTPStatus.NOT_FOUND", "Number(200)"])
            .prop_map(str::to_owned),
    ]
}

/// Any value, nested.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => text(),
        2 => binary(),
        2 => status(),
        2 => select(vec!["None", "...", "1.5", "int", "object()", "Unnamed()", "Posing()", "Text('text')"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = vec(inner, 0..4).prop_map(|items| items.join(", "));
        prop_oneof![
            list.clone().prop_map(|items| format!("[{items}]")),
            list.clone().prop_map(|items| format!("(*[{items}],)")),
            list.clone().prop_map(|items| format!("Items([{items}])")),
            list.clone()
                .prop_map(|items| format!("dict(enumerate([{items}]))")),
            list.prop_map(|items| format!("Table(enumerate([{items}]))")),
        ]
    })
}

fn headers() -> impl Strategy<Value = String> {
    let known = select(vec![
        "\"Content-Length\"",
        "\"content-length\"",
        "\"Content-Type\"",
        "\"Connection\"",
        "\"TE\"",
        "\"X-A\"",
        "\"x-a\"",
        "\"\"",
        "\"a b\"",
        "Text('X-A')",
        "\"a\" * 65_535",
        "\"a\" * 65_536",
    ]);
    let odd = select(vec![
        "None",
        "200",
        "1.5",
        "()",
        "b\"X-A\"",
        "Unnamed()",
        "object()",
    ])
    .prop_map(str::to_owned);
    let name = prop_oneof![6 => known.prop_map(str::to_owned), 2 => text(), 1 => odd];
    let line = prop_oneof![
        4 => text(),
        4 => "[0-9]{1,2}".prop_map(|digits| format!("\"{digits}\"")),
        2 => vec(text(), 0..3).prop_map(|values| format!("[{}]", values.join(", "))),
        2 => vec(text(), 0..3).prop_map(|values| format!("(*[{}],)", values.join(", "))),
        1 => (1020..1028).prop_map(|count| format!("[\"v\"] * {count}")),
        1 => value(),
    ];
    let lines = vec((name, line), 0..5).prop_map(|lines| {
        let lines: Vec<_> = lines
            .iter()
            .map(|(name, line)| format!("{name}: {line}"))
            .collect();
        format!("{{{}}}", lines.join(", "))
    });
    prop_oneof![
        8 => lines.clone(),
        1 => lines.prop_map(|lines| format!("Table({lines})")),
        1 => Just("None".to_owned()),
        1 => value(),
    ]
}

/// An expression for what a handler returns: most often a tuple of three.
fn returned() -> impl Strategy<Value = String> {
    let body = prop_oneof![3 => text(), 2 => binary(), 1 => Just("None".to_owned()), 1 => value()];
    let three = (status(), body, headers())
        .prop_map(|(status, body, headers)| format!("({status}, {body}, {headers})"))
        .boxed();
    prop_oneof![
        10 => three.clone(),
        1 => three.prop_map(|three| format!("Items({three})")),
        1 => vec(value(), 0..12).prop_map(|items| format!("(*[{}],)", items.join(", "))),
        1 => value(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_handler_returns_is_judged_as_check_reply_does(expression in returned(), head in any::<bool>()) {
        let (handler, judging, target) = &*EVALUATING;
        let method = if head { Method::HEAD } else { Method::GET };
        let body = Bytes::from(expression.clone());
        let judge = twin::judge(handler.clone(), judging.clone(), target, &method, body);
        let verdict = runtime().block_on(judge);
        prop_assert!(verdict.is_ok(), "{method} {expression}: {}", verdict.unwrap_err());
        let verdict = verdict.unwrap();
        // The only exception that looking at a value may raise, and no mistake in the expression.
        let raised = &verdict["raised"];
        prop_assert!(raised.is_null() || (raised == "ValueError" && expression.contains("released")), "{expression}: {raised}");
    }
}

// What handlers are given.

const ROUTE: &str = "/a/{first}/{*rest}";

static REVEALING: LazyLock<[Router; 2]> = LazyLock::new(|| {
    let app = App::with("from twin import handle, handle_bytes, twin", |builder| {
        builder.path(twin::FOLDER)
    });
    ["handle", "handle_bytes"].map(|attribute| {
        let service = app.handler(attribute);
        Router::new()
            .route_service(ROUTE, service.clone())
            .fallback_service(service)
    })
});

static TWIN: LazyLock<PyService> = LazyLock::new(|| {
    App::with("from twin import twin as handle", |builder| {
        builder.path(twin::FOLDER)
    })
    .service()
});

/// Text that may stand in a path or a query, escapes and what only looks like one included.
fn raw(reserved: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => reserved.prop_map(String::from),
        2 => any::<u8>().prop_map(|byte| format!("%{byte:02X}")),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        1 => select(vec!["%", "%z", "%4", "%%", "é", "\u{1f600}"]).prop_map(str::to_owned),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn target() -> impl Strategy<Value = Uri> {
    let prefix = select(vec!["/", "/", "/a/", "/a/1/"]);
    let path = "[a-zA-Z0-9/._~!$&'()*+,;=:@-]";
    let query = prop::option::of(raw("[a-c=&+/?:@;-]").prop_map(|query| format!("?{query}")));
    (prefix, raw(path), query).prop_filter_map("no URI", |(prefix, path, query)| {
        Uri::from_maybe_shared(Bytes::from(format!(
            "{prefix}{path}{}",
            query.unwrap_or_default()
        )))
        .ok()
    })
}

fn header_lines() -> impl Strategy<Value = HeaderMap> {
    let names = vec![
        "host",
        "cookie",
        "accept",
        "x-odd",
        "x-o-d--d",
        "te",
        "content-type",
        "x_y",
        "1",
        "!#$%&'*+.^`|~",
    ];
    let name = prop_oneof![3 => select(names).prop_map(str::to_owned), 1 => "[a-z0-9-]{1,40}"];
    let byte = prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xff_u8];
    // Servers take blanks around a value off.
    let value = vec(byte, 0..10).prop_map(|value| value.trim_ascii().to_vec());
    vec((name, value), 0..12).prop_map(|lines| {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(
                HeaderName::try_from(name).unwrap(),
                HeaderValue::try_from(value).unwrap(),
            );
        }
        map
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let method = prop_oneof![
        select(vec![
            "GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "get"
        ])
        .prop_map(str::to_owned),
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}",
    ];
    let method = method.prop_filter("answered with 405", |method| method != "CONNECT");
    let body = prop_oneof![
        vec(any::<u8>(), 0..40),
        "\\PC{0,20}".prop_map(String::into_bytes)
    ];
    (method, target(), header_lines(), body).prop_map(|(method, uri, headers, body)| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Asked {
            method,
            uri,
            headers,
            body: Bytes::from(body),
        }
    })
}

/// Percent-decoded bytes, in the form of `revealed`.
fn decoded(raw: &[u8]) -> String {
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(byte) = raw.get(at) {
        match (byte, digit(raw.get(at + 1)), digit(raw.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high * 16 + low);
                at += 3;
            }
            _ => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    latin_1(&bytes)
}

/// Pairs as a list of names with all their values, in the order in which each name came first.
fn grouped(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in pairs {
        match groups.iter_mut().find(|group| group.0 == name) {
            Some(group) => group.1.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    json!(groups)
}

fn expected_query(uri: &Uri) -> Value {
    let spaced = uri.query().unwrap_or_default().replace('+', " ");
    let pieces = spaced.split('&').filter(|piece| !piece.is_empty());
    grouped(pieces.map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        (decoded(name.as_bytes()), decoded(value.as_bytes()))
    }))
}

/// The captures of [`ROUTE`], `None` where it does not match.
fn expected_params(path: &str) -> Option<Value> {
    let (first, rest) = path.strip_prefix("/a/")?.split_once('/')?;
    let values = [("first", first), ("rest", rest)];
    // A capture in the middle may be empty.
    (!rest.is_empty()).then(|| {
        grouped(
            values
                .into_iter()
                .map(|(name, value)| (name.to_owned(), decoded(value.as_bytes()))),
        )
    })
}

fn expected_headers(headers: &HeaderMap) -> Value {
    let canonical = |name: &HeaderName| {
        let part = |part: &str| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        };
        name.as_str()
            .split('-')
            .map(part)
            .collect::<Vec<_>>()
            .join("-")
    };
    let no_host = (!headers.contains_key(HOST)).then(|| ("Host".to_owned(), String::new()));
    let lines = headers.keys().flat_map(|name| {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| latin_1(value.as_bytes()))
            .collect();
        let values = if name == COOKIE {
            vec![values.join("; ")]
        } else {
            values
        };
        values
            .into_iter()
            .map(|value| (canonical(name), value))
            .collect::<Vec<_>>()
    });
    grouped(no_host.into_iter().chain(lines))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_arrives_in_python_without_loss(asked in asked()) {
        let params = expected_params(asked.uri.path());
        let route = params.as_ref().map_or(Value::Null, |_| Value::from(ROUTE));
        let expected = json!([
            asked.method.as_str(),
            decoded(asked.uri.path().as_bytes()),
            params.unwrap_or_else(|| json!([])),
            expected_query(&asked.uri),
            expected_headers(&asked.headers),
            latin_1(&asked.body),
            route,
        ]);
        for (router, wants_bytes) in REVEALING.iter().zip([false, true]) {
            let runtime = runtime();
            let answer = runtime.block_on(ask(router.clone(), asked.request()));
            prop_assert_eq!(&revealed(&answer), &expected, "{:?}", answer.error);
            let twin = runtime.block_on(asked.arguments(TWIN.clone(), &route, wants_bytes));
            prop_assert_eq!(&twin, &expected, "in Python");
        }
    }
}

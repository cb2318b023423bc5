//! The rules for reading a result, over both views of a frame: what a worker sends as it is, and what it describes.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;

use super::{Py, dict, frame, list, tuple};
use crate::frame::{Described, FrameError, Plain, Value};
use crate::view::{Refusal, View, read, read_chunk};
use crate::{BodyKind, Content};

static NO_BYTES: Bytes = Bytes::new();

/// What a view is read as: status, body, its kind, and the header lines; or the words for the rule that is broken.
type Read = Result<(u16, Vec<u8>, BodyKind, Vec<(String, Vec<u8>)>), String>;

fn outcome<V: View<Error = FrameError>>(view: &V, on_loop: bool) -> Read {
    match read(view, on_loop) {
        Ok(read) => {
            let returned = read.returned;
            assert_eq!(read.iterator.is_some(), returned.kind == BodyKind::Iterator);
            let Content::Whole(body) = returned.body else {
                panic!("a stream")
            };
            assert_eq!(returned.headers.len(), returned.header_lines.min(1024));
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            let lines = returned
                .headers
                .iter()
                .map(|(name, value)| (text(name), value.to_vec()))
                .collect();
            Ok((
                returned.status.as_u16(),
                body.to_vec(),
                returned.kind,
                lines,
            ))
        }
        Err(Refusal::Contract(failure)) => Err(failure.to_string()),
        Err(Refusal::Unread(error)) => panic!("{error}"),
    }
}

fn plain(result: &Py) -> Read {
    let frame = frame(result);
    outcome(&Plain::new(Value::read(&frame).unwrap(), &frame), false)
}

fn described(result: &Py, on_loop: bool) -> Read {
    let frame = frame(result);
    outcome(
        &Described::new(&Value::read(&frame).unwrap(), &frame, &NO_BYTES).unwrap(),
        on_loop,
    )
}

/// The type and the description of a value that a worker could have sent as it is.
fn node(value: &Py) -> (Cow<'static, str>, Py) {
    match value {
        Py::None => ("NoneType".into(), tuple!["none"]),
        Py::Bool(_) => ("bool".into(), tuple!["bool", "bool"]),
        Py::Int(number) => ("int".into(), tuple!["int", *number]),
        Py::BigInt => ("int".into(), tuple!["bigint"]),
        Py::Float(_) => ("float".into(), tuple!["other", "float"]),
        Py::Bytes(bytes) => ("bytes".into(), tuple!["bytes", Py::bytes(bytes.clone())]),
        Py::Str(_) => ("str".into(), tuple!["str", value.clone()]),
        Py::Tuple(items) => {
            let types = items
                .iter()
                .take(8)
                .map(|item| Py::from(&*node(item).0))
                .collect();
            let items = items.iter().map(|item| node(item).1).collect();
            (
                "tuple".into(),
                tuple!["tuple", Py::List(items), Py::Tuple(types)],
            )
        }
        Py::List(items) => (
            "list".into(),
            tuple![
                "list",
                Py::List(items.iter().map(|item| node(item).1).collect())
            ],
        ),
        Py::Dict(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| tuple![node(key).1, node(value).1])
                .collect();
            ("dict".into(), tuple!["dict", Py::List(pairs)])
        }
    }
}

/// The outcome, which is the same as it is and described.
fn both(result: &Py) -> Read {
    let found = plain(result);
    assert_eq!(described(&node(result).1, false), found, "{result:?}");
    found
}

fn refused(result: &Py) -> String {
    both(result).unwrap_err()
}

const NO_LINES: [(String, Vec<u8>); 0] = [];

#[test]
fn a_tuple_of_three_is_read() {
    let headers =
        dict! { "X-A" => "1", "X-B" => list!["2", "é"], "X-C" => tuple!["3"], "X-D" => list![] };
    let line = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let lines = vec![
        line("X-A", b"1"),
        line("X-B", b"2"),
        line("X-B", b"\xe9"),
        line("X-C", b"3"),
    ];
    assert_eq!(
        both(&tuple![200, "é", headers]),
        Ok((200, "é".into(), BodyKind::Text, lines))
    );
    let bytes = tuple![999, Py::bytes(*b"\xff"), ()];
    assert_eq!(
        both(&bytes),
        Ok((999, b"\xff".to_vec(), BodyKind::Binary, NO_LINES.to_vec()))
    );
    assert_eq!(
        both(&tuple![204, (), dict! {}]),
        Ok((204, Vec::new(), BodyKind::Absent, NO_LINES.to_vec()))
    );
}

#[test]
fn anything_else_is_named() {
    for (result, found) in [
        (Py::None, "NoneType"),
        (list![200, "", dict! {}], "list"),
        ("hello".into(), "str"),
        (dict! { "status" => 200 }, "dict"),
        (200.into(), "int"),
        (Py::BigInt, "int"),
        (true.into(), "bool"),
        (1.5.into(), "float"),
        (Py::bytes(*b""), "bytes"),
    ] {
        assert_eq!(
            refused(&result),
            format!("{found}: expected a tuple (status, body, headers)")
        );
    }
}

#[test]
fn tuples_of_other_lengths_are_counted() {
    for (count, types) in [(0, "()"), (2, "(int, int)"), (4, "(int, int, int, int)")] {
        let words = format!("{types}: expected 3 items (status, body, headers), found {count}");
        assert_eq!(refused(&Py::Tuple(vec![1.into(); count])), words);
    }
    let words = "(str, str, str, str, str, str, str, str, ...): expected 3 items (status, body, headers), found 9";
    assert_eq!(refused(&Py::Tuple(vec!["a".into(); 9])), words);
    // Of a tuple that is too long, a worker need not send more than the number.
    let types = Py::Tuple(vec!["str".into(); 8]);
    assert_eq!(
        described(&tuple!["tuple", 9, types], false),
        Err(words.to_owned())
    );
}

#[test]
fn a_status_is_an_int_of_64_bits_in_its_range() {
    for (status, found) in [
        (Py::from(true), "bool"),
        ("200".into(), "str"),
        (200.0.into(), "float"),
        (().into(), "NoneType"),
    ] {
        let words = format!("({found}, str, dict): expected status to be an int, found {found}");
        assert_eq!(refused(&tuple![status, "", dict! {}]), words);
    }
    for status in [99, 199, 1000, -1, i64::MAX, i64::MIN] {
        assert_eq!(
            refused(&tuple![status, 5, list![]]),
            format!("status {status}: expected 200 to 999"),
            "before the body"
        );
    }
    assert_eq!(
        refused(&tuple![Py::BigInt, "", ()]),
        "a status beyond 64 bits: expected 200 to 999"
    );
}

#[test]
fn a_body_of_another_type_is_named() {
    for (body, found) in [
        (Py::from(5), "int"),
        (list![], "list"),
        (dict! {}, "dict"),
        (tuple![], "tuple"),
        (true.into(), "bool"),
    ] {
        let words = format!(
            "(int, {found}, list): expected body to be str, bytes, bytearray, memoryview or None, or an iterator of str \
             or bytes, found {found}"
        );
        assert_eq!(
            refused(&tuple![200, body, list![]]),
            words,
            "before the headers"
        );
    }
}

#[test]
fn surrogates_in_a_body_stand_for_bytes_or_for_nothing() {
    let body = |bytes: &[u8]| both(&tuple![200, Py::Str(bytes.to_vec()), ()]);
    assert_eq!(
        body(b"a\xed\xb2\x80\xed\xb3\xbfb").unwrap().1,
        b"a\x80\xffb"
    );
    let words = "a body with U+D800 at index 3: expected text that encodes as UTF-8 (surrogates U+DC80 to U+DCFF stand for \
                 bytes, PEP 383)";
    assert_eq!(body(b"abc\xed\xa0\x80"), Err(words.to_owned()));
    let bad = tuple![
        "tuple",
        list![
            tuple!["int", 200],
            tuple!["badstr", 0xd800, 3],
            tuple!["none"]
        ],
        list![]
    ];
    assert_eq!(described(&bad, false), Err(words.to_owned()));
}

#[test]
fn headers_are_a_dict_of_str_to_str_or_lists_of_it() {
    for (headers, found) in [
        (list![], "list"),
        (Py::from("X-A: 1"), "str"),
        (tuple![], "tuple"),
        (1.into(), "int"),
    ] {
        let words =
            format!("(int, str, {found}): expected headers to be a dict or None, found {found}");
        assert_eq!(refused(&tuple![200, "", headers]), words);
    }
    let headers = |headers| refused(&tuple![200, "", headers]);
    assert_eq!(
        headers(dict! { 1 => "a" }),
        "a header name of type int: expected str"
    );
    assert_eq!(
        headers(dict! { Py::bytes(*b"X") => "a" }),
        "a header name of type bytes: expected str"
    );
    for (value, found) in [
        (Py::from(1), "int"),
        (().into(), "NoneType"),
        (dict! {}, "dict"),
        (Py::bytes(*b"1"), "bytes"),
    ] {
        let words =
            format!("header \"X-A\" of type {found}: expected str or a list or tuple of str");
        assert_eq!(headers(dict! { "X-A" => value }), words);
    }
    for value in [list!["1", 2], tuple![2], list![2, "1"]] {
        assert_eq!(
            headers(dict! { "X-A" => value }),
            "header \"X-A\" with an item of type int: expected str"
        );
    }
    assert_eq!(
        headers(dict! { "X-A" => list![list![]] }),
        "header \"X-A\" with an item of type list: expected str"
    );
}

#[test]
fn header_values_are_latin_1_and_names_are_shown_as_their_bytes() {
    let words = "header \"X-A\" with U+20AC at index 1: expected latin-1 text; encode other text first, for example with \
                 urllib.parse.quote";
    assert_eq!(
        refused(&tuple![200, "", dict! { "X-A" => list!["a", "é€"] }]),
        words
    );
    let described_value = |value: Py| {
        let headers = tuple!["dict", list![tuple![tuple!["str", "X-A"], value]]];
        tuple![
            "tuple",
            list![tuple!["int", 200], tuple!["none"], headers],
            list![]
        ]
    };
    assert_eq!(
        described(&described_value(tuple!["badstr", 0x20ac, 1]), false),
        Err(words.to_owned())
    );
    let surrogate = dict! { Py::Str(b"\xed\xb2\x80".to_vec()) => 1 };
    let words = "header \"\\xed\\xb2\\x80\" of type int: expected str or a list or tuple of str";
    assert_eq!(refused(&tuple![200, "", surrogate]), words);
}

#[test]
fn lines_are_counted_beyond_what_is_kept() {
    let many = Py::List(vec!["a".into(); 1500]);
    let result = tuple![200, "", dict! { "X-A" => many.clone(), "X-B" => many }];
    for result in [result.clone(), result] {
        let frame = frame(&result);
        let view = Plain::new(Value::read(&frame).unwrap(), &frame);
        let returned = read(&view, false).unwrap().returned;
        assert_eq!(
            (returned.headers.len(), returned.header_lines),
            (1024, 3000)
        );
        let failure = returned.check(&Method::GET).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "3000 header lines: expected at most 1024"
        );
    }
}

#[test]
fn a_subclass_is_its_base_by_another_name() {
    let headers = tuple![
        "dict",
        list![tuple![
            tuple!["str", "X-A", "Name"],
            tuple!["list", list![tuple!["str", "1"]], "Lines"]
        ]],
        "OrderedDict"
    ];
    let result = |status: Py, body: Py| {
        tuple![
            "tuple",
            list![status, body, headers.clone()],
            list!["HTTPStatus", "Text", "OrderedDict"],
            "Reply"
        ]
    };
    let status = tuple!["int", 201, "HTTPStatus"];
    let lines = vec![("X-A".to_owned(), b"1".to_vec())];
    let expected = Ok((201, b"x".to_vec(), BodyKind::Text, lines));
    assert_eq!(
        described(&result(status.clone(), tuple!["str", "x", "Text"]), false),
        expected
    );
    let words = "(HTTPStatus, Text, OrderedDict): expected body to be str, bytes, bytearray, memoryview or None, or an \
                 iterator of str or bytes, found Text";
    assert_eq!(
        described(&result(status, tuple!["other", "Text"]), false),
        Err(words.to_owned())
    );
    let words = "OrderedDict: expected a tuple (status, body, headers)";
    assert_eq!(described(&headers, false), Err(words.to_owned()));
}

#[test]
fn iterators_coroutines_and_what_is_nothing_of_that_are_told_apart() {
    let result = |body: Py| {
        tuple![
            "tuple",
            list![tuple!["int", 200], body, tuple!["none"]],
            list!["int", "Feed", "NoneType"]
        ]
    };
    let streamed = || Ok((200, Vec::new(), BodyKind::Iterator, NO_LINES.to_vec()));
    assert_eq!(described(&result(tuple!["iterator"]), false), streamed());
    assert_eq!(
        described(&result(tuple!["async_iterator", "Feed"]), true),
        streamed()
    );
    let words = "(int, Feed, NoneType): expected a plain iterator as body, as the handler is no async def, found Feed";
    assert_eq!(
        described(&result(tuple!["async_iterator", "Feed"]), false),
        Err(words.to_owned())
    );
    let words = "a coroutine that was never awaited: expected a tuple (status, body, headers); await it in an async def";
    assert_eq!(
        described(&tuple!["coroutine"], false),
        Err(words.to_owned())
    );
    let words = "generator: expected a tuple (status, body, headers)";
    assert_eq!(
        described(&tuple!["iterator", "generator"], false),
        Err(words.to_owned())
    );
    assert_eq!(
        described(
            &tuple!["other", Py::Str(b"Odd\xed\xb2\x80".to_vec())],
            false
        )
        .unwrap_err()
        .split(':')
        .next(),
        Some("Odd\u{fffd}\u{fffd}\u{fffd}")
    );
}

#[test]
fn chunks_are_bytes_or_named_with_their_number() {
    let read = |chunk: &Py| {
        let frame = frame(chunk);
        let view = Described::new(&Value::read(&frame).unwrap(), &frame, &NO_BYTES).unwrap();
        read_chunk(&view, 2).map_err(|refusal| match refusal {
            Refusal::Contract(failure) => failure.to_string(),
            Refusal::Unread(error) => panic!("{error}"),
        })
    };
    assert_eq!(
        read(&tuple!["str", Py::Str(b"\xed\xb3\xbf".to_vec())]),
        Ok(Bytes::from_static(b"\xff"))
    );
    assert_eq!(read(&tuple!["bytes", Py::bytes(*b"a")]), Ok("a".into()));
    let words = "NoneType (chunk 2): expected str, bytes, bytearray or memoryview";
    assert_eq!(read(&tuple!["none"]), Err(words.to_owned()));
}

#[test]
fn what_describes_nothing_is_refused() {
    let error = |value: Py| {
        let frame = frame(&value);
        let view = Described::new(&Value::read(&frame).unwrap(), &frame, &NO_BYTES);
        match view
            .map_err(Refusal::Unread)
            .and_then(|view| read(&view, false).map(drop))
        {
            Err(Refusal::Unread(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let result =
        |body: Py, headers: Py| tuple!["tuple", list![tuple!["int", 200], body, headers], list![]];
    let none = || tuple!["none"];
    let cases = [
        (().into(), "None at byte 0: expected a described value"),
        (
            tuple![],
            "the end of a tuple at byte 5: expected what a described value is",
        ),
        (
            tuple!["what"],
            "\"what\" at byte 5: expected one of the words for described values",
        ),
        (
            tuple!["int"],
            "the end of a tuple at byte 13: expected an int",
        ),
        (tuple!["int", "1"], "\"1\" at byte 5: expected an int"),
        (
            tuple!["other"],
            "the end of a tuple at byte 15: expected the name of a type",
        ),
        (
            tuple!["none", "NoneType", 1],
            "1 more items at byte 27: expected the end of a tuple",
        ),
        (
            tuple!["badstr", 0x11_0000, 1],
            "a larger number at byte 5: expected a code point",
        ),
        (
            tuple!["tuple", 3, list![]],
            "the number of three items at byte 0: expected three described values",
        ),
        (
            tuple!["tuple", "abc", list![]],
            "\"abc\" at byte 5: expected the items of a tuple, or their number",
        ),
        (
            result(tuple!["ahead", "x"], none()),
            "\"x\" at byte 43: expected t or b",
        ),
        (
            result(5.into(), none()),
            "5 at byte 0: expected a described value",
        ),
        (
            result(none(), tuple!["dict", list![1]]),
            "1 at byte 0: expected a described key and its value",
        ),
        (
            result(none(), tuple!["dict", 1]),
            "1 at byte 57: expected a list of described values",
        ),
        (
            result(
                none(),
                tuple![
                    "dict",
                    list![tuple![tuple!["str", "a"], tuple!["tuple", 2, list![]]]]
                ],
            ),
            "the number of items at byte 0: expected the items of a tuple",
        ),
        (
            result(
                none(),
                tuple![
                    "dict",
                    list![tuple![tuple!["str", Py::Str(b"\xff".to_vec())], none()]]
                ],
            ),
            "a str that is no text at byte 0: expected UTF-8",
        ),
    ];
    for (value, words) in cases {
        assert_eq!(error(value), format!("found {words}"));
    }
}

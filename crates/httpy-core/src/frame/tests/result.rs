//! The rules for reading a result that a worker sends as it is.

use http::Method;

use super::{Py, dict, frame, list, tuple};
use crate::frame::{FrameError, Plain, Value};
use crate::view::{Refusal, View, read};
use crate::{BodyKind, Content};

/// What a view is read as: status, body, its kind, and the header lines; or the words for the rule that is broken.
type Read = Result<(u16, Vec<u8>, BodyKind, Vec<(String, Vec<u8>)>), String>;

fn outcome<V: View<Error = FrameError>>(view: &V) -> Read {
    match read(view, false) {
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
    outcome(&Plain::new(Value::read(&frame).unwrap(), &frame))
}

fn refused(result: &Py) -> String {
    plain(result).unwrap_err()
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
        plain(&tuple![200, "é", headers]),
        Ok((200, "é".into(), BodyKind::Text, lines))
    );
    let bytes = tuple![999, Py::bytes(*b"\xff"), ()];
    assert_eq!(
        plain(&bytes),
        Ok((999, b"\xff".to_vec(), BodyKind::Binary, NO_LINES.to_vec()))
    );
    assert_eq!(
        plain(&tuple![204, (), dict! {}]),
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
    let body = |bytes: &[u8]| plain(&tuple![200, Py::Str(bytes.to_vec()), ()]);
    assert_eq!(
        body(b"a\xed\xb2\x80\xed\xb3\xbfb").unwrap().1,
        b"a\x80\xffb"
    );
    let words = "a body with U+D800 at index 3: expected text that encodes as UTF-8 (surrogates U+DC80 to U+DCFF stand for \
                 bytes, PEP 383)";
    assert_eq!(body(b"abc\xed\xa0\x80"), Err(words.to_owned()));
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

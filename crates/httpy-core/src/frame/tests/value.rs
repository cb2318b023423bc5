//! What is a value and what is none.

use super::{Py, dict, list, tuple, value};
use crate::frame::{DEPTH, Value};

#[test]
fn every_kind_of_value_comes_back() {
    let values = [
        Py::None,
        Py::Bool(true),
        Py::Bool(false),
        Py::Float(1.5_f64.to_bits()),
        Py::Float(f64::NAN.to_bits()),
        Py::bytes(*b"\xff\0"),
        Py::from("é☕😀"),
        Py::Str(b"\xed\xb2\x80".to_vec()),
        tuple![],
        tuple![1, (), "a"],
        list![list![], tuple![list![2]]],
        dict! {},
        dict! { "a" => 1, "b" => dict! { 1 => () } },
        Py::BigInt,
    ];
    for expected in values {
        assert_eq!(value(&expected.dump()), Ok(expected));
    }
}

#[test]
fn whole_numbers_of_64_bits_come_back_and_all_others_are_known_as_such() {
    let edges = [
        0,
        1,
        0x7fff,
        0x8000,
        i64::from(i32::MAX),
        i64::from(i32::MAX) + 1,
        1 << 45,
        i64::MAX,
        i64::MIN,
    ];
    for number in edges
        .into_iter()
        .flat_map(|number| [number, number.wrapping_neg(), number.wrapping_sub(1)])
    {
        assert_eq!(value(&Py::Int(number).dump()), Ok(Py::Int(number)));
    }
    // As Python writes 2 ** 63, -2 ** 63 - 1, and 2 ** 150.
    let beyond: [&[u8]; 3] = [
        b"l\x05\0\0\0\0\0\0\0\0\0\0\0\x08\0",
        b"l\xfb\xff\xff\xff\x01\0\0\0\0\0\0\0\x08\0",
        b"l\x0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0",
    ];
    for bytes in beyond {
        assert_eq!(value(bytes), Ok(Py::BigInt), "{bytes:?}");
    }
    assert_eq!(
        value(b"l\xfb\xff\xff\xff\0\0\0\0\0\0\0\0\x08\0"),
        Ok(Py::Int(i64::MIN))
    );
    assert_eq!(value(b"l\0\0\0\0"), Ok(Py::Int(0)));
}

#[test]
fn what_another_python_may_write_is_read_too() {
    assert_eq!(value(b"I\0\0\0\0\x01\0\0\0"), Ok(Py::Int(1 << 32)));
    assert_eq!(value(b"t\x01\0\0\0a"), Ok("a".into()));
}

#[test]
fn what_is_no_value_is_refused_by_what_it_is_and_where() {
    let refused: [(&[u8], &str); 20] = [
        (
            b"",
            "the end of the frame at byte 0, expected more of a value",
        ),
        (
            b"i\0\0\0",
            "the end of the frame at byte 1, expected more of a value",
        ),
        (
            b"g\0\0\0\0\0\0\0",
            "the end of the frame at byte 1, expected more of a value",
        ),
        (
            b"u\x02\0\0\0a",
            "a length of 2 at byte 5, expected no more than there are bytes left",
        ),
        (
            b"s\xff\xff\xff\xff",
            "a length of 4294967295 at byte 5, expected no more than there are bytes left",
        ),
        (
            b"(\x02\0\0\0N",
            "2 items at byte 1, expected no more than there are bytes left",
        ),
        (
            b"[\xff\xff\xff\x7fNNN",
            "2147483647 items at byte 1, expected no more than there are bytes left",
        ),
        (
            b"(\x02\0\0\0i\0\0\0\0",
            "the end of the frame at byte 10, expected more of a value",
        ),
        (
            b"{NN",
            "the end of the frame at byte 3, expected more of a value",
        ),
        (b"{N0", "the end of a dict at byte 2, expected a value"),
        (
            b"(\x01\0\0\x000",
            "the end of a dict at byte 5, expected a value",
        ),
        (b"0", "the end of a dict at byte 0, expected a value"),
        (b"NN", "1 bytes at byte 1, expected the end of the frame"),
        (
            b"l\x01\0\0\0\0\x80",
            "32768 at byte 0, expected digits of 15 bits",
        ),
        (
            b"l\x02\0\0\0\x01\0\0\0",
            "a first digit of zero at byte 0, expected an int as Python writes it",
        ),
        (
            b"l\0\0\0\x80\0\0",
            "a length of 4294967296 at byte 5, expected no more than there are bytes left",
        ),
        (
            b"\xe9\0\0\0\0",
            "code 0xe9 at byte 0, expected no references",
        ),
        (
            b"(\x01\0\0\0r\0\0\0\0",
            "a reference at byte 5, expected no references",
        ),
        (
            b"c\0\0\0\0",
            "code 'c' at byte 0, expected one of N T F i I l g s u t ( [ {",
        ),
        (
            b"<\0\0\0\0",
            "code '<' at byte 0, expected one of N T F i I l g s u t ( [ {",
        ),
    ];
    for (bytes, words) in refused {
        assert_eq!(value(bytes), Err(format!("found {words}")), "{bytes:?}");
    }
}

#[test]
fn containers_are_nested_sixteen_deep_and_no_deeper() {
    let nested = |open: &[u8], inside: &[u8], end: &[u8], times: usize| {
        [open.repeat(times), inside.into(), end.repeat(times)].concat()
    };
    for (open, inside, end) in [
        (&b"(\x01\0\0\0"[..], &b"N"[..], &b""[..]),
        (b"[\x01\0\0\0", b"N", b""),
        (b"{N", b"N", b"0"),
    ] {
        assert!(Value::read(&nested(open, inside, end, DEPTH)).is_ok());
        for times in [DEPTH + 1, 100_000] {
            let error = Value::read(&nested(open, inside, end, times))
                .unwrap_err()
                .to_string();
            assert!(
                error.ends_with(", expected 16 containers in each other at most"),
                "{error}"
            );
        }
    }
}

#[test]
fn values_are_shown_short() {
    let shown = |value: &Py| Value::read(&value.dump()).unwrap().to_string();
    let cases = [
        (Py::None, "None"),
        (Py::Bool(true), "True"),
        (Py::Int(-5), "-5"),
        (Py::BigInt, "an int beyond 64 bits"),
        (Py::from(1.5), "1.5"),
        (Py::bytes(*b"abc"), "3 bytes"),
        (Py::from("abc"), "\"abc\""),
        (Py::from("a".repeat(33).as_str()), "a str of 33 bytes"),
        (tuple![1], "a tuple of 1"),
        (list![1, 2], "a list of 2"),
        (dict! {}, "a dict"),
    ];
    for (value, words) in cases {
        assert_eq!(shown(&value), words);
    }
}

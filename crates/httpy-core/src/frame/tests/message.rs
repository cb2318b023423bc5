//! What a worker says about its jobs.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::marshal::any_value;
use super::{Py, dict, list, payload, tuple};
use crate::frame::{FrameError, Kind, Message, Notification, PART, Payload, Read, Times};
use crate::{
    BodyKind, Content, Exception, Fault, Frame, Link, Relation, Returned, Rule, UploadFault,
};

/// Gives `take` the only message of a frame, and what it lies in.
fn with<R>(message: Py, take: impl FnOnce(Message<'_>, &Bytes) -> R) -> R {
    let payload = payload(&[message]);
    let mut messages = payload.messages().unwrap();
    let message = messages.next().unwrap().unwrap();
    assert!(messages.next().is_none());
    take(message, payload.as_bytes())
}

/// Why a message is none.
fn refused(message: Py) -> String {
    let payload = payload(&[message]);
    let mut messages = payload.messages::<Message<'_>>().unwrap();
    let error = messages.next().unwrap().unwrap_err().to_string();
    assert!(
        messages.next().is_none(),
        "after an error there are no more"
    );
    error
}

fn raised(text: &str) -> Exception {
    Exception::new(
        "ValueError".to_owned(),
        text.to_owned(),
        "Traceback".to_owned(),
        "app.py:3".to_owned(),
    )
}

fn raised_tuple(text: &str) -> Py {
    tuple!["ValueError", text, "Traceback", "app.py:3", tuple![]]
}

fn whole(returned: Returned) -> (u16, Bytes, BodyKind) {
    match returned.body {
        Content::Whole(bytes) => (returned.status.as_u16(), bytes, returned.kind),
        Content::Stream(_) => panic!("a stream"),
    }
}

/// What the reply in this message is, behind these parts.
fn reply(
    message: Py,
    ahead: &'static str,
    on_loop: bool,
) -> Result<Result<(u16, Bytes, BodyKind), String>, String> {
    with(message, |message, frame| match message.kind {
        Kind::Reply(reply) => words(reply.read(frame, on_loop)),
        Kind::Rest(rest) => words(rest.read(frame, &ahead.into(), on_loop)),
        other => panic!("{other:?}"),
    })
}

fn words(read: Read) -> Result<Result<(u16, Bytes, BodyKind), String>, String> {
    match read {
        Ok(read) => Ok(read.map(whole).map_err(|failure| failure.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_plain_reply_is_read_and_says_when_it_came_how_far() {
    let result = tuple![200, "hé", dict! { "X-A" => "1" }];
    let expected = Ok(Ok((200, Bytes::from("hé"), BodyKind::Text)));
    assert_eq!(reply(tuple![3, "r", result.clone()], "", false), expected);
    with(tuple![3, "r", result.clone()], |message, _| {
        assert_eq!((message.id, message.times), (3, None));
    });
    let ms = Duration::from_millis;
    let times = Times {
        called: ms(250),
        returned: ms(500),
        converted: ms(750),
    };
    with(tuple![3, "r", result, 0.25, 0.5, 0.75], |message, _| {
        assert_eq!(message.times, Some(times));
    });
}

#[test]
fn a_reply_whose_body_went_ahead_has_it() {
    for (kind, expected) in [("t", BodyKind::Text), ("b", BodyKind::Binary)] {
        let head = tuple![201, kind, ()];
        assert_eq!(
            reply(tuple![1, "p", head], "body", false),
            Ok(Ok((201, "body".into(), expected)))
        );
    }
}

#[test]
fn a_reply_that_breaks_the_contract_is_told_from_a_message_that_is_none() {
    assert_eq!(
        reply(tuple![1, "r", tuple![true, "", dict! {}]], "", false),
        Ok(Err(
            "(bool, str, dict): expected status to be an int, found bool".to_owned()
        ))
    );
    assert_eq!(
        reply(tuple![1, "p", tuple![99, "t", ()]], "", false),
        Ok(Err("status 99: expected 200 to 999".to_owned()))
    );
    let malformed = tuple![200, Py::Str(b"\xff".to_vec()), ()];
    let words = "found a str that is no text at byte 0, expected UTF-8";
    assert_eq!(
        reply(tuple![1, "r", malformed], "", false),
        Err(words.to_owned())
    );
    let text = "set: expected a tuple (status, body, headers)";
    with(
        tuple![1, "f", tuple!["tuple", text]],
        |message, _| match message.kind {
            Kind::Refused(failure) => {
                assert_eq!((failure.rule(), &*failure.to_string()), (Rule::Tuple, text));
            }
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn the_head_of_a_streamed_reply_is_read_with_its_heartbeat() {
    let read = |message| {
        with(message, |message, frame| match message.kind {
            Kind::Head(head) => {
                let every = head.heartbeat.as_ref().map(|heartbeat| heartbeat.every);
                (words(head.read(frame, false)), every)
            }
            other => panic!("{other:?}"),
        })
    };
    let expected = || Ok(Ok((200, Bytes::new(), BodyKind::Iterator)));
    assert_eq!(
        read(tuple![1, "s", tuple![200, dict! { "A" => list!["b"] }, ()]]),
        (expected(), None)
    );
    let every = Some(Duration::from_millis(100));
    assert_eq!(
        read(tuple![1, "s", tuple![200, (), 0.0]]),
        (expected(), every),
        "at least so long"
    );
    assert_eq!(
        read(tuple![1, "s", tuple![200, (), f64::INFINITY]]),
        (expected(), None)
    );
}

#[test]
fn parts_are_at_most_64_kib_and_a_large_one_is_not_copied() {
    let payload = payload(&[
        tuple![1, Py::bytes(*b"small")],
        tuple![2, Py::Bytes(vec![7; PART])],
    ]);
    let parts: Vec<_> = payload
        .messages()
        .unwrap()
        .map(|message| match message.unwrap() {
            Message {
                id,
                kind: Kind::Part(bytes),
                times: None,
            } => (id, payload.share(bytes)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(parts[0], (1, "small".into()));
    assert_eq!(parts[1], (2, vec![7; PART].into()));
    let inside = payload.as_bytes().as_ptr_range();
    assert!(
        !inside.contains(&parts[0].1.as_ptr()),
        "a small one would keep all of the frame"
    );
    assert!(inside.contains(&parts[1].1.as_ptr()));
    let words = refused(tuple![1, Py::Bytes(vec![0; PART + 1])]);
    assert!(
        words.ends_with("found 65537 bytes at byte 15, expected at most 64 KiB of a body"),
        "{words}"
    );
}

#[test]
fn a_large_body_is_a_share_of_its_frame() {
    let body = "a".repeat(60_000);
    let payload = payload(&[tuple![1, "r", tuple![200, body.as_str(), ()]]]);
    let message: Result<Message<'_>, FrameError> = payload.messages().unwrap().next().unwrap();
    let Kind::Reply(reply) = message.unwrap().kind else {
        panic!("no reply")
    };
    let (_, bytes, _) = whole(reply.read(payload.as_bytes(), false).unwrap().unwrap());
    assert_eq!(bytes, body);
    assert!(payload.as_bytes().as_ptr_range().contains(&bytes.as_ptr()));
}

#[test]
fn exceptions_come_with_their_chain() {
    let frame = tuple![
        "app.py",
        3,
        "handle",
        true,
        1,
        list!["def handle():", "    raise"]
    ];
    let chain = list![
        tuple!["", "ValueError: no", list![frame]],
        tuple!["cause", "KeyError", list![]],
        tuple!["context", "", list![]]
    ];
    let frame = Frame::new("app.py".to_owned(), 3, "handle".to_owned(), true)
        .with_source(1, vec!["def handle():".to_owned(), "    raise".to_owned()]);
    let links = vec![
        Link::new(Relation::Raised, "ValueError: no".to_owned(), vec![frame]),
        Link::new(Relation::Cause, "KeyError".to_owned(), Vec::new()),
        Link::new(Relation::Context, String::new(), Vec::new()),
    ];
    let message = tuple![
        1,
        "e",
        tuple!["ValueError", "no", "Traceback", "app.py:3", chain]
    ];
    with(message, |message, _| match message.kind {
        Kind::Raised(exception) => assert_eq!(exception, raised("no").with_chain(links)),
        other => panic!("{other:?}"),
    });
}

#[test]
fn the_other_ways_to_answer_are_told_apart() {
    with(
        tuple![1, "u", tuple![413, "too large"]],
        |message, _| match message.kind {
            Kind::Upload(fault) => assert_eq!(
                fault,
                UploadFault {
                    status: 413,
                    text: "too large".to_owned()
                }
            ),
            other => panic!("{other:?}"),
        },
    );
    with(tuple![1, "x"], |message, _| {
        assert!(matches!(message.kind, Kind::NotRun));
    });
}

#[test]
fn a_streamed_body_ends_in_one_of_six_ways() {
    let ending = |fault: Py, closing: Py| {
        with(
            tuple![1, "end", fault, closing],
            |message, _| match message.kind {
                Kind::End { fault, closing } => (fault, closing),
                other => panic!("{other:?}"),
            },
        )
    };
    let fault = |fault| (Some(fault), None);
    assert_eq!(ending(().into(), ().into()), (None, None));
    let closed = (None, Some(raised("closing")));
    assert_eq!(ending(().into(), raised_tuple("closing")), closed);
    assert_eq!(
        ending(tuple!["e", raised_tuple("no")], ().into()),
        fault(Fault::Raised(raised("no")))
    );
    assert_eq!(
        ending(tuple!["interrupted"], ().into()),
        fault(Fault::Interrupted)
    );
    let broken = UploadFault {
        status: 400,
        text: "gone".to_owned(),
    };
    assert_eq!(
        ending(tuple!["u", tuple![400, "gone"]], ().into()),
        fault(Fault::Upload(broken))
    );
    let words = "set (chunk 3): expected str, bytes, bytearray or memoryview";
    match ending(tuple!["c", words], ().into()).0 {
        Some(Fault::Contract(failure)) => {
            assert_eq!(
                (failure.rule(), &*failure.to_string()),
                (Rule::Chunk, words)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_message_is_refused_by_what_it_is_and_where() {
    let cases = [
        (
            tuple![],
            "id: found the end of a tuple at byte 10, expected u64",
        ),
        (list![1], "id: found a list of 1 at byte 5, expected u64"),
        (tuple![-1, "x"], "id: found -1 at byte 10, expected u64"),
        (tuple![true, "x"], "id: found True at byte 10, expected u64"),
        (
            tuple![Py::BigInt, "x"],
            "id: found an int beyond 64 bits at byte 10, expected u64",
        ),
        (
            tuple![1, ()],
            "kind: found None at byte 15, expected a word",
        ),
        (
            tuple![1],
            "kind: found the end of a tuple at byte 15, expected a word",
        ),
        (
            tuple![1, "q"],
            "kind: found \"q\" at byte 15, expected one of r bytes p f s end a b c e u x",
        ),
        (
            tuple![1, "r"],
            "kind.r: found the end of a tuple at byte 21, expected a value",
        ),
        (
            tuple![1, Py::bytes(*b"a"), 0.5],
            "times.returned: found the end of a tuple at byte 30, expected f64",
        ),
        (
            tuple![1, "x", 0.5],
            "times.returned: found the end of a tuple at byte 30, expected f64",
        ),
        (
            tuple![1, "x", 0.5, -0.5, 1.0],
            "times.returned: found -0.5 at byte 30, expected seconds",
        ),
        (
            tuple![1, "x", f64::NAN, 0.5, 1.0],
            "times.called: found NaN at byte 21, expected seconds",
        ),
        (
            tuple![1, "x", 0.5, 0.5, 1.0, 1.0],
            "found 1 more items at byte 48, expected the end of a tuple",
        ),
        (
            tuple![1, "e", ()],
            "kind.e.type_name: found None at byte 21, expected a string",
        ),
        (
            tuple![1, "e", tuple!["a", "b", "c", "d"]],
            "kind.e.chain: found the end of a tuple at byte 50, expected a sequence",
        ),
        (
            tuple![1, "u", tuple![200, "a"]],
            "kind.u.status: found 200 at byte 26, expected a status from 400 to 599",
        ),
        (
            tuple![1, "u", tuple![-1, "a"]],
            "kind.u.status: found -1 at byte 26, expected u16",
        ),
        (
            tuple![1, "p", tuple![200, "x", ()]],
            "kind.p.body: found \"x\" at byte 31, expected one of t b",
        ),
        (
            tuple![1, "s", tuple![200, (), "5"]],
            "kind.s.heartbeat: found \"5\" at byte 32, expected f64",
        ),
        (
            tuple![1, "end", tuple!["z"], ()],
            "kind.end.fault: found \"z\" at byte 28, expected one of e c u interrupted",
        ),
        (
            tuple![1, "end", tuple!["c", 1], ()],
            "kind.end.fault.c: found 1 at byte 34, expected a string",
        ),
        (
            tuple![1, "f", tuple!["rule", "text"]],
            "kind.f.rule: found \"rule\" at byte 26, expected one of tuple status body headers header_name header_value header_lines content_length hop_by_hop no_body chunk stream_length",
        ),
        (
            tuple![1, "f", tuple!["status", 5]],
            "kind.f.text: found 5 at byte 37, expected a string",
        ),
    ];
    for (message, words) in cases {
        assert_eq!(refused(message), words);
    }
}

#[test]
fn a_payload_is_a_list_and_nothing_behind_it() {
    let words = |payload: &'static [u8]| {
        let payload = Payload::new(Bytes::from_static(payload));
        match payload.messages::<Message<'_>>() {
            Ok(mut messages) => messages
                .find_map(Result::err)
                .map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    };
    assert_eq!(words(b"[\0\0\0\0"), None);
    let rest = Some("found 1 bytes at byte 5, expected the end of the frame".to_owned());
    assert_eq!(words(b"[\0\0\0\0N"), rest);
    let rest = Some("found 1 bytes at byte 21, expected the end of the frame".to_owned());
    assert_eq!(
        words(b"[\x01\0\0\0(\x02\0\0\0i\x01\0\0\0u\x01\0\0\0xN"),
        rest
    );
    assert_eq!(
        words(b"N"),
        Some("found something else at byte 0, expected a list of messages".to_owned())
    );
    assert_eq!(
        words(b""),
        Some("found the end of the frame at byte 0, expected more of a value".to_owned())
    );
}

proptest! {
    #[test]
    fn whatever_is_sent_is_a_message_or_is_refused_in_a_few_words(
        word in "r|p|f|s|end|e|u|x|hello|ok|error|log|read",
        items in proptest::collection::vec(any_value(), 0..12),
    ) {
        let said = [Py::from(word.as_str())].into_iter().chain(items);
        let payload = payload(&[
            Py::Tuple([1.into()].into_iter().chain(said.clone()).collect()),
            Py::Tuple(said.collect()),
        ]);
        let message = payload.messages::<Message<'_>>().unwrap().next().unwrap();
        let notification = payload.messages::<Notification<'_>>().unwrap().next().unwrap();
        for error in [message.err(), notification.err()].into_iter().flatten() {
            prop_assert!(error.to_string().len() < 400, "{}", error);
        }
    }
}

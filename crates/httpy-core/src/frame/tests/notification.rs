//! What a worker says on its control socket.

use super::{Py, dict, list, payload, tuple};
use serde::de::DeserializeOwned;

use crate::frame::{Facts, LogRecord, Notification, Unread};
use crate::log::Record;
use crate::{BodyMode, Exception, Interface, Kind, Lane, LoadErrorKind, TargetId};

fn with<R>(message: Py, take: impl FnOnce(Notification<'_>) -> R) -> R {
    let payload = payload(&[message]);
    let mut notifications = payload.messages().unwrap();
    let notification = notifications.next().unwrap().unwrap();
    assert!(notifications.next().is_none());
    take(notification)
}

fn refused(message: Py) -> String {
    let payload = payload(&[message]);
    let mut notifications = payload.messages::<Notification<'_>>().unwrap();
    let error = notifications.next().unwrap().unwrap_err().to_string();
    assert!(notifications.next().is_none());
    error
}

fn facts() -> Vec<(Py, Py)> {
    let facts = dict! {
        "pid" => 12,
        "version" => "3.11.7",
        "gil" => true,
        "executable" => Py::Str(b"/venv\xed\xb3\xbf/python".to_vec()),
        "prefix" => "/venv",
        "httpy_rs" => "0.1.0",
        "warning" => "a copy",
    };
    match facts {
        Py::Dict(facts) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_one_says_what_runs_the_worker() {
    let expected = Facts {
        pid: 12,
        version: "3.11.7".to_owned(),
        gil: true,
        executable: "/venv\u{fffd}\u{fffd}\u{fffd}/python".to_owned(),
        prefix: "/venv".to_owned(),
        warning: Some("a copy".to_owned()),
    };
    with(
        tuple!["hello", 1, Py::Dict(facts())],
        |notification| match notification {
            Notification::Hello { protocol: 1, facts } => assert_eq!(facts, expected),
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn a_fact_that_is_missing_or_no_fact_is_named() {
    let words = |facts| refused(tuple!["hello", 1, Py::Dict(facts)]);
    for (index, key) in ["pid", "version", "gil"].into_iter().enumerate() {
        let mut facts = facts();
        facts.remove(index);
        let expected = format!("hello.facts: found a dict at byte 25, expected the key {key}");
        assert_eq!(words(facts), expected);
    }
    let mut odd = facts();
    odd[6].1 = 0.into();
    let expected = "hello.facts.warning: found 0 at byte 162, expected a string";
    assert_eq!(words(odd), expected);
    let mut odd = facts();
    odd[0].0 = 0.into();
    assert_eq!(
        words(odd),
        "hello.facts: found 0 at byte 26, expected field identifier"
    );
    assert_eq!(
        refused(tuple!["hello", 1, ()]),
        "hello.facts.pid: found None at byte 25, expected u32"
    );
}

#[test]
fn answers_come_with_their_number() {
    with(
        tuple!["ok", 4, list![1]],
        |notification| match notification {
            Notification::Ok { seq: 4, answer } => assert_eq!(Py::from(answer.value()), list![1]),
            other => panic!("{other:?}"),
        },
    );
    let exception = tuple!["KeyError", "'a'", "Traceback", "a.py:1", tuple![]];
    with(
        tuple!["error", 5, "import", "importing raised", exception],
        |notification| match notification {
            Notification::Error { seq: 5, error } => {
                assert_eq!(error.kind, LoadErrorKind::Import);
                assert_eq!(error.message, "importing raised");
                let text = |text: &str| text.to_owned();
                let expected = Exception::new(
                    text("KeyError"),
                    text("'a'"),
                    text("Traceback"),
                    text("a.py:1"),
                );
                assert_eq!(error.exception, Some(expected));
            }
            other => panic!("{other:?}"),
        },
    );
    with(
        tuple!["error", 5, "of a later version", "no target", ()],
        |notification| match notification {
            Notification::Error { error, .. } => {
                assert_eq!(error.kind, LoadErrorKind::Internal);
                assert_eq!(error.exception, None);
            }
            other => panic!("{other:?}"),
        },
    );
    with(tuple!["ready"], |notification| {
        assert!(matches!(notification, Notification::Ready));
    });
}

#[test]
fn what_is_logged_may_belong_to_a_job() {
    let record = LogRecord {
        lane: Some(Lane::Worker),
        id: Some(7),
        record: Record {
            level: 30,
            python_level: None,
            logger: "app".to_owned(),
            message: "hello".to_owned(),
            place: "app.py:3".to_owned(),
            extra: Some("{}".to_owned()),
            exception: None,
            stack: None,
        },
    };
    with(
        tuple![
            "log",
            "sync",
            7,
            30,
            (),
            "app",
            "hello",
            "{}",
            (),
            (),
            "app.py:3"
        ],
        |notification| match notification {
            Notification::Log(found) => assert_eq!(*found, record),
            other => panic!("{other:?}"),
        },
    );
    let said = |text: &str| Some(text.to_owned());
    let (python_level, exception, stack) = (said("NOTICE"), said("Traceback"), said("Stack"));
    let record = Record {
        python_level,
        extra: None,
        exception,
        stack,
        ..record.record
    };
    let (lane, id) = (None, None);
    let record = LogRecord { lane, id, record };
    with(
        tuple![
            "log",
            (),
            (),
            30,
            "NOTICE",
            "app",
            "hello",
            (),
            "Traceback",
            "Stack",
            "app.py:3"
        ],
        |notification| match notification {
            Notification::Log(found) => assert_eq!(*found, record),
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(
        refused(tuple!["log", "sync", 7, "x"]),
        "log.record.level: found \"x\" at byte 32, expected i64"
    );
}

#[test]
fn credit_for_an_upload_names_its_job() {
    with(tuple!["read", "async", 7, 4096], |notification| {
        assert!(matches!(
            notification,
            Notification::Read {
                lane: Lane::EventLoop,
                id: 7,
                bytes: 4096
            }
        ));
    });
    assert_eq!(
        refused(tuple!["read", "other", 7, 1]),
        "read.lane: found \"other\" at byte 19, expected one of sync async"
    );
    assert_eq!(
        refused(tuple!["read", (), (), 1]),
        "read.lane: found None at byte 19, expected a word"
    );
    assert_eq!(
        refused(tuple!["read", "sync", 7, -1]),
        "read.bytes: found -1 at byte 33, expected u64"
    );
}

#[test]
fn what_is_no_notification_is_refused() {
    let words = "found \"what\" at byte 10, expected one of hello ready ok error log read";
    assert_eq!(refused(tuple!["what"]), words);
    assert_eq!(
        refused(tuple!["ready", 1]),
        "found 1 more items at byte 20, expected the end of a tuple"
    );
    assert_eq!(refused(1.into()), "found 1 at byte 5, expected a word");
}

type Routes = Vec<(String, Vec<String>)>;

/// What an answer is, and the words for one that is none.
fn answer<R: DeserializeOwned>(answer: &Py) -> Result<R, String> {
    let answer = answer.dump();
    let read = Unread::new(&answer).unwrap().read("answer");
    read.map_err(|error| error.to_string())
}

#[test]
fn answers_are_read_as_what_was_asked() {
    let id = TargetId {
        index: 2,
        interface: Interface {
            kind: Kind::Handler,
            lane: Lane::EventLoop,
            body: BodyMode::Bytes,
        },
    };
    assert_eq!(answer(&tuple![2, "handler", "async", "bytes"]), Ok(id));
    for ([kind, lane, body], words) in [
        (
            ["other", "async", "bytes"],
            "interface.kind: found \"other\" at byte 10, expected one of handler asgi wsgi",
        ),
        (
            ["handler", "other", "bytes"],
            "interface.lane: found \"other\" at byte 22, expected one of sync async",
        ),
        (
            ["handler", "async", "other"],
            "interface.body: found \"other\" at byte 32, expected one of text bytes stream",
        ),
    ] {
        assert_eq!(
            answer::<TargetId>(&tuple![2, kind, lane, body]),
            Err(format!("answer.{words}"))
        );
    }
    let expected: Routes = vec![
        ("/a".to_owned(), vec!["GET".to_owned(), "PUT".to_owned()]),
        ("/b".to_owned(), Vec::new()),
    ];
    assert_eq!(
        answer(&list![
            tuple!["/a", list!["GET", "PUT"]],
            tuple!["/b", list![]]
        ]),
        Ok(expected)
    );
    let words = "answer.0.1: found 1 at byte 17, expected a sequence";
    assert_eq!(
        answer::<Routes>(&list![tuple!["/a", 1]]),
        Err(words.to_owned())
    );
    let expected = vec![(Lane::EventLoop, 3_u64, "app.py:1".to_owned())];
    assert_eq!(answer(&list![tuple!["async", 3, "app.py:1"]]), Ok(expected));
}

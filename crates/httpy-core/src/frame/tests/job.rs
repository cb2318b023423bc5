//! A call as the worker gets it.

use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use proptest::prelude::*;

use super::{Py, dict, list, payload, tuple};
use crate::frame::{
    Batch, Command, Feed, JobBody, JobMessage, Order, PART, Question, TooLong, Value, Writer, cut,
    write_part,
};
use crate::{Call, ExitLimits, Fields, Headers, Lane, UploadFault};

fn call() -> Call {
    let mut map = HeaderMap::new();
    let lines: [(&str, &[u8]); 6] = [
        ("accept", b"a"),
        ("x-odd-name", b"\xe9"),
        ("accept", b"b"),
        ("cookie", b"c=1"),
        ("cookie", b"d=2"),
        ("x-empty", b""),
    ];
    for (name, value) in lines {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    let (mut params, mut query) = (Fields::new(), Fields::new());
    params.push("größe".as_bytes(), b"\xff");
    for (name, value) in [("a", "1"), ("b", ""), ("a", "2")] {
        query.push(name.as_bytes(), value.as_bytes());
    }
    let mut call = Call::new(
        Method::from_bytes(b"PROPFIND").unwrap(),
        Uri::from_static("/caf%C3%A9/%ff"),
    );
    call.decoded_path = Some(b"/caf\xc3\xa9/\xff".to_vec());
    (call.params, call.query) = (params, query);
    call.headers = Headers::new(&map, None);
    call.details.target = Uri::from_static("http://example.org/caf%C3%A9/%ff?a=1&b=&a=2");
    call.details.route = Some("/caf%C3%A9/{größe}".to_owned());
    call.details.client = Some("[::1]:8080".parse().unwrap());
    call.details.scheme = Scheme::HTTPS;
    call.details.version = Version::HTTP_2;
    call.details.extras = Some("{}".to_owned());
    call
}

fn written(call: &Call, body: JobBody<'_>) -> Py {
    let message = JobMessage {
        id: 7,
        handler: 3,
        kind: crate::Kind::Handler,
        call,
        body,
        left: Duration::from_millis(1500),
        wants_timings: true,
        chunk_timeout: Duration::from_secs(30),
    };
    let mut bytes = Vec::new();
    message.write(&mut Writer::new(&mut bytes));
    Value::read(&bytes).unwrap().into()
}

#[test]
fn a_job_has_its_six_arguments_and_its_details() {
    let headers = dict! {
        "Host" => list![""],
        "Accept" => list!["a", "b"],
        "X-Odd-Name" => list!["é"],
        "Cookie" => list!["c=1; d=2"],
        "X-Empty" => list![""],
    };
    let details = tuple![
        "/caf%C3%A9/%ff?a=1&b=&a=2",
        "/caf%C3%A9/{größe}",
        tuple!["::1", 8080],
        "https",
        "2",
        1.5,
        "{}",
        (),
        true,
        30.0
    ];
    let expected = tuple![
        7,
        3,
        "PROPFIND",
        Py::Str(b"/caf\xc3\xa9/\xed\xb3\xbf".to_vec()),
        dict! { "größe" => list![Py::Str(b"\xed\xb3\xbf".to_vec())] },
        dict! { "a" => list!["1", "2"], "b" => list![""] },
        headers,
        Py::Str(b"x\xed\xb2\x80".to_vec()),
        details
    ];
    assert_eq!(written(&call(), JobBody::Text(b"x\x80")), expected);
}

#[test]
fn the_body_is_what_the_handler_wants() {
    let body = |body| match written(&call(), body) {
        Py::Tuple(mut items) => items.swap_remove(7),
        other => panic!("{other:?}"),
    };
    assert_eq!(body(JobBody::Bytes(b"\x80")), Py::bytes(*b"\x80"));
    assert_eq!(body(JobBody::Ahead), Py::None);
    assert_eq!(body(JobBody::Stream), Py::Bool(true));
}

#[test]
fn a_part_is_no_longer_than_a_part() {
    let mut batch = Batch::new();
    assert_eq!(
        write_part(&mut batch, 1, &vec![0; PART + 1]),
        Err(TooLong { bytes: PART + 1 })
    );
    write_part(&mut batch, 1, &vec![7; PART]).unwrap();
    let payload = cut(&mut batch.as_bytes().into()).unwrap().unwrap();
    assert_eq!(
        Py::from(Value::read(payload.as_bytes()).unwrap()),
        list![tuple![1, Py::Bytes(vec![7; PART])]]
    );
}

#[test]
fn every_command_has_its_word_and_what_belongs_to_it() {
    let fault = UploadFault {
        status: 413,
        text: "too large".to_owned(),
    };
    let ask = |question| Command::Ask { seq: 9, question };
    let order = |order| Command::Job {
        lane: Lane::EventLoop,
        id: 5,
        order,
    };
    let upload = |feed| order(Order::Upload(feed));
    let cases = [
        (
            ask(Question::Load(crate::Kind::Asgi, "m:f")),
            tuple!["load", 9, "asgi", "m:f"],
        ),
        (ask(Question::Init("m:f")), tuple!["init", 9, "m:f"]),
        (
            ask(Question::LoadShutdown("m:f")),
            tuple!["load_shutdown", 9, "m:f"],
        ),
        (
            ask(Question::ShutDown(ExitLimits {
                shielded: Duration::from_millis(1500),
                rest: Duration::from_millis(500),
            })),
            tuple!["shut_down", 9, 0.5, 1.5],
        ),
        (ask(Question::Examine), tuple!["examine", 9]),
        (ask(Question::Stacks), tuple!["stacks", 9]),
        (ask(Question::Figures), tuple!["figures", 9]),
        (order(Order::Cancel), tuple!["cancel", "async", 5]),
        (order(Order::Interrupt), tuple!["interrupt", "async", 5]),
        (
            order(Order::Credit(1 << 40)),
            tuple!["credit", "async", 5, 1 << 40],
        ),
        (
            upload(Feed::Chunk(b"abc")),
            tuple!["upload", "async", 5, Py::bytes(*b"abc")],
        ),
        (upload(Feed::End), tuple!["upload", "async", 5, ()]),
        (
            upload(Feed::Fault(&fault)),
            tuple!["upload", "async", 5, tuple![413, "too large"]],
        ),
        (
            Command::Job {
                lane: Lane::Worker,
                id: 1,
                order: Order::Cancel,
            },
            tuple!["cancel", "sync", 1],
        ),
        (
            Command::Prepare("worker:handle"),
            tuple!["prepare", "worker:handle"],
        ),
        (Command::Relieve, tuple!["relieve"]),
        (Command::Stop, tuple!["stop"]),
        (Command::LogLevel(-1), tuple!["log_level", -1]),
    ];
    for (command, expected) in cases {
        let mut bytes = Vec::new();
        command.write(&mut Writer::new(&mut bytes));
        assert_eq!(super::value(&bytes), Ok(expected), "{command:?}");
    }
}

#[test]
fn messages_of_a_batch_are_one_list() {
    let payload = payload(&[tuple![1], tuple![2]]);
    assert_eq!(
        Py::from(Value::read(payload.as_bytes()).unwrap()),
        list![tuple![1], tuple![2]]
    );
}

/// Names and their values, in the order in which each name came first.
fn grouped(pairs: &[(u8, Vec<u8>)]) -> Py {
    let mut groups: Vec<(Py, Py)> = Vec::new();
    for (name, value) in pairs {
        let (name, value) = (Py::Str(vec![b'a' + name]), Py::Str(value.clone()));
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, Py::List(values))) => values.push(value),
            _ => groups.push((name, Py::List(vec![value]))),
        }
    }
    Py::Dict(groups)
}

proptest! {
    /// Few fields and many are grouped in different ways.
    #[test]
    fn fields_are_grouped_by_their_names_in_order(
        pairs in proptest::collection::vec((0_u8..20, "[a-z]{0,3}".prop_map(String::into_bytes)), 0..50)
    ) {
        let mut query = Fields::new();
        for (name, value) in &pairs {
            query.push(&[b'a' + name], value);
        }
        let Py::Tuple(items) = written(&Call { query, ..call() }, JobBody::Ahead) else { panic!("no tuple") };
        prop_assert_eq!(&items[5], &grouped(&pairs));
    }
}

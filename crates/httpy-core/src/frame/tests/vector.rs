//! The contract's vectors through a frame: what the worker's own code sends, as the server reads it.

use std::env;
use std::process::{Command, Stdio};

use bytes::{Bytes, BytesMut};
use http::Method;

use super::Py;
use crate::frame::{FrameError, Kind, Message, Payload, Value, cut};
use crate::{Chunks, Content, Reply, Returned, stream};

/// Writes, for each vector, a frame with what the worker would send, and one with the vector itself.
const WORKER: &str = r#"
import http, json, sys
from httpy_rs._worker.frame import frame
from httpy_rs._worker.reply import answer

with open(sys.argv[1], encoding="utf-8") as file:
    vectors = json.load(file)
for vector in vectors:
    reply = answer("worker:go_request", eval(vector["returns"], {"http": http}), is_async=False)
    sys.stdout.buffer.write(frame([(1, reply.ahead), (1, *reply.said)]))
    expected = [vector[key] for key in ("status", "headers", "body", "warnings")] if "status" in vector else [vector["failure"]]
    sys.stdout.buffer.write(frame([(vector["name"], vector["method"], reply.stream is not None, expected)]))
"#;

/// What is said of a job, read.
fn judged(payload: &Payload, method: &Method) -> Result<Result<Reply, String>, FrameError> {
    let frame = payload.as_bytes();
    let mut messages = payload.messages::<Message<'_>>()?;
    let (Some(ahead), Some(reply), None) = (messages.next(), messages.next(), messages.next())
    else {
        panic!("two messages")
    };
    let ahead = match ahead?.kind {
        Kind::Part(bytes) => payload.share(bytes),
        other => panic!("{other:?}"),
    };
    let read = match reply?.kind {
        Kind::Reply(reply) => reply.read(frame, false)?,
        Kind::Rest(rest) => rest.read(frame, &ahead, false)?,
        Kind::Head(head) => head.read(frame, false)?.map(|returned| {
            let chunks = Chunks {
                reader: stream(1).1,
                heartbeat: None,
            };
            Returned {
                body: Content::Stream(chunks),
                ..returned
            }
        }),
        Kind::Refused(failure) => Err(failure),
        other => panic!("{other:?}"),
    };
    Ok(read
        .and_then(|returned| returned.check(method))
        .map_err(|failure| failure.to_string()))
}

fn text(bytes: &[u8]) -> Py {
    let characters: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    characters.as_str().into()
}

#[test]
fn every_vector_has_the_same_outcome_through_a_frame() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let python = env::var_os("PYO3_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = Command::new(python);
    command.args([
        "-W",
        "ignore",
        "-c",
        WORKER,
        &format!("{root}/tests/vectors/replies.json"),
    ]);
    command
        .env("PYTHONPATH", format!("{root}/python"))
        .stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success());

    let mut arrived = BytesMut::from(&output.stdout[..]);
    let mut count = 0;
    while let Some(said) = cut(&mut arrived).unwrap() {
        let vector: Bytes = cut(&mut arrived).unwrap().unwrap().as_bytes().clone();
        let Py::List(mut vector) = Value::read(&vector).unwrap().into() else {
            panic!("no list")
        };
        let Some(Py::Tuple(vector)) = vector.pop() else {
            panic!("no tuple")
        };
        let [
            Py::Str(name),
            Py::Str(method),
            Py::Bool(streamed),
            Py::List(expected),
        ] = &vector[..]
        else {
            panic!("{vector:?}")
        };
        let name = String::from_utf8_lossy(name);
        let found = judged(&said, &Method::from_bytes(method).unwrap()).unwrap();
        match (found, &expected[..]) {
            (Err(failure), [words]) => assert_eq!(Py::from(failure.as_str()), *words, "{name}"),
            (Ok(reply), [status, Py::List(headers), body, warnings]) => {
                assert_eq!(Py::Int(reply.status.as_u16().into()), *status, "{name}");
                let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    Py::List(vec![name.as_str().into(), text(value.as_bytes())])
                };
                let key = |line: &Py| format!("{line:?}");
                let mut lines: Vec<Py> = reply.headers.iter().map(line).collect();
                let mut headers = headers.clone();
                lines.sort_by_key(key);
                headers.sort_by_key(key);
                assert_eq!(lines, headers, "{name}");
                match &reply.body {
                    Content::Whole(bytes) => assert_eq!(text(bytes), *body, "{name}"),
                    Content::Stream(_) => assert!(streamed, "{name}"),
                }
                let found = reply
                    .warnings
                    .iter()
                    .map(|warning| warning.text.as_str().into())
                    .collect();
                assert_eq!(Py::List(found), *warnings, "{name}");
            }
            (found, expected) => panic!("{name}: {found:?}, expected {expected:?}"),
        }
        count += 1;
    }
    assert!(count > 150, "{count}");
}

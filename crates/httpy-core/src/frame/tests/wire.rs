//! The messages of `tests/vectors/wire.json`, which the tests of the worker's own code read and make, too: what is for a
//! worker is written here from the names of its parts, and what is for the host read into them.

use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::frame::{
    AppHead, Batch, Command, Feed, JobBody, JobMessage, Kind, Message, Notification, Order,
    Payload, Question, Unread, Value, Writer, write_part,
};
use crate::{
    Call, Content, Exception, ExitLimits, Fault, Fields, Headers, Lane, Returned, TargetId,
    UploadFault,
};

fn vectors(to: &str, on: &str) -> Vec<(String, Json, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/wire.json");
    let all: Vec<Json> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let of = |vector: &Json| vector["to"] == to && vector["on"] == on;
    let found: Vec<_> = all
        .iter()
        .filter(|vector| of(vector))
        .map(|vector| {
            let hex = text(&vector["hex"]);
            let digits = (0..hex.len()).step_by(2);
            let bytes = digits.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            (
                text(&vector["name"]).to_owned(),
                vector["fields"].clone(),
                bytes.collect(),
            )
        })
        .collect();
    assert!(!found.is_empty());
    found
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json}"))
}

fn optional(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("{json}"))
}

fn seconds(json: &Json) -> Duration {
    Duration::from_secs_f64(json.as_f64().unwrap_or_else(|| panic!("{json}")))
}

/// As the vectors have bytes: each a character.
fn bytes(json: &Json) -> Vec<u8> {
    let characters = text(&json["bytes"]).chars();
    characters
        .map(|character| u8::try_from(character).unwrap())
        .collect()
}

fn given(bytes: &[u8]) -> Json {
    let characters: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    json!({ "bytes": characters })
}

fn pairs(json: &Json) -> Vec<(&str, &str)> {
    let names = json.as_object().unwrap().iter();
    let lines = names.flat_map(|(name, values)| {
        let values = values.as_array().unwrap().iter();
        values.map(|value| (name.as_str(), text(value)))
    });
    lines.collect()
}

fn fields(json: &Json) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in pairs(json) {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn call(parts: &Json) -> Call {
    let mut map = HeaderMap::new();
    let is_app = parts["query"].is_null();
    if is_app {
        for line in parts["params"]["headers"].as_array().unwrap() {
            map.append(
                HeaderName::from_bytes(&bytes(&line[0])).unwrap(),
                HeaderValue::from_bytes(&bytes(&line[1])).unwrap(),
            );
        }
    } else {
        for (name, value) in pairs(&parts["headers"]) {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
    }
    let method = Method::from_bytes(text(&parts["method"]).as_bytes()).unwrap();
    let mut call = Call::new(method, Uri::from_static("/"));
    call.decoded_path = Some(text(&parts["path"]).as_bytes().to_vec());
    if is_app {
        call.uri = text(&parts["target"]).parse().unwrap();
    } else {
        (call.params, call.query) = (fields(&parts["params"]), fields(&parts["query"]));
    }
    call.headers = Headers::new(&map, None);
    let details = &mut call.details;
    details.target = text(&parts["target"]).parse().unwrap();
    details.route = optional(&parts["route"]);
    details.client = parts["client"].as_array().map(|client| {
        let ip: std::net::IpAddr = text(&client[0]).parse().unwrap();
        (ip, u16::try_from(number(&client[1])).unwrap()).into()
    });
    details.scheme = Scheme::try_from(text(&parts["scheme"])).unwrap();
    details.version = match text(&parts["version"]) {
        "2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    details.extras = optional(&parts["extras"]);
    // That of an application's is read from its headers.
    details.trace = optional(&parts["trace"]).filter(|_| !is_app);
    call
}

#[test]
fn what_is_for_a_worker_is_written_from_its_names() {
    for (name, parts, expected) in vectors("worker", "lane") {
        let mut batch = Batch::new();
        if name == "part" {
            write_part(&mut batch, number(&parts["number"]), &bytes(&parts["data"])).unwrap();
        } else {
            let (call, data) = (
                call(&parts),
                parts["body"].get("bytes").map(|_| bytes(&parts["body"])),
            );
            let body = match &parts["body"] {
                Json::Null => JobBody::Ahead,
                Json::Bool(true) => JobBody::Stream,
                Json::String(text) => JobBody::Text(text.as_bytes()),
                _ => JobBody::Bytes(data.as_deref().unwrap()),
            };
            let job = JobMessage {
                id: number(&parts["number"]),
                handler: usize::try_from(number(&parts["handler"])).unwrap(),
                kind: if parts["query"].is_null() {
                    crate::Kind::Asgi
                } else {
                    crate::Kind::Handler
                },
                call: &call,
                body,
                left: seconds(&parts["seconds"]),
                wants_timings: parts["is_timed"].as_bool().unwrap(),
                chunk_timeout: seconds(&parts["chunk_timeout"]),
            };
            batch.add(|writer| job.write(writer)).unwrap();
        }
        // Behind the length of the frame, and the head of its list.
        assert_eq!(batch.as_bytes()[9..], expected, "{name}");
    }
    for (name, parts, expected) in vectors("worker", "control") {
        let mut found = Vec::new();
        write_command(&name, &parts, &mut Writer::new(&mut found));
        assert_eq!(found, expected, "{name}");
    }
}

fn write_command(name: &str, parts: &Json, writer: &mut Writer<'_>) {
    let target = parts["name"].as_str().unwrap_or_default();
    let item = &parts["item"];
    let (data, fault);
    let order = match name {
        "cancel" => Some(Order::Cancel),
        "left" => Some(Order::Left),
        "interrupt" => Some(Order::Interrupt),
        "credit" => Some(Order::Credit(number(&parts["size"]))),
        "upload" => {
            data = bytes(item);
            Some(Order::Upload(Feed::Chunk(&data)))
        }
        "upload of the end" => Some(Order::Upload(Feed::End)),
        "upload of a fault" => {
            fault = UploadFault {
                status: u16::try_from(number(&item[0])).unwrap(),
                text: text(&item[1]).to_owned(),
            };
            Some(Order::Upload(Feed::Fault(&fault)))
        }
        _ => None,
    };
    if let Some(order) = order {
        let lane = Lane::deserialize(&parts["lane"]).unwrap();
        let id = number(&parts["number"]);
        return Command::Job { lane, id, order }.write(writer);
    }
    let question = match name {
        "load" => {
            let kind = crate::Kind::deserialize(&parts["kind"]).unwrap();
            Question::Load(kind, target)
        }
        "init" => Question::Init(target),
        "load_shutdown" => Question::LoadShutdown(target),
        "shut_down" => Question::ShutDown(ExitLimits {
            shielded: seconds(&parts["shielded"]),
            rest: seconds(&parts["limit"]),
        }),
        "examine" => Question::Examine,
        "stacks" => Question::Stacks,
        "figures" => Question::Figures,
        "round" => Question::Round,
        "blocked" => Question::Blocked,
        "prepare" => return Command::Prepare(target).write(writer),
        "relieve" => return Command::Relieve.write(writer),
        "stop" => return Command::Stop.write(writer),
        "log_level" => {
            return Command::LogLevel(parts["level"].as_i64().unwrap()).write(writer);
        }
        other => panic!("{other}"),
    };
    let seq = number(&parts["number"]);
    Command::Ask { seq, question }.write(writer);
}

/// One message in the payload of a frame.
fn payload(message: &[u8]) -> Payload {
    Payload::new([b"[\x01\0\0\0", message].concat().into())
}

#[test]
fn what_is_for_the_host_is_read_by_its_names() {
    for (name, expected, bytes) in vectors("host", "lane") {
        let payload = payload(&bytes);
        let message = payload.messages().unwrap().next().unwrap().unwrap();
        assert_eq!(of_message(&message, &payload), expected, "{name}");
    }
    for (name, expected, bytes) in vectors("host", "control") {
        let payload = payload(&bytes);
        let found = payload.messages().unwrap().next().unwrap().unwrap();
        assert_eq!(of_notification(&found, &expected), expected, "{name}");
    }
    for (name, expected, bytes) in vectors("host", "answer") {
        let answer = Unread::new(&bytes).unwrap();
        let found = match name.as_str() {
            "loaded" => {
                let id: TargetId = answer.read("loaded").unwrap();
                let [kind, lane, body] = id.interface.words();
                json!({ "index": id.index, "kind": kind, "lane": lane, "body": body })
            }
            "stack" => {
                let (lane, id, stack): (Lane, u64, String) = answer.read("stack").unwrap();
                json!({ "lane": lane.word(), "number": id, "text": stack })
            }
            // The others are read in `httpy-process`.
            _ => continue,
        };
        assert_eq!(found, expected, "{name}");
    }
}

fn of_message(message: &Message<'_>, payload: &Payload) -> Json {
    let frame = payload.as_bytes();
    let mut found = match &message.kind {
        Kind::Part(bytes) => json!({ "data": given(bytes) }),
        Kind::Rest(rest) => {
            let ahead = Bytes::from_static(b"ahead");
            let returned = rest.read(frame, &ahead, false).unwrap().unwrap();
            assert!(matches!(&returned.body, Content::Whole(body) if *body == ahead));
            json!({
                "status": returned.status.as_u16(),
                "is_text": returned.kind == crate::BodyKind::Text,
                "headers": headers(&returned),
            })
        }
        Kind::Reply(reply) => {
            let returned = reply.read(frame, false).unwrap().unwrap();
            match &returned.body {
                Content::Whole(body) => {
                    let body = std::str::from_utf8(body).unwrap();
                    let is_absent = returned.kind == crate::BodyKind::Absent;
                    let body = (!is_absent).then_some(body);
                    let headers = (!is_absent).then(|| headers(&returned));
                    json!({ "result": [returned.status.as_u16(), body, headers] })
                }
                Content::Stream(_) => panic!("a stream"),
            }
        }
        Kind::App { head, body } => {
            let mut found = of_head(head);
            found["body"] = body.map_or(Json::Null, given);
            found
        }
        Kind::AppHead(head) => of_head(head),
        Kind::Refused(failure) => {
            let rule = format!("{:?}", failure.rule()).to_lowercase();
            json!({ "rule": rule, "text": failure.to_string() })
        }
        Kind::Head(head) => {
            let returned = head.read(frame, false).unwrap().unwrap();
            let heartbeat = head.heartbeat.as_ref().map(|it| it.every.as_secs_f64());
            json!({
                "status": returned.status.as_u16(),
                "headers": headers(&returned),
                "heartbeat": heartbeat,
            })
        }
        Kind::End { fault, closing } => {
            let fault = fault.as_ref().map(|fault| match fault {
                Fault::Raised(exception) => {
                    json!({ "raised": { "exception": of_exception(exception) } })
                }
                Fault::Upload(fault) => {
                    json!({ "broke_off": { "status": fault.status, "text": fault.text } })
                }
                Fault::Contract(failure) => {
                    json!({ "bad_chunk": { "text": failure.to_string() } })
                }
                Fault::Interrupted => json!({ "interrupted": {} }),
                other => panic!("{other:?}"),
            });
            json!({ "fault": fault, "closing": closing.as_ref().map(of_exception) })
        }
        Kind::Raised(exception) => json!({ "exception": of_exception(exception) }),
        Kind::Upload(fault) => json!({ "status": fault.status, "text": fault.text }),
        Kind::Complete | Kind::NotRun => json!({}),
    };
    found["number"] = message.id.into();
    if let Some(times) = message.times {
        let times = [times.called, times.returned, times.converted];
        found["times"] = times.map(|time| time.as_secs_f64()).to_vec().into();
    }
    found
}

fn of_head(head: &AppHead) -> Json {
    let lines = head.headers.iter();
    let headers = lines.map(|(name, value)| json!([given(name), given(value)]));
    json!({ "status": head.status.as_u16(), "headers": headers.collect::<Vec<_>>() })
}

/// Names with the lists of their values.
fn headers(returned: &Returned) -> Json {
    let mut found = json!({});
    for (name, value) in returned.headers.iter() {
        let [name, value] = [name, value].map(|it| std::str::from_utf8(it).unwrap());
        match &mut found[name] {
            Json::Array(values) => values.push(value.into()),
            none => *none = json!([value]),
        }
    }
    found
}

fn of_exception(exception: &Exception) -> Json {
    let links = exception.chain().iter().map(|link| {
        let frames = link.frames.iter().map(|frame| {
            json!([
                frame.file,
                frame.line,
                frame.function,
                frame.own,
                frame.first,
                frame.source
            ])
        });
        let relation = format!("{:?}", link.relation).to_lowercase();
        json!([relation, link.title, frames.collect::<Vec<_>>()])
    });
    json!([
        exception.type_name(),
        exception.message(),
        exception.traceback(),
        exception.place(),
        links.collect::<Vec<_>>(),
    ])
}

fn of_notification(notification: &Notification<'_>, expected: &Json) -> Json {
    match notification {
        Notification::Hello { protocol, facts } => json!({
            "protocol": protocol,
            "facts": {
                "pid": facts.pid,
                "version": facts.version,
                "gil": facts.gil,
                "executable": facts.executable,
                "prefix": facts.prefix,
                "warning": facts.warning,
                // For people who look at what a worker sends.
                "httpy_rs": expected["facts"]["httpy_rs"],
            },
        }),
        Notification::Ready => json!({}),
        Notification::Ok { seq, answer } => {
            assert!(matches!(answer.value(), Value::None));
            json!({ "number": seq, "value": null })
        }
        Notification::Error { seq, error } => json!({
            "number": seq,
            "kind": format!("{:?}", error.kind).to_lowercase(),
            "text": error.message,
            "exception": error.exception.as_ref().map(of_exception),
        }),
        Notification::Log(log) => {
            let record = &log.record;
            json!({
                "lane": log.lane.map(Lane::word),
                "number": log.id,
                "level": record.level,
                "level_name": record.python_level,
                "logger": record.logger,
                "text": record.message,
                "extra": record.extra,
                "exception": record.exception,
                "stack": record.stack,
                "place": record.place,
            })
        }
        Notification::Read { lane, id, bytes } => {
            json!({ "lane": lane.word(), "number": id, "size": bytes })
        }
    }
}

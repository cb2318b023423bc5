//! Bytes become what a worker process sends: whatever that is, reading it ends, with data or with an error, and takes no
//! memory that is not a small multiple of the bytes. A payload that is one value comes back when it is written again.
//!
//! The first byte chooses where the bytes stand: in a lane's messages, in those of a control socket, or as a stream of
//! frames.

#![no_main]

use std::alloc::System;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use httpy_core::{Lane, TargetId};
use httpy_core::frame::{
    FRAME_LIMIT, Kind, Message, Notification, Payload, Value, Writer, cut, missing,
};
use libfuzzer_sys::fuzz_target;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// An item takes up five bytes at least where something is kept of it, and what is kept is no larger than this.
const FACTOR: usize = 64;

/// What an error's words take up, and an exception's parts.
const SLACK: usize = 16 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((place, data)) = data.split_first() else { return };
    let payload = Payload::new(Bytes::copy_from_slice(data));
    let region = Region::new(ALLOCATOR);
    match place % 4 {
        0 => on_lane(&payload),
        1 => on_control_socket(&payload),
        2 => as_frames(data),
        _ => {}
    }
    let taken = region.change().bytes_allocated;
    assert!(taken <= data.len() * FACTOR + SLACK, "{taken} bytes for {}", data.len());
    if place % 4 == 3 {
        come_back(data);
    }
});

fn on_lane(payload: &Payload) {
    let Ok(messages) = payload.messages::<Message<'_>>() else { return };
    let frame = payload.as_bytes();
    for message in messages {
        match message.map(|message| message.kind) {
            Ok(Kind::Reply(reply)) => {
                for on_loop in [false, true] {
                    drop(black_box(reply.read(frame, on_loop)));
                }
            }
            Ok(Kind::Rest(rest)) => {
                let ahead = Bytes::from_static(b"ahead");
                for on_loop in [false, true] {
                    drop(black_box(rest.read(frame, &ahead, on_loop)));
                }
            }
            Ok(Kind::Head(head)) => {
                for on_loop in [false, true] {
                    drop(black_box(head.read(frame, on_loop)));
                }
            }
            Ok(other) => drop(black_box(other)),
            Err(error) => assert!(error.to_string().len() < 400, "{error}"),
        }
    }
}

fn on_control_socket(payload: &Payload) {
    let Ok(notifications) = payload.messages() else { return };
    for notification in notifications {
        match notification {
            Ok(Notification::Ok { answer, .. }) => {
                drop(black_box(answer.read::<TargetId>("loaded")));
                drop(black_box(answer.read::<Vec<(String, Vec<String>)>>("routes")));
                drop(black_box(answer.read::<Vec<(Lane, u64, String)>>("stacks")));
            }
            Ok(other) => drop(black_box(other)),
            Err(error) => assert!(error.to_string().len() < 400, "{error}"),
        }
    }
}

fn as_frames(data: &[u8]) {
    let mut arrived = BytesMut::from(data);
    let mut before = arrived.len();
    while let Ok(Some(payload)) = cut(&mut arrived) {
        assert_eq!(before, arrived.len() + 4 + payload.as_bytes().len());
        before = arrived.len();
        on_lane(&payload);
    }
    if let Ok(bytes) = missing(&arrived) {
        assert!(bytes > 0 && bytes <= FRAME_LIMIT + 4);
    }
}

fn come_back(data: &[u8]) {
    let Ok(value) = Value::read(data) else { return };
    let mut bytes = Vec::new();
    if write(&value, &mut Writer::new(&mut bytes)) {
        let again = Value::read(&bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
    }
}

/// Writes `value`; false where it holds what is never written: an `int` beyond 64 bits, text that is none.
fn write(value: &Value<'_>, writer: &mut Writer<'_>) -> bool {
    match *value {
        Value::None => writer.none(),
        Value::Bool(value) => writer.bool(value),
        Value::Int(value) => writer.int(value),
        Value::BigInt => return false,
        Value::Float(value) => writer.float(value),
        Value::Bytes(bytes) => writer.bytes(bytes),
        Value::Text(text) => match text.to_str() {
            Some(text) => writer.str(text),
            None => return false,
        },
        Value::Tuple(mut items) => {
            writer.tuple(u32::try_from(items.len()).unwrap_or(u32::MAX));
            return items.all(|item| write(&item, writer));
        }
        Value::List(mut items) => {
            writer.list(u32::try_from(items.len()).unwrap_or(u32::MAX));
            return items.all(|item| write(&item, writer));
        }
        Value::Dict(mut pairs) => {
            writer.dict();
            let whole = pairs.all(|(key, value)| write(&key, writer) && write(&value, writer));
            writer.end_dict();
            return whole;
        }
    }
    true
}

//! `Fake`: a worker that does what a test says, at the other ends of its sockets.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::BytesMut;
use httpy_core::frame::{Facts, Payload, Value, Writer, cut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::handover::{Ended, Started, Tally, WorkerId};

/// The worker's ends.
pub(super) struct Fake {
    pub(super) control: End,
    pub(super) sync: End,
    pub(super) asynchronous: End,
    mark: File,
}

/// One end of a socket.
pub(super) struct End {
    stream: UnixStream,
    arrived: BytesMut,
    /// Messages of a frame, in words, that were not taken yet.
    messages: std::collections::VecDeque<String>,
}

/// A worker with so many handlers, and what the dispatch gets of it.
pub(super) fn fake(
    handlers: usize,
) -> (
    Fake,
    impl FnOnce(WorkerId, oneshot::Sender<Ended>, Arc<Tally>) -> Started,
) {
    let pairs = [(); 3].map(|()| UnixStream::pair().unwrap());
    let [
        (control, their_control),
        (sync, their_sync),
        (asynchronous, their_async),
    ] = pairs;
    let mark = tempfile::tempfile().unwrap();
    mark.set_len(16).unwrap();
    let end = |stream| End {
        stream,
        arrived: BytesMut::new(),
        messages: std::collections::VecDeque::new(),
    };
    let fake = Fake {
        control: end(their_control),
        sync: end(their_sync),
        asynchronous: end(their_async),
        mark: mark.try_clone().unwrap(),
    };
    let facts = Facts {
        pid: 1,
        version: "3.11.7".to_owned(),
        gil: true,
        executable: "python3".to_owned(),
        prefix: "/".to_owned(),
        warning: None,
    };
    let started = move |id: WorkerId, ended, tally| Started {
        id,
        name: format!("httpy-process-{}", id.0),
        number: usize::try_from(id.0).unwrap(),
        pid: 1,
        control,
        rest: BytesMut::new(),
        sync,
        asynchronous,
        mark,
        handlers,
        facts,
        tally,
        ended,
    };
    (fake, started)
}

impl Fake {
    /// Up to this number, jobs of the sync lane have begun.
    pub(super) fn begin(&self, number: u64) {
        self.mark.write_all_at(&number.to_le_bytes(), 0).unwrap();
    }
}

impl End {
    /// The next message, in words: `(1, "r", (200, None, None))`. Which records of `logging` are wanted is passed over: that
    /// comes whenever it changes.
    pub(super) async fn next(&mut self) -> String {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return message;
            }
            let payload = self.payload().await.expect("one more message");
            let Value::List(items) = Value::read(payload.as_bytes()).unwrap() else {
                panic!("no list")
            };
            let asked = items
                .map(|item| words(&item))
                .filter(|words| !words.starts_with("(\"log_level\""));
            self.messages.extend(asked);
        }
    }

    /// The next frame's payload; none at the end.
    async fn payload(&mut self) -> Option<Payload> {
        loop {
            if let Some(payload) = cut(&mut self.arrived).unwrap() {
                return Some(payload);
            }
            if self.stream.read_buf(&mut self.arrived).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The number of the next job.
    pub(super) async fn job(&mut self) -> u64 {
        let message = self.next().await;
        message
            .trim_start_matches('(')
            .split(',')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Until the other side has closed it.
    pub(super) async fn closed(&mut self) {
        while self.payload().await.is_some() {}
    }

    /// Sends one frame with these messages.
    pub(super) async fn send(&mut self, messages: u32, write: impl FnOnce(&mut Writer<'_>)) {
        let mut frame = vec![0; 4];
        let mut writer = Writer::new(&mut frame);
        writer.list(messages);
        write(&mut writer);
        let length = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_le_bytes());
        self.write(&frame).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Answers a job with 200 and this body.
    pub(super) async fn answer(&mut self, id: u64, body: &str) {
        self.send(1, |writer| {
            writer.tuple(3);
            writer.count(id);
            writer.str("r");
            writer.tuple(3);
            writer.int(200);
            writer.str(body);
            writer.none();
        })
        .await;
    }
}

/// A value as Python would show it, without bodies.
fn words(value: &Value<'_>) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Tuple(items) => format!("({})", list(items.map(|item| words(&item)).collect())),
        Value::List(items) => format!("[{}]", list(items.map(|item| words(&item)).collect())),
        Value::Text(text) => format!("{:?}", text.to_string_lossy()),
        other => other.to_string(),
    }
}

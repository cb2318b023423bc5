//! What workers print: standard output and standard error, line by line, as events of the host's log; and what else is said
//! of them.
//!
//! A thread of its own does that, so that a subscriber of the host that is slow or waits never holds up a call. A worker
//! that prints faster than the host logs waits in its `print`, and goes on as the lines are taken. No more of it is held
//! here than one piece of a line, and the last lines of its standard error, for the case that it dies.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use httpy_core::Notice;
use httpy_core::log::{MOST_WAITING, Record, tell_dropped};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::backlog::{Backlog, size};

/// A longer line comes in pieces.
const LONGEST: usize = 8 * 1024;
/// So many lines of standard error are kept for the case that the worker dies.
const KEPT: usize = 20;
/// No more than this of each of them.
const KEPT_BYTES: usize = 1024;
/// No pipe holds more than this, as Linux has it where nobody says otherwise.
const PIPE: usize = 1024 * 1024;
/// So much may wait besides records of `logging` before a notice is dropped, or a worker that starts waits.
const WAITING: usize = 256;

/// Which of a worker's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// Where what workers print goes, and what is said of them. The thread ends when the last clone is gone and the last stream
/// is at its end.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    thread: mpsc::Sender<Item>,
    backlog: Arc<Backlog>,
}

enum Item {
    Print {
        worker: Arc<str>,
        pid: u32,
        stream: Stream,
        pipe: OwnedFd,
        tail: Arc<Tail>,
    },
    Say(Box<Notice>),
    Work(Box<dyn FnOnce() + Send>),
    /// In the span of its call, where it has one.
    Record(Box<Record>, Option<NonZeroU64>),
}

impl Lines {
    /// Starts the thread. `say` logs a notice.
    ///
    /// # Errors
    ///
    /// When the operating system gives no thread, or no file descriptors.
    pub(crate) fn start(say: impl Fn(&Notice) + Send + 'static) -> io::Result<Self> {
        let (thread, items) = mpsc::channel(MOST_WAITING + WAITING);
        let backlog = Arc::<Backlog>::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let also = Arc::clone(&backlog);
        let begin = move || runtime.block_on(run(items, &also, say));
        thread::Builder::new()
            .name("httpy-process-log".to_owned())
            .spawn(begin)?;
        Ok(Self { thread, backlog })
    }

    /// Logs what comes out of `pipe`, the end of a worker's `stream`, until it is closed.
    pub(crate) async fn follow(
        &self,
        worker: Arc<str>,
        pid: u32,
        stream: Stream,
        pipe: OwnedFd,
        tail: Arc<Tail>,
    ) {
        // The thread is gone only when it has panicked; what is printed then goes nowhere.
        drop(
            self.thread
                .send(Item::Print {
                    worker,
                    pid,
                    stream,
                    pipe,
                    tail,
                })
                .await,
        );
    }

    /// Does what runs the host's code. Never blocks: where the host's log takes nothing any more, it is dropped.
    pub(crate) fn later(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.thread.try_send(Item::Work(Box::new(work))));
    }

    /// As [`later`](Self::later), but waits for room.
    pub(crate) async fn last(&self, work: Box<dyn FnOnce() + Send>) {
        // The thread is gone only when it has panicked.
        drop(self.thread.send(Item::Work(work)).await);
    }

    /// Logs a record of a worker's `logging`, in the span of its call. Never blocks: where it finds no room it is counted,
    /// and the log has their number.
    pub(crate) fn log(&self, record: Record, span: Option<NonZeroU64>) {
        let bytes = size(&record);
        self.backlog.add(bytes, || {
            self.thread
                .try_send(Item::Record(Box::new(record), span))
                .is_ok()
        });
    }

    /// Says something to the operator. Never blocks: where the host's log takes nothing any more, it is dropped.
    pub(crate) fn say(&self, notice: Notice) {
        drop(self.thread.try_send(Item::Say(Box::new(notice))));
    }
}

async fn run(mut items: mpsc::Receiver<Item>, backlog: &Backlog, say: impl Fn(&Notice)) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            item = items.recv() => match item {
                Some(Item::Print { worker, pid, stream, pipe, tail }) => {
                    streams.spawn(follow(worker, pid, stream, pipe, tail));
                }
                Some(Item::Say(notice)) => guard(|| say(&notice)),
                Some(Item::Work(work)) => guard(work),
                Some(Item::Record(record, span)) => {
                    backlog.take(size(&record));
                    guard(|| record.emit(span));
                }
                None => break,
            },
            Some(_) = streams.join_next() => {}
        }
        if let Some(dropped) = backlog.dropped() {
            guard(|| tell_dropped(dropped));
        }
    }
    while streams.join_next().await.is_some() {}
}

async fn follow(worker: Arc<str>, pid: u32, stream: Stream, pipe: OwnedFd, tail: Arc<Tail>) {
    let log = |line: &str| match stream {
        Stream::Output => {
            tracing::info!(target: "httpy::process", worker = &*worker, pid, "{line}");
        }
        Stream::Error => {
            tail.push(line);
            tracing::warn!(target: "httpy::process", worker = &*worker, pid, "{line}");
        }
    };
    let each = |line: &str| guard(|| log(line));
    let is_kept = stream == Stream::Error;
    if let Ok(mut pipe) = pipe::Receiver::from_owned_fd(pipe) {
        let (mut splitter, mut chunk) = (Splitter::default(), vec![0; LONGEST]);
        let mut wanted = tail.wanted.subscribe();
        let mut is_wanted = false;
        loop {
            tokio::select! {
                read = pipe.read(&mut chunk) => match read {
                    Ok(count @ 1..) => splitter.feed(&chunk[..count], each),
                    _ => break,
                },
                Ok(_) = wanted.wait_for(|wanted| *wanted), if is_kept && !is_wanted => {
                    is_wanted = true;
                    // From the pipe itself, as the runtime may not know yet that there is something. No more than a pipe
                    // holds: a process that the worker has left behind may write without end.
                    let mut read = Ok(0);
                    for _ in 0..PIPE / LONGEST {
                        read = rustix::io::read(&pipe, &mut chunk[..]);
                        let Ok(count @ 1..) = read else { break };
                        splitter.feed(&chunk[..count], each);
                    }
                    if read == Ok(0) {
                        break;
                    }
                    splitter.finish(each);
                    tail.end();
                }
            }
        }
        splitter.finish(each);
    }
    if is_kept {
        tail.end();
    }
}

/// Runs what is the host's code. A subscriber that panics must not close the stream, of which the worker would die.
fn guard(log: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(log)));
}

/// Cuts what comes in chunks into lines, and lines that are too long into pieces.
#[derive(Debug, Default)]
struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&str)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.add(&chunk[..end], &mut each);
            self.finish(&mut each);
            chunk = &chunk[end + 1..];
        }
        self.add(chunk, &mut each);
    }

    fn add(&mut self, mut part: &[u8], each: &mut impl FnMut(&str)) {
        while self.rest.len() + part.len() > LONGEST {
            let (fits, beyond) = part.split_at(LONGEST - self.rest.len());
            self.rest.extend_from_slice(fits);
            let end = character_end(&self.rest);
            emit(&self.rest[..end], each);
            self.rest.drain(..end);
            part = beyond;
        }
        self.rest.extend_from_slice(part);
    }

    /// What there is counts as a line.
    fn finish(&mut self, mut each: impl FnMut(&str)) {
        emit(&self.rest, &mut each);
        self.rest.clear();
    }
}

/// The end of the last character that is whole, so that none is cut in two. Never the beginning.
fn character_end(bytes: &[u8]) -> usize {
    let begun = bytes
        .iter()
        .rev()
        .take(4)
        .position(|byte| *byte & 0xC0 != 0x80);
    match begun.map(|back| bytes.len() - 1 - back) {
        Some(start) if start > 0 && std::str::from_utf8(&bytes[start..]).is_err() => start,
        _ => bytes.len(),
    }
}

fn emit(line: &[u8], each: &mut impl FnMut(&str)) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if !text.is_empty() {
        each(text);
    }
}

/// The last lines of a worker's standard error.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: Mutex<VecDeque<String>>,
    /// The worker has ended: what it has written is all in the pipe.
    wanted: watch::Sender<bool>,
    /// All of that was read.
    ended: watch::Sender<bool>,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            wanted: watch::Sender::new(false),
            ended: watch::Sender::new(false),
        }
    }
}

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.lock();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        let mut end = line.len().min(KEPT_BYTES);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        lines.push_back(line[..end].to_owned());
    }

    fn end(&self) {
        self.ended.send_replace(true);
    }

    /// The last lines of a worker whose process has ended. A process that it has left behind may keep the stream open, so its
    /// end is not waited for; only, for `limit` at most, until what has come is read.
    pub(crate) async fn last(&self, limit: Duration) -> Vec<String> {
        self.wanted.send_replace(true);
        let mut ended = self.ended.subscribe();
        drop(tokio::time::timeout(limit, ended.wait_for(|ended| *ended)).await);
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(line.to_owned()));
            assert!(splitter.rest.len() <= LONGEST);
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(
            split(&[b"on", b"e\r\ntwo\n\n", b"\n", b"thr", b"ee"]),
            ["one", "two", "three"]
        );
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces_of_whole_characters() {
        let line = format!("a{}", "\u{e9}".repeat(LONGEST));
        let pieces = split(&[line.as_bytes(), b"\nnext\n"]);
        assert_eq!(pieces.last().unwrap(), "next");
        assert_eq!(pieces[..pieces.len() - 1].concat(), line);
        assert!(pieces.iter().all(|piece| piece.len() <= LONGEST));
    }

    #[test]
    fn what_is_not_utf8_is_shown_all_the_same() {
        assert_eq!(split(&[b"\xff\xfe!\n"]), ["\u{fffd}\u{fffd}!"]);
        assert_eq!(split(&[&[0x80; LONGEST + 1]]).len(), 2);
    }

    #[tokio::test]
    async fn what_a_worker_has_written_is_read_though_its_stream_stays_open() {
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        let tail = Arc::new(Tail::default());
        let (name, stream) = (Arc::from("worker"), Stream::Error);
        let following = follow(name, 1, stream, reading, Arc::clone(&tail));
        // Both on this thread, so that nothing was read before it is asked for.
        rustix::io::write(&writing, b"one\ntwo").unwrap();
        let last = tail.last(Duration::MAX);
        let last = tokio::select! {
            biased;
            last = last => last,
            () = following => panic!("the stream is open"),
        };
        assert_eq!(last, ["one", "two"]);
        drop(writing);
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let tail = Tail::default();
        for number in 0..50 {
            tail.push(&format!("{number}"));
        }
        tail.push(&"x".repeat(LONGEST));
        tail.end();
        let last = tail.last(Duration::MAX).await;
        assert_eq!((last.len(), last[0].as_str()), (KEPT, "31"));
        assert_eq!(last[KEPT - 1].len(), KEPT_BYTES);
    }
}

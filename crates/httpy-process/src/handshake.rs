//! From a process to a worker: it gets the package's texts and its settings, says hello, and loads its handlers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use httpy_core::frame::{
    Batch, Command, Facts, FrameError, LogRecord, Notification, Payload, Question, Writer, cut,
};
use httpy_core::{LoadError, log};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::handover::Handler;
use crate::hello::{self, Ends, Life};
use crate::options::ProcessOptions;
use crate::source;

/// The version of the protocol.
const PROTOCOL: u64 = 3;
/// So much is read at once.
const READ: usize = 16 * 1024;

/// What an init function has returned: patterns and their methods.
pub(crate) type Routes = Vec<(String, Vec<String>)>;

/// A worker that has loaded its handlers.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) control: UnixStream,
    /// What was read of it beyond what was dealt with.
    pub(crate) rest: BytesMut,
    pub(crate) ends: Ends,
    pub(crate) facts: Facts,
}

/// A start that takes longer is logged.
const SLOW: Duration = Duration::from_secs(30);

/// Limits for the parts of a worker's start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the start of the process to its hello.
    pub(crate) hello: Duration,
    /// From the hello until its handlers are loaded; also for an init function in a reload.
    pub(crate) ready: Duration,
    /// From the start of the process until the log says that it is slow.
    pub(crate) slow: Duration,
}

impl Patience {
    /// Each part has the whole limit: what takes time is `site` or the app's own imports, and no limit fits both.
    pub(crate) fn new(start_limit: Duration) -> Self {
        Self {
            hello: start_limit,
            ready: start_limit,
            slow: SLOW,
        }
    }
}

/// Why a process has not become a worker, as half a sentence.
#[derive(Clone, Debug)]
pub(crate) enum Problem {
    /// App code could not be loaded.
    Load(LoadError),
    /// It has closed its control socket; mostly by ending.
    Closed,
    /// Anything else.
    Other(String),
}

/// The first frame that `name` gets.
pub(crate) fn boot(name: &str, options: &ProcessOptions, handlers: &[Arc<Handler>]) -> Vec<u8> {
    let mut frame = vec![0; 4];
    let mut writer = Writer::new(&mut frame);
    writer.tuple(2);
    writer.dict();
    for (file, text) in source::FILES {
        writer.str(file);
        writer.str(text);
    }
    writer.end_dict();
    settings(&mut writer, name, options, handlers);
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}

fn settings(
    writer: &mut Writer<'_>,
    name: &str,
    options: &ProcessOptions,
    handlers: &[Arc<Handler>],
) {
    use std::os::unix::ffi::OsStrExt;
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    writer.dict();
    writer.str("name");
    writer.str(name);
    writer.str("paths");
    writer.list(length(options.paths.len()));
    for path in &options.paths {
        writer.text(path.as_os_str().as_bytes());
    }
    writer.str("handlers");
    writer.list(length(handlers.len()));
    for handler in handlers {
        writer.tuple(4);
        writer.str(&handler.target);
        for word in handler.interface.words() {
            writer.str(word);
        }
    }
    writer.str("threads");
    writer.int(number(options.threads));
    writer.str("in_flight");
    writer.int(number(options.in_flight));
    writer.str("uvloop");
    writer.bool(options.uvloop);
    writer.str("switch_interval");
    writer.float(options.switch_interval.as_secs_f64());
    writer.str("logging");
    writer.bool(options.logging);
    writer.str("log_level");
    writer.int(log::python_level());
    writer.str("debug");
    writer.bool(options.debug);
    writer.end_dict();
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Makes a worker of the process behind `control`. `log` gets what its `logging` says meanwhile.
///
/// # Errors
///
/// When it does not become one in time.
pub(crate) async fn welcome(
    control: UnixStream,
    boot: &[u8],
    patience: Patience,
    log: &impl Fn(LogRecord),
) -> Result<(Newcomer, Life), Problem> {
    let mut rest = BytesMut::new();
    // At the same time: what speaks first may be no worker, and never read what it is sent.
    let greeted = async { tokio::try_join!(greet(&control, &mut rest), write(&control, boot)) };
    let ((facts, ends, life), ()) =
        within(patience.hello, "it has not said hello", greeted).await?;
    let mut newcomer = Newcomer {
        control,
        rest,
        ends,
        facts,
    };
    within(
        patience.ready,
        "it was not ready",
        newcomer.until(log, |said| match said {
            Notification::Ready => Some(Ok(())),
            _ => None,
        }),
    )
    .await?;
    Ok((newcomer, life))
}

impl Newcomer {
    /// Has it run the init function `target`.
    ///
    /// # Errors
    ///
    /// When that fails, or the worker does.
    pub(crate) async fn run_init(
        &mut self,
        target: &str,
        patience: Patience,
        log: &impl Fn(LogRecord),
    ) -> Result<Routes, Problem> {
        let mut batch = Batch::new();
        let command = Command::Ask {
            seq: 0,
            question: Question::Init(target),
        };
        batch
            .add(|writer| command.write(writer))
            .map_err(|error| Problem::Other(error.to_string()))?;
        let answered = async {
            write(&self.control, batch.as_bytes()).await?;
            self.until(log, |said| match said {
                Notification::Ok { seq: 0, answer } => Some(answer.read("routes").map_err(broken)),
                _ => None,
            })
            .await
        };
        within(
            patience.ready,
            "its init function has not returned",
            answered,
        )
        .await
    }

    /// Reads until `find` has found what it looks for.
    async fn until<T>(
        &mut self,
        log: &impl Fn(LogRecord),
        find: impl Fn(&Notification<'_>) -> Option<Result<T, Problem>>,
    ) -> Result<T, Problem> {
        loop {
            let frame = next(&self.control, &mut self.rest, &mut Vec::new()).await?;
            let mut found = None;
            for said in frame.messages().map_err(broken)? {
                let said: Notification<'_> = said.map_err(broken)?;
                match said {
                    Notification::Log(record) => log(*record),
                    Notification::Error { error, .. } => return Err(Problem::Load(error)),
                    said if found.is_none() => match find(&said) {
                        Some(result) => found = Some(result?),
                        None => return Err(unasked(&said)),
                    },
                    said => return Err(unasked(&said)),
                }
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
}

async fn greet(control: &UnixStream, rest: &mut BytesMut) -> Result<(Facts, Ends, Life), Problem> {
    let mut descriptors = Vec::new();
    let frame = next(control, rest, &mut descriptors).await?;
    let mut notifications = frame.messages().map_err(broken)?;
    let (protocol, facts) = match (notifications.next(), notifications.next()) {
        (Some(Ok(Notification::Hello { protocol, facts })), None) => (protocol, facts),
        (Some(Err(error)), _) => return Err(broken(error)),
        _ => {
            return Err(Problem::Other(
                "the first frame it has sent is no hello".to_owned(),
            ));
        }
    };
    if protocol != PROTOCOL {
        return Err(Problem::Other(format!(
            "it speaks version {protocol} of the protocol, expected {PROTOCOL}"
        )));
    }
    let (ends, life) = Ends::new(descriptors).map_err(Problem::Other)?;
    Ok((facts, ends, life))
}

async fn write(control: &UnixStream, mut bytes: &[u8]) -> Result<(), Problem> {
    while !bytes.is_empty() {
        control.writable().await.map_err(closed)?;
        match control.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(closed(error)),
        }
    }
    Ok(())
}

/// The next frame.
async fn next(
    control: &UnixStream,
    arrived: &mut BytesMut,
    descriptors: &mut Vec<std::os::fd::OwnedFd>,
) -> Result<Payload, Problem> {
    loop {
        if let Some(frame) = cut(arrived).map_err(broken)? {
            return Ok(frame);
        }
        match hello::receive(control, arrived, READ, descriptors).await {
            Ok(0) => return Err(Problem::Closed),
            Ok(_) => {}
            Err(error) => return Err(closed(error)),
        }
    }
}

async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    match timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(Problem::Other(format!(
            "{what} within {limit:?} (start_limit)"
        ))),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
fn broken(error: FrameError) -> Problem {
    Problem::Other(format!("it has sent an invalid message: {error}"))
}

fn unasked(said: &Notification<'_>) -> Problem {
    let word = match said {
        Notification::Hello { .. } => "hello",
        Notification::Ready => "ready",
        Notification::Ok { .. } => "ok",
        Notification::Error { .. } => "error",
        Notification::Log(_) => "log",
        Notification::Read { .. } => "read",
    };
    Problem::Other(format!("it has sent an unexpected message: {word}"))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
fn closed(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::UnexpectedEof => Problem::Closed,
        _ => Problem::Other(error.to_string()),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Closed => f.write_str("it has closed its socket"),
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

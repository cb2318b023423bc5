//! `Notification`: what a worker process says on its control socket.

use super::{FrameError, Messages, Parts, Payload, Value, exception};
use crate::log::Record;
use crate::{Exception, Lane, Wants};

/// What a worker reports about itself, or answers.
#[derive(Debug)]
pub enum Notification<'a> {
    /// The first one: what runs it.
    Hello(Facts),
    /// All handlers that it was started with are loaded.
    Ready,
    /// What was asked for was done.
    Ok {
        /// Which question.
        seq: u64,
        /// The answer.
        value: Value<'a>,
    },
    /// What was asked for was not done.
    Error {
        /// Which question.
        seq: u64,
        /// The way in which it failed, as `httpy_rs._load` names it.
        kind: String,
        /// In one sentence.
        message: String,
        /// What Python raised, where it did.
        exception: Option<Exception>,
    },
    /// Something was logged.
    Log(Box<LogRecord>),
    /// So many bytes of a job's streamed request were read.
    Read {
        /// The job's lane.
        lane: Lane,
        /// The job.
        id: u64,
        /// How many.
        bytes: u64,
    },
}

/// What runs a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version of the protocol.
    pub protocol: u64,
    /// The process.
    pub pid: u32,
    /// Python's version: `3.11.7`.
    pub version: String,
    /// Whether one thread at a time runs Python code.
    pub gil: bool,
    /// The program.
    pub executable: String,
    /// `sys.prefix`
    pub prefix: String,
    /// What looks wrong there, in one sentence.
    pub warning: Option<String>,
}

/// A record of Python's `logging`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The job that logged it.
    pub job: Option<(Lane, u64)>,
    /// What it says.
    pub record: Record,
}

/// A handler that a worker has loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its number.
    pub index: usize,
    /// How it wants its body.
    pub wants: Wants,
    /// Which lane its jobs go to.
    pub lane: Lane,
}

impl Payload {
    /// What is said in a frame that came on a control socket.
    ///
    /// # Errors
    ///
    /// What is no list of values, or is not all of the payload.
    pub fn notifications(
        &self,
    ) -> Result<impl Iterator<Item = Result<Notification<'_>, FrameError>>, FrameError> {
        let mut messages: Option<Messages<'_>> = Some(self.messages()?);
        Ok(std::iter::from_fn(move || {
            let read = messages
                .as_mut()?
                .next_value()?
                .and_then(|(value, at)| Notification::read(&value, at));
            if read.is_err() {
                messages = None;
            }
            Some(read)
        }))
    }
}

impl<'a> Notification<'a> {
    fn read(value: &Value<'a>, at: usize) -> Result<Self, FrameError> {
        let mut parts = Parts::of(value, at, "a message")?;
        let at = parts.at();
        let notification = match parts.str("what is said")? {
            "hello" => Self::Hello(Facts::read(&mut parts)?),
            "ready" => Self::Ready,
            "ok" => Self::Ok {
                seq: parts.count("a number")?,
                value: parts.value("an answer")?,
            },
            "error" => Self::Error {
                seq: parts.count("a number")?,
                kind: parts.str("a kind of error")?.to_owned(),
                message: parts.str("an error's message")?.to_owned(),
                exception: parts
                    .optional("an exception, or None")?
                    .map(exception)
                    .transpose()?,
            },
            "log" => Self::Log(Box::new(LogRecord::read(&mut parts)?)),
            "read" => {
                let (lane, id) =
                    job(&mut parts)?.ok_or_else(|| FrameError::new("None", at, "a job"))?;
                Self::Read {
                    lane,
                    id,
                    bytes: parts.count("a number of bytes")?,
                }
            }
            other => {
                let found = format!("{:?}", other.chars().take(32).collect::<String>());
                return Err(FrameError::new(
                    found,
                    at,
                    "one of hello ready ok error log read",
                ));
            }
        };
        parts.end()?;
        Ok(notification)
    }
}

impl Facts {
    fn read(parts: &mut Parts<'_>) -> Result<Self, FrameError> {
        let protocol = parts.count("a protocol's version")?;
        let at = parts.at();
        let facts = match parts.value("facts")? {
            Value::Dict(facts) => facts,
            other => return Err(FrameError::value(&other, at, "a dict of facts")),
        };
        let find = |name: &str| {
            facts.clone().find_map(|(key, value)| {
                matches!(key, Value::Text(key) if key.as_bytes() == name.as_bytes())
                    .then_some(value)
            })
        };
        let text = |name, expected| match find(name) {
            // Paths need not be text.
            Some(Value::Text(text)) => Ok(text.to_string_lossy().into_owned()),
            other => Err(FrameError::value(
                &other.unwrap_or(Value::None),
                at,
                expected,
            )),
        };
        let pid = match find("pid") {
            Some(Value::Int(pid)) => u32::try_from(pid).ok().filter(|pid| *pid > 0),
            _ => None,
        };
        Ok(Self {
            protocol,
            pid: pid
                .ok_or_else(|| FrameError::new("no pid", at, "facts with the process's pid"))?,
            version: text("version", "facts with Python's version")?,
            gil: match find("gil") {
                Some(Value::Bool(gil)) => gil,
                other => {
                    return Err(FrameError::value(
                        &other.unwrap_or(Value::None),
                        at,
                        "facts about the GIL",
                    ));
                }
            },
            executable: text("executable", "facts with Python's executable")?,
            prefix: text("prefix", "facts with Python's prefix")?,
            warning: match find("warning") {
                None | Some(Value::None) => None,
                Some(_) => Some(text("warning", "a warning, or None")?),
            },
        })
    }
}

impl LogRecord {
    fn read(parts: &mut Parts<'_>) -> Result<Self, FrameError> {
        let job = job(parts)?;
        let at = parts.at();
        let level = match parts.value("a level")? {
            Value::Int(level) => level,
            other => return Err(FrameError::value(&other, at, "a level")),
        };
        let record = Record {
            level,
            python_level: parts
                .optional_str("a level's name, or None")?
                .map(str::to_owned),
            logger: parts.str("a logger's name")?.to_owned(),
            message: parts.str("what was logged")?.to_owned(),
            extra: parts
                .optional_str("fields as JSON, or None")?
                .map(str::to_owned),
            exception: parts
                .optional_str("a traceback, or None")?
                .map(str::to_owned),
            stack: parts.optional_str("a stack, or None")?.map(str::to_owned),
            place: parts.str("where it was logged")?.to_owned(),
        };
        Ok(Self { job, record })
    }
}

impl Loaded {
    /// The answer to [`Question::Load`](super::Question::Load).
    ///
    /// # Errors
    ///
    /// When `answer` is something else.
    pub fn read(answer: &Value<'_>) -> Result<Self, FrameError> {
        let mut parts = Parts::of(answer, 0, "a loaded handler")?;
        let index = usize::try_from(parts.count("a handler's number")?).unwrap_or(usize::MAX);
        let at = parts.at();
        let wants = Wants::named(parts.str("how a handler wants its body")?);
        let wants =
            wants.ok_or_else(|| FrameError::new("another word", at, "one of text bytes stream"))?;
        let lane = Lane::of(parts.bool("whether a handler is async")?);
        let loaded = Self { index, wants, lane };
        parts.end()?;
        Ok(loaded)
    }
}

/// The answer to [`Question::Init`](super::Question::Init): each route with its methods, in order.
///
/// # Errors
///
/// When `answer` is something else.
pub fn routes(answer: &Value<'_>) -> Result<Vec<(String, Vec<String>)>, FrameError> {
    let mut given = Parts::list(answer, "routes")?;
    let mut routes = Vec::new();
    while given.left() > 0 {
        let mut entry = given.parts("a route and its methods")?;
        let route = entry.str("a route")?.to_owned();
        let mut names = entry.items("a route's methods")?;
        entry.end()?;
        let mut methods = Vec::new();
        while names.left() > 0 {
            methods.push(names.str("a method")?.to_owned());
        }
        routes.push((route, methods));
    }
    Ok(routes)
}

/// The answer to [`Question::Stacks`](super::Question::Stacks): each job with where it is.
///
/// # Errors
///
/// When `answer` is something else.
pub fn stacks(answer: &Value<'_>) -> Result<Vec<(Lane, u64, String)>, FrameError> {
    let mut given = Parts::list(answer, "stacks")?;
    let mut stacks = Vec::new();
    while given.left() > 0 {
        let mut entry = given.parts("a job and its stack")?;
        let at = entry.at();
        let (lane, id) = job(&mut entry)?.ok_or_else(|| FrameError::new("None", at, "a job"))?;
        stacks.push((lane, id, entry.str("a stack")?.to_owned()));
        entry.end()?;
    }
    Ok(stacks)
}

/// A lane and the number of a job on it, or twice `None`.
fn job(parts: &mut Parts<'_>) -> Result<Option<(Lane, u64)>, FrameError> {
    let at = parts.at();
    let Some(lane) = parts.optional_str("a lane, or None")? else {
        let at = parts.at();
        return match parts.value("None")? {
            Value::None => Ok(None),
            other => Err(FrameError::value(&other, at, "None, as there is no lane")),
        };
    };
    let lane =
        Lane::named(lane).ok_or_else(|| FrameError::new("another word", at, "sync or async"))?;
    Ok(Some((lane, parts.count("the id of a job")?)))
}

//! `Message`: what a worker says about a job, on the lane on which it got it.

use std::time::Duration;

use bytes::Bytes;

use super::octet::share;
use super::value::Cursor;
use super::{DEPTH, FrameError, PART, Parts, Plain, Value, exception, upload_fault};
use crate::view::{Refusal, View, read};
use crate::{ContractFailure, Exception, Fault, Heartbeat, Returned, Rule, UploadFault};

/// The messages of one frame, in order. After an error there are no more.
#[derive(Debug)]
pub struct Messages<'a> {
    frame: &'a Bytes,
    cursor: Option<Cursor<'a>>,
    left: u32,
}

/// One message about one job.
#[derive(Debug)]
pub struct Message<'a> {
    /// Which job of the lane.
    pub id: u64,
    /// What the message is about it.
    pub kind: Kind<'a>,
    /// How far it came when, where that was wanted.
    pub times: Option<Times>,
}

/// A message about a job.
#[derive(Debug)]
pub enum Kind<'a> {
    /// A part of a body that goes ahead of its reply, or a chunk of one that is streamed.
    Part(Bytes),
    /// The reply, with all of its body.
    Reply(Reply<'a>),
    /// It returned what the contract does not allow.
    Refused(ContractFailure),
    /// The head of a reply whose chunks follow.
    Head(Head<'a>),
    /// No chunk follows.
    End(Ending),
    /// It raised.
    Raised(Exception),
    /// It let pass that the request's body broke off.
    Upload(UploadFault),
    /// It was cancelled before it began.
    NotRun,
}

/// When a job came how far, since the worker received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The handler was called.
    pub called: Duration,
    /// It returned.
    pub returned: Duration,
    /// Its result was read.
    pub converted: Duration,
}

/// A handler's result, still in its frame.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    frame: &'a Bytes,
    form: Form<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Plain(Value<'a>),
    /// Status and headers of a body that went ahead.
    Parts {
        status: Value<'a>,
        is_text: bool,
        headers: Value<'a>,
    },
}

/// A handler's result with an iterator as its body, still in its frame.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    frame: &'a Bytes,
    status: Value<'a>,
    headers: Value<'a>,
    heartbeat: Option<Heartbeat>,
}

/// How a streamed reply ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Why it broke off, where it did.
    pub fault: Option<Fault>,
    /// What its iterator raised as it was closed.
    pub closing: Option<Exception>,
}

/// A result that could not be read: what it breaks, or that it is none.
pub type Read = Result<Result<Returned, ContractFailure>, FrameError>;

impl<'a> Messages<'a> {
    pub(super) fn new(frame: &'a Bytes) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(frame);
        let left = cursor.list()?;
        if left == 0 {
            cursor.end()?;
        }
        Ok(Self {
            frame,
            cursor: Some(cursor),
            left,
        })
    }

    /// The next message as it stands there, and where; none at the end.
    pub(super) fn next_value(&mut self) -> Option<Result<(Value<'a>, usize), FrameError>> {
        self.left = self.left.checked_sub(1)?;
        let mut cursor = self.cursor.take()?;
        let at = cursor.at();
        let read = cursor.value(DEPTH - 1).and_then(|value| {
            if self.left == 0 {
                cursor.end()?;
            }
            Ok((value, at))
        });
        self.cursor = read.is_ok().then_some(cursor);
        Some(read)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self
            .next_value()?
            .and_then(|(value, at)| Message::read(self.frame, &value, at));
        if message.is_err() {
            self.cursor = None;
        }
        Some(message)
    }
}

impl<'a> Message<'a> {
    fn read(frame: &'a Bytes, value: &Value<'a>, at: usize) -> Result<Self, FrameError> {
        let mut parts = Parts::of(value, at, "a message")?;
        let id = parts.count("the id of a job")?;
        let at = parts.at();
        let word = match parts.value("a message about a job")? {
            Value::Text(word) => word,
            Value::Bytes(bytes) if bytes.len() <= PART => {
                parts.end()?;
                return Ok(Self {
                    id,
                    kind: Kind::Part(share(frame, bytes)),
                    times: None,
                });
            }
            other => {
                return Err(FrameError::value(
                    &other,
                    at,
                    "a message about a job, or at most 64 KiB of a body",
                ));
            }
        };
        let kind = match word.as_bytes() {
            b"r" => Kind::Reply(Reply {
                frame,
                form: Form::Plain(parts.value("a result")?),
            }),
            b"f" => Kind::Refused(refused(parts.parts("a contract failure")?)?),
            b"p" => Kind::Reply(Reply {
                frame,
                form: Form::parts(parts.parts("the rest of a result")?)?,
            }),
            b"s" => Kind::Head(Head::new(frame, parts.parts("the head of a result")?)?),
            b"end" => Kind::End(Ending::read(&mut parts)?),
            b"e" => Kind::Raised(exception(parts.parts("an exception")?)?),
            b"u" => Kind::Upload(upload_fault(parts.parts("why a body broke off")?)?),
            b"x" => Kind::NotRun,
            _ => {
                return Err(FrameError::value(
                    &Value::Text(word),
                    at,
                    "one of r f p s end e u x",
                ));
            }
        };
        let times = if parts.left() == 0 {
            None
        } else {
            Some(Times::read(&mut parts)?)
        };
        parts.end()?;
        Ok(Self { id, kind, times })
    }
}

impl Times {
    fn read(parts: &mut Parts<'_>) -> Result<Self, FrameError> {
        let mut next = || parts.seconds("seconds");
        Ok(Self {
            called: next()?,
            returned: next()?,
            converted: next()?,
        })
    }
}

impl<'a> Form<'a> {
    fn parts(mut parts: Parts<'a>) -> Result<Self, FrameError> {
        let status = parts.value("a status")?;
        let is_text = match (parts.at(), parts.str("what the body was")?) {
            (_, "t") => true,
            (_, "b") => false,
            (at, other) => return Err(FrameError::new(format!("{other:?}"), at, "t or b")),
        };
        let headers = parts.value("headers")?;
        parts.end()?;
        Ok(Self::Parts {
            status,
            is_text,
            headers,
        })
    }
}

impl Reply<'_> {
    /// Reads it by the contract's rules; `ahead` are the parts of its body that came before, joined. `on_loop` the body may
    /// be an async iterator.
    ///
    /// # Errors
    ///
    /// What is no result, or one that has an iterator as its body and yet no chunks.
    pub fn read(&self, ahead: &Bytes, on_loop: bool) -> Read {
        let frame = self.frame;
        match self.form {
            Form::Plain(value) => whole(&Plain::new(value, frame), on_loop),
            Form::Parts {
                status,
                is_text,
                headers,
            } => {
                let body = Plain::Ahead {
                    bytes: ahead,
                    is_text,
                };
                whole(
                    &Plain::Reply(&[Plain::new(status, frame), body, Plain::new(headers, frame)]),
                    on_loop,
                )
            }
        }
    }
}

impl<'a> Head<'a> {
    fn new(frame: &'a Bytes, mut parts: Parts<'a>) -> Result<Self, FrameError> {
        let head = Self {
            frame,
            status: parts.value("a status")?,
            headers: parts.value("headers")?,
            heartbeat: heartbeat(&mut parts)?,
        };
        parts.end()?;
        Ok(head)
    }

    /// What is sent when no chunk comes, where the body asks for that.
    pub fn heartbeat(&self) -> Option<&Heartbeat> {
        self.heartbeat.as_ref()
    }

    /// Reads it by the contract's rules, with an empty body in the place of its chunks. `on_loop` the body may be an async
    /// iterator.
    ///
    /// # Errors
    ///
    /// What is no result, or has no iterator as its body.
    pub fn read(&self, on_loop: bool) -> Read {
        let items = [
            Plain::new(self.status, self.frame),
            Plain::Iterator,
            Plain::new(self.headers, self.frame),
        ];
        streamed(&Plain::Reply(&items), on_loop)
    }
}

impl Ending {
    fn read(parts: &mut Parts<'_>) -> Result<Self, FrameError> {
        let fault = match parts.optional("how a body ended")? {
            None => None,
            Some(fault) => Some(read_fault(fault)?),
        };
        let closing = parts
            .optional("what a body raised in the end")?
            .map(exception)
            .transpose()?;
        Ok(Self { fault, closing })
    }
}

fn read_fault(mut parts: Parts<'_>) -> Result<Fault, FrameError> {
    let at = parts.at();
    let fault = match parts.str("why a body broke off")? {
        "e" => Fault::Raised(exception(parts.parts("an exception")?)?),
        "u" => Fault::Upload(upload_fault(parts.parts("why a body broke off")?)?),
        "c" => {
            let text = parts.text("what is wrong with a chunk")?.to_string_lossy();
            Fault::Contract(ContractFailure::new(Rule::Chunk, text))
        }
        "interrupted" => Fault::Interrupted,
        other => {
            return Err(FrameError::new(
                format!("{other:?}"),
                at,
                "one of e u c interrupted",
            ));
        }
    };
    parts.end()?;
    Ok(fault)
}

/// A result that a worker has judged: the rule that it breaks, and what was found and expected.
fn refused(mut parts: Parts<'_>) -> Result<ContractFailure, FrameError> {
    let at = parts.at();
    let rule = match parts.str("the rule that a result breaks")? {
        "tuple" => Rule::Tuple,
        "status" => Rule::Status,
        "body" => Rule::Body,
        "headers" => Rule::Headers,
        "header_name" => Rule::HeaderName,
        "header_value" => Rule::HeaderValue,
        other => {
            return Err(FrameError::new(
                format!("{other:?}"),
                at,
                "the name of a rule",
            ));
        }
    };
    let text = parts.text("how a result breaks a rule")?.to_string_lossy();
    parts.end()?;
    Ok(ContractFailure::new(rule, text))
}

fn whole<V: View<Error = FrameError>>(result: &V, on_loop: bool) -> Read {
    match read(result, on_loop) {
        Ok(read) if read.iterator.is_none() => Ok(Ok(read.returned)),
        Ok(_) => Err(FrameError::new(
            "an iterator",
            0,
            "a reply with all of its body",
        )),
        Err(Refusal::Contract(failure)) => Ok(Err(failure)),
        Err(Refusal::Unread(error)) => Err(error),
    }
}

fn streamed<V: View<Error = FrameError>>(result: &V, on_loop: bool) -> Read {
    match read(result, on_loop) {
        Ok(read) if read.iterator.is_some() => Ok(Ok(read.returned)),
        Ok(_) => Err(FrameError::new(
            "a reply with all of its body",
            0,
            "one with an iterator",
        )),
        Err(Refusal::Contract(failure)) => Ok(Err(failure)),
        Err(Refusal::Unread(error)) => Err(error),
    }
}

fn heartbeat(parts: &mut Parts<'_>) -> Result<Option<Heartbeat>, FrameError> {
    let at = parts.at();
    match parts.value("seconds, or None")? {
        Value::None => Ok(None),
        Value::Float(seconds) => Ok(Heartbeat::every(seconds)),
        other => Err(FrameError::value(&other, at, "seconds, or None")),
    }
}

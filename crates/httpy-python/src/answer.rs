//! `Answer`: how a call is answered: at its end with its whole outcome, or first by its head and then chunk by chunk.

use httpy_core::{
    Chunks, Content, Exception, Fault, Heartbeat, Late, Outcome, STREAM_BYTES, Subject, Writer,
    stream,
};

/// Who waits for a call, and for what.
#[derive(Debug)]
pub(crate) enum Answer {
    /// For an outcome.
    Open(httpy_core::Answer),
    /// For the rest of the body.
    Streaming(Writer<Fault>, Subject),
    /// Nobody, or for nothing any more.
    Closed(Subject),
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With an outcome, as most do.
    Whole(Outcome),
    /// After its head was answered.
    Streamed(Streamed),
}

/// How the body of a reply ended.
#[derive(Debug, Default)]
pub(crate) struct Streamed {
    /// Why it broke off; none when it is complete, or nobody wants it any more.
    pub(crate) fault: Option<Fault>,
    /// What its `close()` raised.
    pub(crate) closing: Option<Exception>,
}

impl Answer {
    /// Whether nobody waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Open(answer) => answer.is_closed(),
            Self::Streaming(writer, _) => writer.is_gone(),
            Self::Closed(_) => true,
        }
    }

    /// Answers with `head`, whose body is streamed. Returns where the chunks go; `None` if nobody waits any more.
    pub(crate) fn begin(
        &mut self,
        heartbeat: Option<Heartbeat>,
        head: Outcome,
    ) -> Option<&mut Writer<Fault>> {
        let Self::Open(answer) = self else {
            return None;
        };
        let subject = answer.subject();
        let Self::Open(answer) = std::mem::replace(self, Self::Closed(subject.clone())) else {
            return None;
        };
        let (writer, reader) = stream(STREAM_BYTES);
        let body = Content::Stream(Chunks { reader, heartbeat });
        answer.send(head.with_body(body)).ok()?;
        *self = Self::Streaming(writer, subject);
        match self {
            Self::Streaming(writer, _) => Some(writer),
            _ => None,
        }
    }

    /// Answers that what ran the call has died, for the reason in `text`.
    pub(crate) fn crash(self, text: String) {
        match self {
            // It comes back where nobody waits any more.
            Self::Open(answer) => drop(answer.send(Outcome::Crashed(text))),
            Self::Streaming(writer, _) => writer.fail(Fault::Crashed(text)),
            Self::Closed(_) => {}
        }
    }

    /// Answers the end. What is to be logged here, since it is in no answer: what an `interrupted` call ends with is not,
    /// that is the deadline's doing and the log has it.
    pub(crate) fn end(self, ended: Ended, interrupted: bool) -> Vec<Late> {
        let panicked = matches!(&ended, Ended::Whole(Outcome::Panicked(_)));
        let told =
            |outcome: Option<Outcome>| outcome.filter(|_| !interrupted || panicked).into_iter();
        match (self, ended) {
            (Self::Open(answer), Ended::Whole(outcome)) => {
                let late = answer.send(outcome).err().map(|late| *late);
                late.filter(|_| !interrupted || panicked)
                    .into_iter()
                    .collect()
            }
            (Self::Streaming(writer, subject), ended) => {
                let Streamed { fault, closing } = match ended {
                    Ended::Streamed(streamed) => streamed,
                    Ended::Whole(Outcome::Panicked(text)) => Streamed {
                        fault: Some(Fault::Panicked(text)),
                        closing: None,
                    },
                    Ended::Whole(_) => Streamed::default(),
                };
                let outcome = fault.as_ref().and_then(Fault::outcome);
                match fault {
                    Some(_) if interrupted && !panicked => writer.fail(Fault::Interrupted),
                    Some(fault) => writer.fail(fault),
                    None => writer.end(),
                }
                let told = told(outcome).chain(told(closing.map(Outcome::Raised)));
                of(&subject, told)
            }
            (Self::Closed(subject), Ended::Whole(outcome)) => of(&subject, told(Some(outcome))),
            (Self::Closed(subject), Ended::Streamed(Streamed { closing, .. })) => {
                of(&subject, told(closing.map(Outcome::Raised)))
            }
            (Self::Open(answer), Ended::Streamed(Streamed { closing, .. })) => {
                of(&answer.subject(), told(closing.map(Outcome::Raised)))
            }
        }
    }
}

fn of(subject: &Subject, outcomes: impl Iterator<Item = Outcome>) -> Vec<Late> {
    outcomes
        .map(|outcome| Late {
            subject: subject.clone(),
            outcome,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};

    use http::{Method, StatusCode, Uri};
    use httpy_core::{BodyKind, Broken, Call, Clocks, Fields, Freight, Question, Returned, Ticket};

    use super::*;

    fn exception(name: &str) -> Exception {
        Exception::new(name.to_owned(), String::new(), String::new(), String::new())
    }

    fn head() -> Outcome {
        Outcome::Returned(Returned {
            status: StatusCode::OK,
            body: Content::Whole(bytes::Bytes::new()),
            kind: BodyKind::Iterator,
            headers: Fields::new(),
            header_lines: 0,
        })
    }

    fn streamed(fault: Option<Fault>) -> Ended {
        Ended::Streamed(Streamed {
            fault,
            closing: Some(exception("Closing")),
        })
    }

    /// Both ends of a call's answer.
    fn both() -> (Answer, Question) {
        let call = Call::new(Method::GET, Uri::from_static("/"));
        let now = Instant::now();
        let clocks = Clocks {
            deadline: now,
            chunk_timeout: Duration::ZERO,
            abandon_after: Duration::ZERO,
        };
        let (_, answer, question) = Ticket::issue(call, now, clocks, Freight::default());
        (Answer::Open(answer), question)
    }

    /// What the reader of a body hears that ends so, and what is to be logged.
    fn end(ended: Ended, interrupted: bool) -> (Option<Broken<Fault>>, usize) {
        let (mut answer, question) = both();
        assert!(answer.begin(None, head()).is_some());
        let context = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Outcome::Returned(Returned {
            body: Content::Stream(mut chunks),
            ..
        }))) = question.poll(context)
        else {
            panic!("no head")
        };
        let told = answer.end(ended, interrupted).len();
        let Poll::Ready(next) = chunks.reader.poll_next(context) else {
            panic!("no end")
        };
        (next.and_then(Result::err), told)
    }

    #[test]
    fn a_body_ends_or_breaks_off_and_what_was_raised_is_told() {
        let raised = Fault::Raised(exception("Raised"));
        assert_eq!(end(streamed(None), false), (None, 1));
        assert_eq!(
            end(streamed(Some(raised.clone())), false),
            (Some(Broken::Failed(raised)), 2)
        );
        let panicked = Fault::Panicked("why".to_owned());
        let ended = Ended::Whole(Outcome::Panicked("why".to_owned()));
        assert_eq!(end(ended, true), (Some(Broken::Failed(panicked)), 1));
    }

    #[test]
    fn what_an_interrupted_call_raises_is_not_told() {
        let raised = Fault::Raised(exception("Raised"));
        assert_eq!(
            end(streamed(Some(raised)), true),
            (Some(Broken::Failed(Fault::Interrupted)), 0)
        );
    }

    #[test]
    fn a_head_that_nobody_waits_for_gives_no_place_for_chunks() {
        let (mut answer, question) = both();
        drop(question);
        assert!(answer.begin(None, head()).is_none());
        assert_eq!(answer.end(streamed(None), false).len(), 1);
    }
}

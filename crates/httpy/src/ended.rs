//! `CallEnded`: the end of a call, as its span, the metrics, the recorder and the log get it; `Ending`: how it ended.

use std::time::{Duration, Instant};

use http::StatusCode;
use httpy_core::{Call, Timings, Warning};
use serde::Serialize;

use crate::Error;
use crate::error::Kind;

/// The end of a call: it is answered, whole or by its head, or its client has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallEnded<'a> {
    pub(crate) target: &'a str,
    pub(crate) call: &'a Call,
    /// When it ended.
    pub(crate) time: Instant,
    /// Where its time went; `None` if it did not come into the queue.
    pub(crate) times: Option<Times>,
    pub(crate) result: CallResult<'a>,
}

/// Where the time of a call went that was put into the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) parts: Timings,
    /// From the push into the queue to the end.
    pub(crate) total: Duration,
}

/// What the client of a call got.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallResult<'a> {
    /// The handler's reply, and what was left out of it.
    Answered {
        status: StatusCode,
        warnings: &'a [Warning],
    },
    /// The response for an error; `is_logged` if the executor logs it, with the handler's stack.
    Failed { error: &'a Error, is_logged: bool },
    /// Nothing: it had left, before the handler ran if `is_unused`.
    Left { is_unused: bool },
}

impl<'a> CallEnded<'a> {
    pub(crate) fn ending(&self) -> Ending {
        match self.result {
            CallResult::Answered { .. } => Ending::Ok,
            CallResult::Failed { error, .. } => Ending::from(error.kind()),
            CallResult::Left { is_unused: true } => Ending::Abandoned,
            CallResult::Left { is_unused: false } => Ending::Gone,
        }
    }

    /// The status that the client got.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.result {
            CallResult::Answered { status, .. } => Some(status.as_u16()),
            CallResult::Failed { error, .. } => Some(error.kind().status().0.as_u16()),
            CallResult::Left { .. } => None,
        }
    }

    pub(crate) fn error(&self) -> Option<&'a Error> {
        match self.result {
            CallResult::Failed { error, .. } => Some(error),
            _ => None,
        }
    }

    pub(crate) fn route(&self) -> Option<&'a str> {
        self.call.details.route.as_deref()
    }

    /// Whether the operator should see it: a failure of httpy, or a status of the handler that says so.
    pub(crate) fn has_failed(&self) -> bool {
        self.ending().is_failure() || self.status() >= Some(500)
    }
}

/// The way in which a call ended.
///
/// ```
/// use httpy::Ending;
///
/// assert_eq!(serde_json::to_string(&Ending::ShuttingDown).unwrap(), r#""shutting_down""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// The handler answered, with whatever status.
    Ok,
    /// The handler raised.
    Exception,
    /// The handler returned what the contract does not allow.
    Contract,
    /// The deadline passed while it ran.
    Deadline,
    /// It was refused before it ran: no place in the queue, or no worker in time.
    Overloaded,
    /// The engine was shutting down.
    ShuttingDown,
    /// The client's body was too large, too slow, or broke off.
    Body,
    /// No route or no method of a route.
    NotFound,
    /// The client went away while the call waited: it never ran.
    Abandoned,
    /// httpy failed, or an extra of the host.
    Internal,
    /// The client went away while it ran, or before it took the answer.
    Gone,
    /// The worker process that ran it died.
    Crashed,
}

impl Ending {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 12] = [
        Self::Ok,
        Self::Exception,
        Self::Contract,
        Self::Deadline,
        Self::Overloaded,
        Self::ShuttingDown,
        Self::Body,
        Self::NotFound,
        Self::Abandoned,
        Self::Internal,
        Self::Gone,
        Self::Crashed,
    ];

    pub(crate) const fn is_failure(self) -> bool {
        !matches!(
            self,
            Self::Ok | Self::NotFound | Self::Abandoned | Self::Gone
        )
    }

    /// As it is serialised, and in metrics and spans.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exception => "exception",
            Self::Contract => "contract",
            Self::Deadline => "deadline",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting_down",
            Self::Body => "body",
            Self::NotFound => "not_found",
            Self::Abandoned => "abandoned",
            Self::Internal => "internal",
            Self::Gone => "gone",
            Self::Crashed => "crashed",
        }
    }
}

impl From<&Kind> for Ending {
    fn from(kind: &Kind) -> Self {
        match kind {
            Kind::Exception => Self::Exception,
            Kind::Contract(_) => Self::Contract,
            Kind::Deadline => Self::Deadline,
            Kind::WorkerDied => Self::Crashed,
            Kind::Overloaded => Self::Overloaded,
            Kind::ShuttingDown => Self::ShuttingDown,
            Kind::BodyTooLarge | Kind::BodyBroken | Kind::BodyTimeout | Kind::Stalled => Self::Body,
            Kind::NotFound | Kind::MethodNotAllowed(_) => Self::NotFound,
            Kind::Config
            | Kind::Venv
            | Kind::Interpreter
            | Kind::Differs
            | Kind::ShutDown
            | Kind::Load(_)
            | Kind::Routes
            | Kind::Reload
            | Kind::Internal
            | Kind::Extra => Self::Internal,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::{Method, Uri};

    use super::*;

    /// A call without a route.
    pub(crate) fn call() -> Call {
        Call::new(Method::GET, Uri::from_static("/"))
    }

    /// A call of `w:h` with `result` that took `total`, without parts that are known.
    pub(crate) fn ended<'a>(
        call: &'a Call,
        result: CallResult<'a>,
        total: Duration,
    ) -> CallEnded<'a> {
        CallEnded {
            target: "w:h",
            call,
            time: Instant::now(),
            times: Some(Times {
                parts: Timings::default(),
                total,
            }),
            result,
        }
    }

    pub(crate) fn answered(status: StatusCode) -> CallResult<'static> {
        CallResult::Answered {
            status,
            warnings: &[],
        }
    }

    pub(crate) fn failed(error: &Error) -> CallResult<'_> {
        CallResult::Failed {
            error,
            is_logged: false,
        }
    }

    #[test]
    fn each_ending_stands_at_its_number() {
        for (number, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, number);
            assert_eq!(serde_json::to_value(ending).unwrap(), ending.name());
        }
    }

    #[test]
    fn an_answer_of_the_handler_that_says_so_is_a_failure_and_a_client_that_goes_is_none() {
        let [raised, too_large, not_found] =
            [Kind::Exception, Kind::BodyTooLarge, Kind::NotFound].map(|kind| Error::new(kind, ""));
        let call = call();
        for (result, ending, status, is_failure) in [
            (answered(StatusCode::OK), Ending::Ok, Some(200), false),
            (
                answered(StatusCode::BAD_GATEWAY),
                Ending::Ok,
                Some(502),
                true,
            ),
            (failed(&raised), Ending::Exception, Some(500), true),
            (failed(&too_large), Ending::Body, Some(413), true),
            (failed(&not_found), Ending::NotFound, Some(404), false),
            (
                CallResult::Left { is_unused: true },
                Ending::Abandoned,
                None,
                false,
            ),
            (
                CallResult::Left { is_unused: false },
                Ending::Gone,
                None,
                false,
            ),
        ] {
            let ended = ended(&call, result, Duration::ZERO);
            assert_eq!(
                (ended.ending(), ended.status(), ended.has_failed()),
                (ending, status, is_failure)
            );
        }
    }
}

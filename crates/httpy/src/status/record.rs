//! `Ended`: what is recorded of a call when it has ended: how, and where its time went.

use std::time::Duration;

use http::Method;
use serde::Serialize;

use crate::error::Kind;

/// Where the time of a call went. Zero where it is not known, or where the call did not come so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Timings {
    /// In the queue, until a worker took the call.
    pub(crate) queue: Duration,
    /// Until that worker had the interpreter.
    pub(crate) attach: Duration,
    /// Building the arguments and reading the result.
    pub(crate) convert: Duration,
    /// In the handler.
    pub(crate) run: Duration,
    /// From the push into the queue to the answer.
    pub(crate) total: Duration,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) target: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) method: Option<&'a Method>,
    /// The status that the client got; 0 if it had left.
    pub(crate) status: u16,
    pub(crate) ending: Ending,
    pub(crate) timings: Timings,
    /// What went wrong.
    pub(crate) message: Option<&'a str>,
}

impl Ended<'_> {
    /// Whether the operator should see it: a failure of httpy, or a status of the handler that says so.
    pub(super) fn has_failed(&self) -> bool {
        self.ending.is_failure() || self.status >= 500
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
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_stands_at_its_number() {
        for (number, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, number);
            assert_eq!(serde_json::to_value(ending).unwrap(), ending.name());
        }
    }

    #[test]
    fn an_answer_of_the_handler_that_says_so_is_a_failure_and_a_client_that_goes_is_none() {
        let ended = |ending, status| Ended {
            target: "w:h",
            route: None,
            method: None,
            status,
            ending,
            timings: Timings::default(),
            message: None,
        };
        for (ending, status, failed) in [
            (Ending::Ok, 200, false),
            (Ending::Ok, 502, true),
            (Ending::Exception, 500, true),
            (Ending::Body, 413, true),
            (Ending::NotFound, 404, false),
            (Ending::Abandoned, 0, false),
        ] {
            assert_eq!(ended(ending, status).has_failed(), failed, "{ending:?}");
        }
    }
}

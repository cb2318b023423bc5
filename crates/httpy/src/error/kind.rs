//! `Kind`: what went wrong, and what a client sees of it.

use http::{HeaderValue, StatusCode};
use httpy_core::{LoadErrorKind, Rule};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Config,
    Venv,
    Interpreter,
    Differs,
    ShutDown,
    Load(LoadErrorKind),
    Routes,
    Reload,
    Exception,
    Contract(Rule),
    Internal,
    WorkerDied,
    Extra,
    BodyTooLarge,
    BodyBroken,
    BodyTimeout,
    Overloaded,
    ShuttingDown,
    Deadline,
    Stalled,
    NotFound,
    /// With the value of `Allow`.
    MethodNotAllowed(HeaderValue),
}

impl Kind {
    /// The status of the response, and the short line that clients see.
    pub(crate) fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "the request's body broke off"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            Self::BodyTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "the request's body took too long",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the request's body is too large",
            ),
            Self::WorkerDied => (StatusCode::BAD_GATEWAY, "the worker died"),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded, try again later",
            ),
            Self::ShuttingDown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting down, try again later",
            ),
            Self::Deadline => (StatusCode::GATEWAY_TIMEOUT, "the handler took too long"),
            Self::Config
            | Self::Venv
            | Self::Interpreter
            | Self::Differs
            | Self::ShutDown
            | Self::Load(_)
            | Self::Routes
            | Self::Reload
            | Self::Exception
            | Self::Contract(_)
            | Self::Internal
            | Self::Extra
            | Self::Stalled => (StatusCode::INTERNAL_SERVER_ERROR, "internal server error"),
        }
    }
}

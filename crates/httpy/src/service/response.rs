//! From an `Outcome` to a response; `ResponseBody`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body, Frame, SizeHint};
use httpy_core::{Outcome, Reply};
use tower::BoxError;

use crate::error::Kind;
use crate::{Error, log};

/// The body of a response from Python.
///
/// Its error is a [`BoxError`], because bodies that are streamed can fail; whole ones, as handlers return them now, never
/// do.
#[derive(Debug, Default)]
pub struct ResponseBody {
    whole: Bytes,
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    /// A whole body.
    fn from(whole: T) -> Self {
        Self { whole: whole.into() }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let whole = std::mem::take(&mut self.whole);
        Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.whole.len() as u64)
    }
}

/// Judges what became of a call of `target`; warnings are logged.
///
/// # Errors
///
/// Everything but a reply that keeps the contract.
pub(crate) fn judge(target: &str, method: &Method, outcome: Outcome) -> Result<Reply, Error> {
    let reply = match outcome {
        Outcome::Returned(returned) => returned.check(method).map_err(|failure| Error::contract(target, &failure))?,
        Outcome::Contract(failure) => return Err(Error::contract(target, &failure)),
        Outcome::Raised(exception) => return Err(Error::raised(target, exception)),
        Outcome::Panicked(text) => {
            return Err(Error::new(Kind::Internal, format!("httpy panicked while it called {target}: {text}")));
        }
    };
    for warning in &reply.warnings {
        log::warning(target, warning);
    }
    Ok(reply)
}

pub(super) fn response(reply: Reply) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

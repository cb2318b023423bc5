//! `Pump`: carries a request's body to a handler that reads it as a stream, as fast as that one reads and no faster; `Rest`.
//!
//! It runs as a part of the response: of its future first, and of a streamed body after that, so that a handler can answer
//! while it still reads. What is on its way is bounded by [`STREAM_BYTES`], so that it takes nothing of the budget for bodies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use httpy_core::{Reader, STREAM_BYTES, UploadFault, Writer, stream};
use tokio::time::timeout;
use tower::BoxError;

use super::body::{broken, compact, too_large};
use super::debug_page::BodyStart;
use super::server::Upgrade;
use super::service::Inner;
use crate::Error;
use crate::error::Kind;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What may still come from the client while it is answered.
#[derive(Debug)]
pub(super) enum Rest {
    /// The rest of the request's body.
    Body(Pump),
    /// The messages of a WebSocket, if the application accepts it.
    Socket(Box<Upgrade>),
}

impl Rest {
    /// Goes on with the body of a request.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        if let Self::Body(pump) = self {
            pump.poll(context);
        }
    }
}

/// A request's body on its way. Dropped, it breaks off.
pub(super) struct Pump {
    /// Never locked: the mutex only makes `Sync` of what is polled through `&mut` alone. `None` if all is done.
    work: Mutex<Option<Work>>,
}

impl Pump {
    /// The pump of `body`, where it is not empty, and where its chunks come out.
    ///
    /// # Errors
    ///
    /// If the body declares a size above the limit; nothing of it is read then.
    pub(super) fn new<B>(
        service: &Inner,
        body: B,
        start: Option<BodyStart>,
    ) -> Result<(Option<Self>, Reader<UploadFault>), Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (limit, between) = (service.limits.body, service.limits.body_timeout);
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        let (writer, reader) = stream(STREAM_BYTES);
        if body.is_end_stream() {
            writer.end();
            return Ok((None, reader));
        }
        let work: Work = Box::pin(run(body, writer, limit, between, start));
        Ok((
            Some(Self {
                work: Mutex::new(Some(work)),
            }),
            reader,
        ))
    }

    /// Goes on for as long as there is something to read and room for it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        let work = self.work.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(going) = work
            && going.as_mut().poll(context).is_ready()
        {
            // With it, the request's body.
            *work = None;
        }
    }
}

async fn run<B>(
    body: B,
    mut writer: Writer<UploadFault>,
    limit: usize,
    between: Duration,
    start: Option<BodyStart>,
) where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut left = limit;
    let error = loop {
        // The handler has gone, and what it has not read is nobody's business.
        if poll_fn(|context| writer.poll_ready(context)).await.is_err() {
            return;
        }
        let data = match timeout(between, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => break broken(error.into()),
            Ok(None) => return writer.end(),
            Err(_) => {
                let text = format!("nothing of the request's body came for {between:?}");
                break Error::new(Kind::BodyTimeout, text);
            }
        };
        if let Some(start) = &start {
            start.note(&data);
        }
        let Some(rest) = left.checked_sub(data.len()) else {
            break too_large(limit);
        };
        left = rest;
        if writer.write(compact(data)).is_err() {
            return;
        }
    };
    writer.fail(fault(&error));
}

/// [`Error::upload`] is its inverse.
fn fault(error: &Error) -> UploadFault {
    let status = match error.kind() {
        Kind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    };
    UploadFault {
        status: status.as_u16(),
        text: error.to_string(),
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").finish_non_exhaustive()
    }
}

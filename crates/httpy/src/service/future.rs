//! The response futures: read the body, push the job, wait for the outcome, with one clock; give up the call, or pass it
//! on to a streamed body.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use httpy_core::{Content, Outcome, Reply, Ticket, Upload};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tower::BoxError;

use super::debug_page::{Asked, BodyStart};
use super::left::Left;
use super::observed::{Come, Observed};
use super::service::Inner;
use super::state::{Held, State, StateProject};
use super::stream::{Open, Streamed};
use super::timer::Timer;
use super::upload::Rest;
use super::{PyService, ResponseBody, slot, slow};
use crate::Error;
use crate::ended::CallResult;
use crate::error::Kind;
use crate::judge::judge;

pin_project! {
    /// The future of [`PyService`] as a [`Service`](tower::Service). It always ends with a response.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use http::Request;
    /// use httpy::ResponseFuture;
    /// use tower::Service;
    ///
    /// # let engine = httpy::PyEngine::builder().path("python").build()?;
    /// let mut report = engine.handler("shop:report")?;
    /// let future: ResponseFuture<String> = report.call(Request::get("/").body(String::new())?);
    /// let Ok(response) = future.await;
    /// assert_eq!(response.status(), 200);
    /// # Ok(()) }
    /// ```
    #[must_use = "a call is given up when its future is dropped"]
    pub struct ResponseFuture<B> {
        #[pin]
        call: CallFuture<B>,
        // For the page about a failure, in debug.
        asked: Option<Box<Asked>>,
    }
}

impl<B> ResponseFuture<B> {
    pub(super) fn new(call: CallFuture<B>, asked: Option<Box<Asked>>) -> Self {
        Self { call, asked }
    }
}

impl<B> Future for ResponseFuture<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut call = this.call;
        let result = ready!(call.as_mut().poll(context));
        let choice = &call.service.inner.engine.failure_response;
        Poll::Ready(Ok(result.unwrap_or_else(|error| {
            choice.response(error, this.asked.as_deref())
        })))
    }
}

pin_project! {
    /// The future of [`PyService::try_call`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use http::Request;
    /// use httpy::CallFuture;
    ///
    /// # let engine = httpy::PyEngine::builder().path("python").build()?;
    /// let fail = engine.handler("shop:fail")?;
    /// let future: CallFuture<String> = fail.try_call(Request::get("/").body(String::new())?);
    /// let error = future.await.unwrap_err();
    /// assert_eq!(error.to_string(), "shop:fail raised ValueError: no such item");
    /// # Ok(()) }
    /// ```
    #[must_use = "a call is given up when its future is dropped"]
    pub struct CallFuture<B> {
        service: PyService,
        #[pin]
        state: State<B>,
        // For the body's timeout first, then for the longest wait, then for the deadline.
        timer: Timer,
        // Comes while the call waits, or after its head.
        rest: Option<Rest>,
        observed: Observed,
    }

    impl<B> PinnedDrop for CallFuture<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let State::Waiting { question, .. } = this.state.as_ref().get_ref() else { return };
            let is_unused = matches!(Left::leave(this.service, question, false), Left::Waiting);
            let come = Come::Queued(question.ticket());
            this.observed.ended(&this.service.inner, come, CallResult::Left { is_unused });
        }
    }
}

impl<B> CallFuture<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// The call of `request` with the slot that `service` was ready with, or with why it was ready without one. Its body's
    /// bytes are noted in `start`.
    pub(super) fn new(
        service: PyService,
        slot: Result<Option<OwnedSemaphorePermit>, Error>,
        request: Request<B>,
        start: Option<BodyStart>,
    ) -> Self {
        let (mut rest, mut observed) = (None, Observed::new(&service.inner, &request, start));
        let span = observed.span.clone();
        // What the host finds out about the request belongs to the call as well.
        let entered = span.enter();
        let state = State::new(&service.inner, slot, request, &mut rest, &mut observed);
        drop(entered);
        Self {
            service,
            state,
            timer: Timer::default(),
            rest,
            observed,
        }
    }
}

impl<B> Future for CallFuture<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let observed = &*this.observed;
        let _entered = observed.span.enter();
        let result = ready!(poll(
            this.service,
            observed,
            this.state.as_mut(),
            this.timer,
            this.rest,
            context
        ));
        let state = this.state.as_ref().get_ref();
        // That of a call which was answered has been given already.
        if let (Err(error), Some(come)) = (&result, state.come()) {
            let is_logged = match state {
                // An engine that is forced to stop answers without having asked whether the call still waits.
                State::Waiting { question, .. } => {
                    let late = error.is_deadline();
                    matches!(Left::leave(this.service, question, late), Left::Running) && late
                }
                _ => false,
            };
            let result = CallResult::Failed { error, is_logged };
            observed.ended(&this.service.inner, come, result);
        }
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}

fn poll<B>(
    service: &PyService,
    observed: &Observed,
    mut state: Pin<&mut State<B>>,
    timer: &mut Timer,
    rest: &mut Option<Rest>,
    context: &mut Context<'_>,
) -> Poll<Result<Response<ResponseBody>, Error>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let engine = &service.inner.engine;
    loop {
        match state.as_mut().project() {
            StateProject::Refused { error, .. } => {
                return Poll::Ready(Err(error.take().unwrap_or_else(ended)));
            }
            StateProject::Reading {
                body,
                call,
                slot,
                waits,
            } => {
                if let Poll::Ready(read) = body.poll(context) {
                    let (body, bytes) = read?;
                    let (call, slot) = (
                        call.take().ok_or_else(ended)?,
                        slot.take().or_else(|| engine.slots.take()),
                    );
                    timer.clear();
                    if slot.is_none() && *waits {
                        let slot = slot::wait(Arc::clone(&service.inner));
                        state.set(State::Queueing {
                            slot,
                            call: Some(call),
                            body,
                            bytes,
                        });
                    } else {
                        state.set(State::push(
                            &service.inner,
                            observed,
                            *call,
                            slot,
                            Upload::Whole(body),
                            bytes,
                        ));
                    }
                    continue;
                }
                // Clients that are slow to send must not keep the queue from those who are not.
                *slot = None;
                ready!(timer.poll(&engine.gate, context, || Instant::now()
                    + service.inner.limits.body_timeout))?;
                return Poll::Ready(Err(Error::new(
                    Kind::BodyTimeout,
                    format!(
                        "the request's body took longer than {:?}",
                        service.inner.limits.body_timeout
                    ),
                )));
            }
            StateProject::Queueing {
                slot,
                call,
                body,
                bytes,
            } => {
                let slot = ready!(slot.as_mut().poll(context))?;
                let (call, body, bytes) = (
                    *call.take().ok_or_else(ended)?,
                    mem::take(body),
                    bytes.take(),
                );
                state.set(State::push(
                    &service.inner,
                    observed,
                    call,
                    Some(slot),
                    Upload::Whole(body),
                    bytes,
                ));
            }
            StateProject::Waiting {
                question,
                is_slow,
                held,
            } => {
                Held::poll(held, &service.inner, context)?;
                let ticket = question.ticket();
                if let Poll::Ready(outcome) = question.poll(context) {
                    let target = &service.inner.target;
                    let outcome = outcome.ok_or_else(|| lost(target, ticket))?;
                    let response = answered(service, observed, ticket, rest, outcome);
                    // Nothing is left to release: the call has ended, or belongs to its response's body.
                    state.set(State::Done);
                    return Poll::Ready(response);
                }
                if let Some(rest) = rest {
                    rest.poll(context);
                }
                // Whether it was taken makes no difference to the client; the worker skips it when it was not.
                let pushed = Instant::from_std(ticket.pushed);
                let first = || slow::next_look(&service.inner, ticket, *is_slow, pushed);
                ready!(timer.poll(&engine.gate, context, first))?;
                let now = Instant::now();
                // At its deadline there is more to be told.
                let late = now >= Instant::from_std(ticket.clocks.deadline);
                if !*is_slow && !late && slow::is_slow(&service.inner, ticket, now) {
                    *is_slow = true;
                    slow::tell(&service.inner, ticket, now);
                }
                if now >= pushed + service.inner.limits.max_wait && ticket.withdraw() {
                    let Inner { target, limits, .. } = &*service.inner;
                    let max_wait = limits.max_wait;
                    let why = match held {
                        Some(_) => "its concurrency left it no turn",
                        None => "no worker was free",
                    };
                    let text = format!("{target} was not called: {why} within {max_wait:?}");
                    return Poll::Ready(Err(Error::new(Kind::Overloaded, text)));
                }
                let deadline = Instant::from_std(ticket.clocks.deadline);
                // A debugger that waits in the handler has stopped its clock.
                let is_stopped = ticket.is_stopped();
                if now >= deadline && !is_stopped {
                    let text = format!(
                        "{} did not answer within {:?}",
                        service.inner.target, service.inner.limits.deadline
                    );
                    return Poll::Ready(Err(Error::new(Kind::Deadline, text)));
                }
                // It goes on, and looks again at its longest wait, and at the deadline.
                let next = if is_stopped {
                    now + service.inner.limits.deadline
                } else {
                    slow::next_look(&service.inner, ticket, *is_slow, now)
                };
                timer.set(&engine.gate, context, next);
            }
            StateProject::Done => return Poll::Ready(Err(ended())),
        }
    }
}

/// The response to a call that was answered, whole or by its head.
fn answered(
    service: &PyService,
    observed: &Observed,
    ticket: &Arc<Ticket>,
    rest: &mut Option<Rest>,
    outcome: Outcome,
) -> Result<Response<ResponseBody>, Error> {
    let streams = outcome.is_streamed();
    // Before the head is judged: if it is refused, the handler learns that the rest is not wanted.
    let open = streams.then(|| {
        Open::new(
            Arc::clone(&service.inner),
            Arc::clone(ticket),
            observed.span.clone(),
        )
    });
    let reply = judge(&service.inner.target, &ticket.call.method, outcome);
    let result = match &reply {
        Ok(Reply {
            status, warnings, ..
        }) => CallResult::Answered {
            status: *status,
            warnings,
        },
        Err(error) => CallResult::Failed {
            error,
            is_logged: false,
        },
    };
    observed.ended(&service.inner, Come::Queued(ticket), result);
    let Reply {
        mut status,
        headers,
        body,
        length,
        ..
    } = reply?;
    // Over HTTP/2 it would accept the WebSocket (RFC 8441), whatever the application meant.
    if ticket.call.method == Method::CONNECT && status.is_success() {
        status = StatusCode::FORBIDDEN;
    }
    let body = match (body, open) {
        (Content::Stream(chunks), Some(open)) => {
            let pump = match rest.take() {
                Some(Rest::Socket(upgrade)) if status == StatusCode::SWITCHING_PROTOCOLS => {
                    let from_app = Streamed::new(chunks, None, open, None);
                    return Ok(upgrade.accept(headers, from_app, Arc::clone(&service.inner)));
                }
                Some(Rest::Body(pump)) => Some(pump),
                _ => None,
            };
            ResponseBody::stream(Streamed::new(chunks, length, open, pump))
        }
        (Content::Whole(whole), _) => whole.into(),
        (Content::Stream(_), None) => ResponseBody::default(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The job ended without an outcome.
fn lost(target: &str, ticket: &Ticket) -> Error {
    if ticket.is_taken() {
        return Error::new(
            Kind::Internal,
            format!("the worker that called {target} was lost"),
        );
    }
    Error::shutting_down()
}

fn ended() -> Error {
    Error::new(
        Kind::Internal,
        "a call's future was polled after it had ended",
    )
}

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("service", &self.call.service)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for CallFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

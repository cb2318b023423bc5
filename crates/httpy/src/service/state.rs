//! `State`: how far a call is on its way to a worker, and what it is refused for.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use httpy_core::{Call, Clocks, Freight, Job, Permits, Question, Ticket, Upload};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tower::BoxError;

use super::body::Collect;
use super::limit::Concurrency;
use super::observed::{Come, Observed};
use super::service::Inner;
use super::slot::Wait;
use super::upload::{Pump, Rest};
use super::{prepare, server};
use crate::Error;
use crate::config::LONGEST;
use crate::error::Kind;

pin_project! {
    #[project = StateProject]
    /// How far a call is.
    pub(super) enum State<B> {
        // Before it was handed to the pool; boxed as calls are large, and this is rare.
        Refused { error: Option<Error>, call: Box<Call> },
        Reading {
            #[pin]
            body: Collect<B>,
            call: Option<Box<Call>>,
            slot: Option<OwnedSemaphorePermit>,
            // The service waited for a slot, so that its call may wait again.
            waits: bool,
        },
        // The body was slow to come, and another call has got its slot.
        Queueing { slot: Wait, call: Option<Box<Call>>, body: Bytes, bytes: Option<OwnedSemaphorePermit> },
        // `held` while as many calls of its service run as may.
        Waiting { question: Question, is_slow: bool, held: Option<Box<Held>> },
        Done,
    }
}

/// A job that waits until its service may run one more call. It keeps its place in the queue.
pub(super) struct Held {
    permit: Wait,
    job: Job,
}

impl Held {
    /// Hands the job to the pool, once it may run.
    pub(super) fn poll(
        held: &mut Option<Box<Self>>,
        service: &Inner,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let Some(waits) = held else { return Ok(()) };
        if let Poll::Ready(permit) = waits.permit.as_mut().poll(context) {
            let permit = permit?;
            if let Some(waits) = held.take() {
                waits.job.ticket.permit(permit);
                hand_over(service, waits.job);
            }
        }
        Ok(())
    }
}

fn hand_over(service: &Inner, job: Job) {
    // Where it is refused, the engine is shutting down, and the job's end says so.
    drop(service.engine.executor.push(job));
}

impl<B> State<B> {
    /// How far the call has come, until it has ended.
    pub(super) fn come(&self) -> Option<Come<'_>> {
        match self {
            Self::Refused { call, .. } => Some(Come::Before(call)),
            Self::Reading { call, .. } | Self::Queueing { call, .. } => {
                call.as_deref().map(Come::Before)
            }
            Self::Waiting { question, .. } => Some(Come::Queued(question.ticket())),
            Self::Done => None,
        }
    }
}

impl<B> State<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(
        service: &Inner,
        slot: Result<Option<OwnedSemaphorePermit>, Error>,
        request: Request<B>,
        rest: &mut Option<Rest>,
        observed: &mut Observed,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        let upgrade = server::upgrade(service, &mut parts);
        let prepared = slot.and_then(|slot| {
            if service.engine.gate.is_closed() {
                return Err(Error::shutting_down());
            }
            Ok((slot, prepare::call(service, &mut parts, upgrade.is_some())?))
        });
        let (slot, call) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Self::refused(error, prepare::refused(service, parts)),
        };
        observed.prepared(service, &call);
        if let Some((upgrade, reader)) = upgrade {
            *rest = Some(Rest::Socket(Box::new(upgrade)));
            return Self::push(service, observed, call, slot, Upload::Stream(reader), None);
        }
        if !service.id.interface.collects(body.size_hint().upper()) {
            let (work, reader) = match Pump::new(service, body, observed.body_start.take()) {
                Ok(new) => new,
                Err(error) => return Self::refused(error, call),
            };
            *rest = work.map(Rest::Body);
            return Self::push(service, observed, call, slot, Upload::Stream(reader), None);
        }
        if body.is_end_stream() {
            return Self::push(service, observed, call, slot, Upload::default(), None);
        }
        let (limit, budget) = (service.limits.body, service.engine.budget.clone());
        match Collect::new(body, limit, budget, observed.body_start.take()) {
            Ok(body) => Self::Reading {
                body,
                call: Some(Box::new(call)),
                waits: slot.is_some(),
                slot,
            },
            Err(error) => Self::refused(error, call),
        }
    }

    fn refused(error: Error, call: Call) -> Self {
        Self::Refused {
            error: Some(error),
            call: Box::new(call),
        }
    }

    /// Hands the call to the pool, as soon as it may run.
    pub(super) fn push(
        service: &Inner,
        observed: &Observed,
        call: Call,
        slot: Option<OwnedSemaphorePermit>,
        body: Upload,
        bytes: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (limit, slot) = match Self::admit(service, slot) {
            Ok(admitted) => admitted,
            Err(error) => return Self::refused(error, call),
        };
        // Tokio's clock, which is the one of the timer.
        let pushed = Instant::now().into_std();
        let limits = &service.limits;
        let clocks = Clocks {
            deadline: pushed + limits.deadline,
            chunk_timeout: if call.is_socket {
                LONGEST
            } else {
                limits.chunk_timeout
            },
            abandon_after: limits.abandon_after,
        };
        let (concurrency, waits) = match service.concurrency.as_ref().map(Concurrency::take) {
            None => (None, None),
            Some(Ok(permit)) => (Some(permit), None),
            Some(Err(waits)) => (None, Some(waits)),
        };
        let freight = Freight {
            body,
            permits: Permits {
                bytes,
                limit,
                concurrency,
            },
        };
        let (ticket, answer, question) = Ticket::issue(call, pushed, clocks, freight);
        ticket.count_among(&service.engine.under_way);
        observed.pushes(service, &ticket);
        if service.engine.debug {
            ticket.allow_debugger();
        }
        let job = Job {
            target: service.id,
            ticket,
            answer,
            slot,
        };
        let held = match waits {
            Some(permit) => Some(Box::new(Held { permit, job })),
            None => {
                hand_over(service, job);
                None
            }
        };
        Self::Waiting {
            question,
            is_slow: false,
            held,
        }
    }

    /// The call's share of the service's limit, where it has one, and its place in the queue.
    fn admit(
        service: &Inner,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit), Error> {
        // A call that came before the gate was closed may still end within the grace period.
        if service.engine.gate.is_forced() {
            return Err(Error::shutting_down());
        }
        let limit = service.limit.as_ref();
        let limit = limit.map(|limit| limit.take(&service.target)).transpose()?;
        let slot = slot
            .or_else(|| service.engine.slots.take())
            .ok_or_else(|| {
                let text = format!("{}: the queue is full", service.target);
                Error::new(Kind::Overloaded, text)
            })?;
        Ok((limit, slot))
    }
}

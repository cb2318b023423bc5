//! `Shared`: what an engine and its services share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use httpy_core::{Execute, Ticket, UnderWay};
use tracing::Span;

use super::body::Budget;
use super::failure::Choice;
use super::gate::Gate;
use super::prepare::{Extra, TraceContext};
use super::slot::Slots;
use crate::ServiceOptions;
use crate::status::Recorder;

/// What an engine and its services share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) executor: Arc<dyn Execute>,
    pub(crate) gate: Gate,
    /// The places of the queue.
    pub(crate) slots: Slots,
    pub(crate) budget: Budget,
    pub(crate) under_way: Arc<UnderWay>,
    /// Options of services that do not say otherwise.
    pub(crate) defaults: ServiceOptions,
    /// The longest deadline of its services, in milliseconds.
    pub(crate) longest_deadline: AtomicU64,
    pub(crate) slow_call: Duration,
    pub(crate) drain: Duration,
    pub(crate) extras: Vec<Extra>,
    pub(crate) trace_context: Option<TraceContext>,
    pub(crate) failure_response: Choice,
    /// A handler in which a debugger waits has no deadline.
    pub(crate) debug: bool,
    pub(crate) recorder: Recorder,
    /// The host had a recorder of metrics when this was built.
    pub(crate) metrics: bool,
}

impl Shared {
    /// A service has this deadline.
    pub(crate) fn note_deadline(&self, deadline: Duration) {
        let milliseconds = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.longest_deadline
            .fetch_max(milliseconds, Ordering::Relaxed);
    }

    /// Releases the span of a call when the records that Python code has logged in it are written.
    pub(crate) fn release(&self, span: &Span, ticket: &Ticket) {
        if !span.is_disabled() && ticket.has_logged() {
            self.executor.keep(Box::new(span.clone()));
        }
    }
}

//! `EventLoop`: one event loop and its calls at one moment, as plain data.

use std::time::Duration;

use httpy_core::{LoopMember, Stack, StackOf, Work};
use serde::Serialize;

use super::seconds;
use super::worker::{CurrentCall, stack_of};

/// An event loop, on which `async def` handlers run.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// assert!(engine.snapshot().workers.loops.is_empty());
/// engine.handler("shop:delivery")?; // an `async def`
/// let event_loop = &engine.snapshot().workers.loops[0];
/// assert_eq!((event_loop.calls, event_loop.blocked_for), (0, None));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventLoop {
    /// The name of its thread, for the system and for Python.
    pub name: String,
    /// Calls that are on it, or wait for it.
    pub calls: usize,
    /// Those of them whose first step has not begun.
    pub waiting: usize,
    /// The last event-loop lag, or the current one if that is longer; `None` if it was not measured yet. A snapshot starts the
    /// next measurement.
    #[serde(serialize_with = "seconds::of_option")]
    pub lag: Option<Duration>,
    /// Time for which it has been blocked, if that is longer than
    /// [`loop_blocked_after`](crate::Advanced::loop_blocked_after).
    #[serde(serialize_with = "seconds::of_option")]
    pub blocked_for: Option<Duration>,
    /// The call that blocks it. `None` if a callback or a background task does. After a call's first step also `None` until
    /// its thread could be examined.
    pub blocked_by: Option<CurrentCall>,
    /// The Python stack of its thread, if it was asked for and the loop was still blocked.
    pub stack: Option<String>,
    /// The oldest calls in flight, the oldest first; at most eight.
    pub oldest: Vec<LoopCall>,
}

/// A call on an event loop.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// engine.handler("shop:delivery")?; // an `async def`
/// for event_loop in &engine.snapshot().workers.loops {
///     assert!(event_loop.oldest.iter().all(|oldest| oldest.call.target == "shop:delivery"));
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoopCall {
    /// The call.
    #[serde(flatten)]
    pub call: CurrentCall,
    /// The Python stack of what it awaits or runs, if it was asked for.
    pub stack: Option<String>,
}

impl EventLoop {
    /// `stacks` are those that were read a moment ago.
    pub(crate) fn new(member: LoopMember, stacks: &[Stack]) -> Self {
        let LoopMember {
            name,
            calls,
            waiting,
            lag,
            blocked_for,
            blocked_by,
            oldest,
        } = member;
        let stack = stacks
            .iter()
            .find(|stack| matches!(&stack.of, StackOf::EventLoop(of) if *of == name));
        let stack = stack.map(|stack| stack.text.clone());
        let call = |work: &Work| LoopCall {
            call: work.into(),
            stack: stack_of(work, stacks),
        };
        let oldest = oldest.iter().map(call).collect();
        Self {
            name,
            calls,
            waiting,
            lag,
            blocked_for,
            blocked_by: blocked_by.as_ref().map(Into::into),
            stack,
            oldest,
        }
    }
}

//! `EventLoop`: one event loop and its calls at one moment, as plain data.

use std::time::Duration;

use httpy_core::{LoopMember, Stack, StackOf, Work};
use serde::Serialize;

use super::seconds;
use super::worker::{CurrentCall, stack_of};

/// One event loop of the process, where `async def` handlers run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EventLoop {
    /// The name of its thread, for the system and for Python.
    pub name: String,
    /// Calls that are on it, or wait for it.
    pub calls: usize,
    /// Those of them whose first step has not begun.
    pub waiting: usize,
    /// How long it took to come round when it was asked to the last time, or has taken until now; none where it was never
    /// asked. A snapshot asks, for the next one.
    #[serde(serialize_with = "seconds::of_option")]
    pub lag: Option<Duration>,
    /// For how long it has not come round, where that is longer than
    /// [`loop_blocked_after`](crate::Advanced::loop_blocked_after).
    #[serde(serialize_with = "seconds::of_option")]
    pub blocked_for: Option<Duration>,
    /// The call that blocks it. None where it is a task that a handler left behind, or a callback, and, beyond a call's first
    /// step, until somebody could look.
    pub blocked_by: Option<CurrentCall>,
    /// The Python stack of its thread, where it was asked for and the loop had not come round meanwhile.
    pub stack: Option<String>,
    /// The calls that have been under way for longest, the oldest first; at most eight.
    pub oldest: Vec<LoopCall>,
}

/// A call on an event loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoopCall {
    /// The call.
    #[serde(flatten)]
    pub call: CurrentCall,
    /// What it awaits, or where it is, as a Python stack, where it was asked for.
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

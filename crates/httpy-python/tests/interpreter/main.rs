//! The interpreter's start and end, each test in a process of its own: what they change cannot be undone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod child;
mod exit;
mod guest;
mod pool;
mod start;

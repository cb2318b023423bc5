//! What the end-to-end suites share: an app in this process, a server in a child process, over either executor, a client
//! that sends exactly the bytes it is given, a gate that holds handlers, the log, and Python's own word on requests and
//! replies.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

pub mod app;
pub mod child;
pub mod client;
pub mod config;
pub mod executor;
pub mod gate;
pub mod log;
pub mod record;
pub mod socket;
pub mod span;
pub mod turn;
pub mod twin;

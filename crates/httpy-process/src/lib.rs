//! httpy's worker processes: Python as processes of its own, each with two lanes of jobs and a control socket, all of them
//! served by one thread.
//!
//! A supervisor starts, replaces and ends them; the dispatch gives them jobs and reads what they answer. What passes between
//! the two is in `handover`. Nothing here knows PyO3 or axum, and nothing that a worker sends is believed unseen.

#![forbid(unsafe_code)]

mod failure;
mod handover;
mod handshake;
mod hello;
mod line;
mod options;
mod source;
mod spawn;
mod supervisor;

pub use options::ProcessOptions;

//! httpy's worker processes: Python as processes of its own, each with two lanes of jobs and a control socket, all of them
//! served by one thread.
//!
//! A supervisor starts, replaces and ends them; the dispatch gives them jobs and reads what they answer. What passes between
//! the two is in `handover`. Nothing here knows PyO3 or axum, and nothing that a worker sends is believed unseen.

#![forbid(unsafe_code)]

mod after;
mod ask;
mod backlog;
mod board;
mod call;
mod channel;
mod control;
mod deed;
mod dispatch;
mod end;
mod enforce;
mod executor;
mod failure;
mod gather;
mod handover;
mod handshake;
mod hello;
mod hub;
mod line;
mod options;
mod process;
mod reply;
mod round;
mod said;
mod send;
mod source;
mod spawn;
mod supervisor;
#[cfg(test)]
mod tests;
mod traffic;
mod watch;
mod worker;

pub use executor::Processes;
pub use options::ProcessOptions;

//! What an engine remembers of its calls and shows of its workers; the page that shows it live.
//!
//! A [`Recorder`] records each call that has ended. [`PyEngine::snapshot`](crate::PyEngine::snapshot) combines its records
//! with the current state, and [`StatusPage`] serves that. Only stacks wait for Python, and with a limit.

mod event_loop;
mod histogram;
mod history;
mod page;
mod recorder;
mod ring;
pub(crate) mod seconds;
mod worker;

pub use self::event_loop::{EventLoop, LoopCall};
pub use self::history::{History, Percentiles, Recent};
pub use self::page::{StatusFuture, StatusPage};
pub use self::recorder::CallCounts;
pub(crate) use self::recorder::Recorder;
pub use self::ring::RecordedCall;
pub use self::worker::{CurrentCall, Worker, WorkerState};

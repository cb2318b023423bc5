//! What an engine remembers of its calls and shows of its workers, as plain data.
//!
//! A [`Recorder`] records each call that has ended. [`PyEngine::snapshot`](crate::PyEngine::snapshot) combines its records
//! with the current state.

mod event_loop;
mod histogram;
mod history;
mod recorder;
mod ring;
pub(crate) mod seconds;
mod worker;

pub use self::event_loop::{EventLoop, LoopCall};
pub use self::history::{History, Percentiles, Recent};
pub use self::recorder::CallCounts;
pub(crate) use self::recorder::Recorder;
pub use self::ring::RecordedCall;
pub use self::worker::{CurrentCall, Worker, WorkerState};

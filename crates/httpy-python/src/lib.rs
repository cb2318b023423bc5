//! httpy's Python side: starts CPython, loads handlers, and runs the workers that call them.
//!
//! Only this crate knows PyO3, and only plain data leaves it. Everything that belongs to one interpreter hangs on one
//! [`Runtime`]; nothing Python is kept in a `static`. Apps see it as [`Embedded`].

mod answer;
mod attach;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod context;
mod convert;
mod deadline;
mod desk;
mod doctor;
mod embedded;
mod event_loop;
mod exception;
mod exit;
mod figure;
mod fork;
mod hook;
pub mod interpreter;
mod lifespan;
mod load;
mod log;
mod park;
mod pool;
mod roster;
mod runtime;
mod stack;
mod stream;
#[cfg(not(Py_3_12))]
mod trace;
mod turn;
mod upload;
mod watchdog;
mod worker;

pub use embedded::Embedded;
pub use pool::{Pool, PoolOptions};
pub use runtime::{Runtime, ShutdownFunction};

//! httpy's Python side: starts CPython, loads handlers, and runs the workers that call them.
//!
//! Only this crate knows PyO3, and only plain data leaves it. Everything that belongs to one interpreter hangs on one
//! [`Runtime`]; nothing Python is kept in a `static`.

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
mod enforcer;
mod event_loop;
mod exception;
mod figure;
mod fork;
pub mod interpreter;
mod load;
mod log;
mod notice;
mod park;
mod pool;
mod roster;
mod runtime;
mod stack;
mod stream;
mod turn;
mod upload;
mod worker;

pub use figure::Figures;
pub use load::{LoadError, LoadErrorKind};
pub use notice::{Notice, Overdue, Slow};
pub use pool::{Health, Listener, Pool, PoolOptions};
pub use roster::{LoopMember, Member, Roster, Work};
pub use runtime::{Runtime, ShutdownFunction};
pub use stack::{Stack, StackOf};

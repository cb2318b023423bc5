//! What Python code logs, as plain data on its way to the host's log: which levels are wanted there, and how a record becomes
//! an event. The same for all who run Python.

mod level;
mod record;

pub use level::{Watch, is_listened_to, python_level, watch};
pub use record::{Record, tidy};

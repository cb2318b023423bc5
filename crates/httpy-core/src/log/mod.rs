//! What Python code logs, as plain data on its way to the host's log: which levels are wanted there, and how a record becomes
//! an event. The same for all who run Python.

mod level;
mod record;

pub use level::{Watch, is_listened_to, python_level, watch};
pub use record::{Record, tidy};

/// Maximum number of log records queued for the host's subscriber.
pub const MOST_WAITING: usize = 4096;
/// Maximum memory of these records, in bytes.
pub const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Logs how many records were dropped. Runs the subscriber's code, so never call this attached.
pub fn tell_dropped(dropped: u64) {
    tracing::warn!(
        target: "httpy",
        dropped,
        "{dropped} entries of Python's log were dropped: they came faster than the subscriber takes them"
    );
}

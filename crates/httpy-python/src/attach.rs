//! The one file that attaches a thread to the interpreter.
//!
//! Who attaches is decided elsewhere: the main thread and each worker, once, for as long as they live. Everything
//! else gets its `Python<'_>` handed down, and detaches only to wait.

use pyo3::Python;

/// Attaches the calling thread for as long as `work` runs.
///
/// # Panics
///
/// When no interpreter was started, and with whatever `work` panics.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that may: every attach of the crate passes through here"
)]
pub(crate) fn attach<R>(work: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    Python::attach(work)
}

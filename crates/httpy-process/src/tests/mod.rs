//! The dispatch with workers that are scripted, or real ones. Nothing sleeps and nothing is timed: what is waited for is a
//! message or an answer, and what must not come is followed by something that does.

mod executor;
mod fake;
pub(crate) mod floor;
mod hostile;
mod real;
mod replaced;
mod scripted;

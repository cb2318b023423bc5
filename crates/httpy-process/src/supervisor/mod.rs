//! The supervisor.
mod backoff;
mod state;

//! `judge`: what became of a call, as a reply that keeps the contract or as an error.

use http::Method;
use httpy_core::{Outcome, Reply};

use crate::Error;

/// Judges what became of a call of `target`.
///
/// # Errors
///
/// Everything but a reply that keeps the contract.
pub(crate) fn judge(target: &str, method: &Method, outcome: Outcome) -> Result<Reply, Error> {
    match outcome {
        Outcome::Returned(returned) => returned
            .check(method)
            .map_err(|failure| Error::contract(target, &failure)),
        Outcome::Raw(reply) => reply
            .check(method)
            .map_err(|failure| Error::contract(target, &failure)),
        Outcome::Contract(failure) => Err(Error::contract(target, &failure)),
        Outcome::Raised(exception) => Err(Error::raised(target, exception)),
        Outcome::Upload(fault) => Err(Error::upload(fault)),
        Outcome::Panicked(text) => Err(Error::panicked(target, &text)),
        Outcome::Crashed(text) => Err(Error::worker_died(target, &text)),
    }
}

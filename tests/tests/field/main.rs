//! Faults that users of other servers have reported, one module for each kind; `docs/faults.md` lists them.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod bare;
mod body;
mod debugger;
mod destructor;
mod ending;
mod fork;
mod host;
mod reload;
mod rewritten;
mod start;
mod thread;
mod which_request;

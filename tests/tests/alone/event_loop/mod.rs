//! `async def` handlers: on an event loop, any number at a time, each with its own task and context, cancelled when nobody
//! waits for them any more.
//!
//! All apps of this program share one pool at a time, so the tests take turns.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod call;
mod cancel;
mod detect;
mod end;
mod limit;
mod nested;
mod root;
mod stream;
mod stuck;
mod turn;
mod view;

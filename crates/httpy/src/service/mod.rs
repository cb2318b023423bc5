//! `PyService` and what a request goes through in it: prepared, its body read or carried along, answered whole or in chunks.

#[cfg(feature = "axum")]
mod behind;
mod body;
mod clock;
mod debug_page;
mod failure;
#[cfg(feature = "axum")]
mod forwarded;
mod future;
mod gate;
mod left;
mod limit;
mod observed;
mod origin;
mod prepare;
#[cfg(feature = "axum")]
mod proxy;
mod response;
mod server;
#[expect(
    clippy::module_inception,
    reason = "the file of `PyService` is called as in every tower crate"
)]
mod service;
mod shared;
mod slot;
mod slow;
#[cfg(feature = "axum")]
mod socket;
mod state;
mod stream;
mod timer;
mod upload;

#[cfg(feature = "axum")]
pub use behind::Pass;
pub(crate) use body::Budget;
pub(crate) use failure::Choice;
pub use failure::{FailureResponse, default_response};
pub use future::{CallFuture, ResponseFuture};
pub(crate) use gate::Gate;
pub use origin::Origin;
pub(crate) use prepare::{Extra, TraceContext};
#[cfg(feature = "axum")]
pub use proxy::{FromProxy, TrustedProxies};
pub use response::ResponseBody;
pub use service::PyService;
pub(crate) use shared::Shared;
pub(crate) use slot::Slots;

/// The call for a request's head; see `prepare`.
#[cfg(feature = "bench")]
pub(crate) fn prepare(
    service: &PyService,
    parts: http::request::Parts,
) -> Result<httpy_core::Call, crate::Error> {
    prepare::call(&service.inner, &mut { parts }, false)
}

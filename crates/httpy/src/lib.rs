//! Python handlers inside axum and tower.

#![forbid(unsafe_code)]

mod app;
mod config;
mod error;
mod failure;
mod log;
#[path = "/tmp/route-stub/mod.rs"]
mod route;
mod service;

pub use app::{PyApp, PyAppBuilder, shutdown_signal};
pub use config::{Config, Workers};
pub use error::Error;
pub use failure::{FailureResponse, default_response};
pub use httpy_core::Exception;
pub use route::RouteMap;
pub use service::{CallFuture, PyService, ResponseBody, ResponseFuture};

//! The pages of the guide, for developers in Rust and in Python and for operators.
#![doc = include_str!(concat!(env!("OUT_DIR"), "/README.md"))]

#[doc = include_str!(concat!(env!("OUT_DIR"), "/apps.md"))]
pub mod apps {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/deploy.md"))]
pub mod deploy {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/doctor.md"))]
pub mod doctor {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/faults.md"))]
pub mod faults {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/figures.md"))]
pub mod figures {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/handlers.md"))]
pub mod handlers {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/logging.md"))]
pub mod logging {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/metrics.md"))]
pub mod metrics {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/observability.md"))]
pub mod observability {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/processes.md"))]
pub mod processes {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/slow.md"))]
pub mod slow {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/streaming.md"))]
pub mod streaming {}
#[doc = include_str!(concat!(env!("OUT_DIR"), "/testing.md"))]
pub mod testing {}

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

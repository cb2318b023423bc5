//! Conversion between the border's plain data and Python objects. Everything here runs attached, on a worker, so all
//! that could be computed elsewhere has been.

mod argument;
mod name;
mod result;
mod scope;
mod text;

pub(crate) use argument::{arguments, body};
pub(crate) use name::Names;
pub(crate) use result::{Found, Lines, chunk, is_coroutine, raw, raw_reply, returned};
pub(crate) use scope::scope;
pub(crate) use text::{bytes, copy_bytes};

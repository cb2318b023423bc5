//! Faults that users of other servers have reported, one module for each kind; `docs/faults.md` lists them.
mod bare;
mod fork;
mod reload;
mod which_request;

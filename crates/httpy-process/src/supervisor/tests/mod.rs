//! The supervisor with real processes: scripted ones, and the worker itself. A stage stands in for the dispatch.

mod fault;
mod leak;
mod life;
mod print;
mod reload;
mod stage;

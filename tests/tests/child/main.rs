//! Servers in processes of their own: their start and their end, their streams, and every fault that could take them along.

mod fault;
mod logging;
mod process;
mod shutdown;
mod start;
mod venv;

//! What a recorder of metrics is told. There is one for the whole process, and all apps of a process share one pool, so the
//! tests take turns.

mod emitted;
mod wait;

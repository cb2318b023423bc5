//! Apps with workers, loops or limits of their own, one at a time: all apps of a process share one interpreter and its pool, so
//! the tests take turns (`httpy_tests::turn`).

mod bulkhead;
mod deadline;
mod event_loop;
mod interruption;
mod overload;
mod slow_call;
mod span;
mod status;

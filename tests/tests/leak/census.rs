//! `Census`: everything in this process that a leak would add to, counted.

use std::alloc::System;
use std::fs;

use httpy_tests::app::{ask, get};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::round::{Calls, with_headers};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is counted. The first ones come from [`SOURCE`], in its order.
pub(crate) const NAMES: [&str; PYTHON + 4] = [
    "Python's blocks",
    "objects of Python's gc",
    "references to handlers",
    "references to names",
    "references to a method",
    "references to results",
    "references to None",
    "threads of Python's",
    "Python's file descriptors",
    "Rust's allocations",
    "Rust's bytes",
    "threads",
    "file descriptors",
];

const PYTHON: usize = 9;

/// The handler `census`, to be put behind what it counts.
pub(crate) const SOURCE: &str = "
import gc, json, os, sys, threading

def census(method, path, params, query, headers, body):
    # CPython's own caches keep names alive, more and more until they are full.
    (getattr(sys, '_clear_internal_caches', None) or sys._clear_type_cache)()
    gc.collect()
    counts = [
        sys.getallocatedblocks(),
        len(gc.get_objects()),
        sum(sys.getrefcount(handler) for handler in HANDLERS),
        sum(sys.getrefcount(name) for name in headers),
        sys.getrefcount(method),
        sum(sys.getrefcount(result) for result in RESULTS),
        sys.getrefcount(None),
        threading.active_count(),
        len(os.listdir('/dev/fd')),
    ]
    return 200, json.dumps(counts), {}
";

/// The counts of one moment, in the order of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) counts: [i64; NAMES.len()],
}

impl Census {
    /// Counts until two counts in a row are the same: what ends on its own, such as the task of a connection that was
    /// closed, may need another turn of the runtime.
    pub(crate) async fn take(calls: &Calls) -> Self {
        let mut last = Self::take_once(calls).await;
        for _ in 0..100 {
            let next = Self::take_once(calls).await;
            if next == last {
                return next;
            }
            last = next;
        }
        last
    }

    async fn take_once(calls: &Calls) -> Self {
        calls.settle().await;
        let answer = ask(calls.census.clone(), with_headers(get("/"))).await;
        let mut counts = [0; NAMES.len()];
        let python: Vec<i64> =
            serde_json::from_slice(&answer.body).expect("the census gives a list");
        counts[..PYTHON].copy_from_slice(&python);
        drop((answer, python));

        let [threads, descriptors] = ["task", "fd"].map(entries);
        let rust = ALLOCATOR.stats();
        let blocks = rust.allocations.wrapping_sub(rust.deallocations);
        let bytes = rust.bytes_allocated.wrapping_sub(rust.bytes_deallocated);
        for (count, value) in counts[PYTHON..]
            .iter_mut()
            .zip([blocks, bytes, threads, descriptors])
        {
            *count = i64::try_from(value).expect("a count of what is there");
        }
        Self { counts }
    }
}

/// How many entries the process's own folder of this name has; where the system has no such folder, none.
fn entries(name: &str) -> usize {
    let folder = fs::read_dir(format!("/proc/self/{name}"))
        .or_else(|_| fs::read_dir(format!("/dev/{name}")));
    folder.map_or(0, Iterator::count)
}

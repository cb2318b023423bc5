//! No call of any kind leaves anything behind: objects of Python's, references, Rust allocations, threads, file
//! descriptors.
//!
//! The process is counted after a warm-up, after as many rounds of all calls, and after twice as many more. What grows
//! with the calls has grown twice; one thing leaked in a thousand calls is beyond the tolerance. One test for all, since
//! it counts the whole process: `census.rs` says what, `round.rs` which calls.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod census;
mod on_loop;
mod round;

use std::fmt::Write as _;

use census::{Census, NAMES};
use httpy_tests::executor;
use round::Calls;

/// Once warm, so many rounds and then twice as many.
const ROUNDS: u64 = 16;

/// What may come and go whatever the number of calls: a table that has grown, a buffer that is kept. In bytes for bytes: the
/// tables of calls, of timers and of answers grow when more calls than ever happen to be under way at once.
const TOLERANCE: [i64; NAMES.len()] = [8, 8, 2, 2, 2, 2, 8, 0, 0, 8, 16 << 10, 0, 0];

/// The same with processes. Of Rust's bytes, the buffers of three sockets, in both directions, are as large as what went through
/// them at once. The worker's other threads read and write while one of them counts, and what they hold just then is counted.
const OF_PROCESSES: [i64; NAMES.len()] = [512, 32, 2, 2, 2, 2, 32, 0, 0, 8, 6 * (64 << 10), 0, 0];

#[tokio::test]
async fn what_is_there_after_many_calls_of_every_kind_is_what_was_there_before() {
    let mut calls = Calls::begin().await;
    // Twice, since the first census has costs of its own.
    for _ in 0..2 {
        calls.rounds(ROUNDS / 6).await;
        Census::take(&calls).await;
    }
    let warm = Census::take(&calls).await;
    let once = calls.rounds(ROUNDS).await;
    let after_once = Census::take(&calls).await;
    let twice = calls.rounds(2 * ROUNDS).await;
    let after_twice = Census::take(&calls).await;

    // Else one leak in a thousand calls would be within the tolerance.
    assert!(twice / 1000 > 2 * 8, "{twice} calls are too few");
    let mut report = format!("after {once} and {twice} more calls:\n");
    let mut grown = false;
    let tolerance = if executor::are_processes() {
        OF_PROCESSES
    } else {
        TOLERANCE
    };
    for (index, name) in NAMES.iter().enumerate() {
        let (start, middle, end) = (
            warm.counts[index],
            after_once.counts[index],
            after_twice.counts[index],
        );
        let (first, second) = (middle - start, end - middle);
        // What is left of each call is there after both, and twice as much after the second; a buffer that has grown, or was
        // given back, is not. Fewer is as wrong: a reference given up too often.
        let is_leak = first.signum() == second.signum()
            && first.abs() > tolerance[index] / 2
            && second.abs() > tolerance[index];
        let mark = if is_leak { "  <- LEAK" } else { "" };
        writeln!(
            report,
            "{name:>24}: {start}, then {first:+}, then {second:+}{mark}"
        )
        .unwrap();
        grown |= is_leak;
    }
    println!("{report}");
    assert!(!grown, "{report}");
}

//! A handler's tuple on its way up: to plain data, attached, and to a reply that keeps every rule, detached.

#![expect(
    clippy::expect_used,
    reason = "a measurement that cannot be made must end"
)]

use criterion::{BatchSize, Criterion};
use http::Method;
use httpy_benches::{Result, attached, returned};
use httpy_python::bench::Piece;

fn main() -> Result<()> {
    let attached = attached()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("reply");
    group.bench_function("tuple to data", |bencher| {
        bencher.iter_custom(|times| {
            attached
                .measure(Piece::Result, times)
                .expect("the handler keeps the contract")
        });
    });
    group.bench_function("data to checked reply", |bencher| {
        bencher.iter_batched(
            returned,
            |returned| returned.check(&Method::GET),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}

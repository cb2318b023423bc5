//! The attached part of a call: the data of the standard request as six Python objects, and the call with them.

#![expect(
    clippy::expect_used,
    reason = "a measurement that cannot be made must end"
)]

use criterion::Criterion;
use httpy_benches::{Result, attached};
use httpy_python::bench::Piece;

fn main() -> Result<()> {
    let attached = attached()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("conversion");
    for (name, piece) in [
        ("arguments", Piece::Arguments),
        ("handler alone", Piece::Handler),
        ("arguments, handler, result", Piece::All),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                attached
                    .measure(piece, times)
                    .expect("the handler keeps the contract")
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

//! How long a start takes, in a process of its own each time: until `build()` returns, and until the first answer.

use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use httpy_benches::Result;

fn main() -> Result<()> {
    // Before any measurement: what is compiled is in the cache then.
    for executor in ["threads", "processes"] {
        start(executor)?;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let mut group = criterion.benchmark_group("start");
    group.sampling_mode(SamplingMode::Flat);
    for (name, executor, place) in [
        ("build, threads", "threads", 0),
        ("first answer, threads", "threads", 1),
        ("first answer, two worker processes", "processes", 1),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let took = |_| match start(executor) {
                    Ok(both) => both[place],
                    Err(error) => panic!("{error}"),
                };
                (0..times).map(took).sum()
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// How long it took until `build()` had returned, and until the answer was there.
fn start(executor: &str) -> Result<[Duration; 2]> {
    let output = Command::new(env!("CARGO_BIN_EXE_start"))
        .arg(executor)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut both = text.split_whitespace().map(str::parse);
    let (Some(built), Some(answered)) = (both.next(), both.next()) else {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    };
    Ok([built?, answered?].map(Duration::from_nanos))
}

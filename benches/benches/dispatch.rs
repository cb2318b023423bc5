//! From request to response through `PyService`, without a socket: routing, queue, worker, handler and all.

use criterion::{BatchSize, Criterion, Throughput};
use futures_util::future::join_all;
use httpy_benches::{Result, request, service};
use tower::{Service, ServiceExt};

/// As many as there are connections in most load tests.
const AT_ONCE: u64 = 64;

fn main() -> Result<()> {
    let service = service()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let response = runtime.block_on(service.clone().oneshot(request()))?;
    assert!(response.status().is_success(), "{response:?}");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("dispatch");
    group.bench_function("head to call", |bencher| {
        let parts = || request().into_parts().0;
        bencher.iter_batched(
            parts,
            |parts| httpy::bench::call(&service, parts),
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one at a time", |bencher| {
        let call = |request| runtime.block_on(service.clone().call(request));
        bencher.iter_batched(request, call, BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function("64 at once", |bencher| {
        let requests = || (0..AT_ONCE).map(|_| request()).collect::<Vec<_>>();
        let call = |requests: Vec<_>| {
            let answers = requests
                .into_iter()
                .map(|request| service.clone().call(request));
            runtime.block_on(join_all(answers))
        };
        bencher.iter_batched(requests, call, BatchSize::SmallInput);
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}

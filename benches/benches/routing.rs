//! Routes without Python: a map of 100 patterns checked, mounted and matched, and the raw target of a request decoded.

use std::convert::Infallible;
use std::future::{Ready, ready};

use axum::body::Body;
use criterion::{BatchSize, Criterion};
use http::{Method, Request, Response, Uri};
use httpy::RouteMap;
use httpy::bench::{Checked, fields, params};
use httpy_benches::{PATH, QUERY, Result, TEMPLATE, request};
use tower::{Service, service_fn};

/// The last of the 100.
const LAST: &str = "/part-99/7/detail";

fn main() -> Result<()> {
    let map = map();
    let routes = Checked::read(&map)?;
    let mut router = routes.mount(&service_fn(answer));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let response = runtime.block_on(router.call(last()))?;
    assert!(response.status().is_success(), "{response:?}");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("routing");
    group.bench_function("check a map of 100", |bencher| {
        bencher.iter(|| Checked::read(&map));
    });
    group.bench_function("mount 100 routes", |bencher| {
        bencher.iter(|| routes.mount(&service_fn(answer)));
    });
    group.bench_function("axum router, 1 of 100", |bencher| {
        bencher.iter_batched(
            last,
            |request| runtime.block_on(router.call(request)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("own matcher, 1 of 100", |bencher| {
        bencher.iter(|| routes.find(&Method::GET, LAST));
    });
    group.bench_function("captures", |bencher| {
        bencher.iter(|| params(TEMPLATE, PATH));
    });
    group.bench_function("query", |bencher| bencher.iter(|| fields(QUERY)));
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn map() -> RouteMap {
    (0..100)
        .map(|index| {
            (
                format!("/part-{index}/:id/detail"),
                vec!["GET".to_owned(), "POST".to_owned()],
            )
        })
        .collect()
}

fn last() -> Request<Body> {
    let mut request = request();
    *request.uri_mut() = Uri::from_static(LAST);
    request
}

/// In the place of a Python handler.
fn answer(_: Request<Body>) -> Ready<std::result::Result<Response<Body>, Infallible>> {
    ready(Ok(Response::default()))
}

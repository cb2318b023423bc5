//! The routes that are measured: native, ours in each scenario, and two ways of attaching anew for every request.
//!
//!     bench_server [ADDRESS [WORKERS]]
//!
//! Listens on `ADDRESS` (a free port of 127.0.0.1), and prints it. `WORKERS` is a range like `1..=400`, without which every
//! option of the apps is the default. `OBSERVED=info` in the environment installs what a program that is looked at has: a
//! subscriber that takes what is INFO and above, and a recorder of metrics; `OBSERVED=spans` a subscriber that takes the spans
//! of calls as well.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use http_body_util::{BodyExt, Collected};
use httpy::{Executor, PyEngine};
use metrics_exporter_prometheus::PrometheusBuilder;
use pyo3::prelude::*;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::service_fn;
use tracing_subscriber::EnvFilter;

/// As often as the exporter's own listener does it.
const UPKEEP: Duration = Duration::from_secs(5);

/// In seconds, from 10 µs to 10 s.
const BUCKETS: [f64; 19] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];

type Lists = HashMap<String, Vec<String>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let workers = arguments.next().map(|range| range_of(&range)).transpose()?;
    // Before the apps are built: that is when httpy looks for a recorder.
    observe(std::env::var("OBSERVED").ok().as_deref())?;
    let python = engine(workers.clone())?;
    let second = engine(workers)?;
    let router = Router::new()
        .merge(native())
        .route_service("/python", python.handler("handler:handle")?)
        .route_service("/python/json", python.handler("handler:price")?)
        .route_service("/python/echo", python.handler("handler:echo")?)
        .route_service("/python/fields", python.handler("handler:fields")?)
        .route_service(
            "/python/sleep/{milliseconds}",
            python.handler("handler:sleep")?,
        )
        .route_service(
            "/python/burn/{milliseconds}",
            python.handler("handler:burn")?,
        )
        .route_service(
            "/python/hold/{milliseconds}",
            python.handler("handler:hold")?,
        )
        .route_service("/second", second.handler("handler:handle")?)
        .route_service("/attach", service_fn(attach_on_tokio))
        .route_service("/blocking", service_fn(attach_on_blocking));
    let listener = TcpListener::bind(address).await?;
    #[expect(clippy::print_stdout, reason = "whoever measures reads it")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, router).await?;
    Ok(())
}

/// Lets somebody look at all that happens here.
fn observe(what: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
    let filter = match what {
        None | Some("") => return Ok(()),
        Some("info") => "info",
        Some("spans") => "info,httpy::call=debug",
        Some(other) => return Err(format!("OBSERVED is {other:?}, expected info or spans").into()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .init();
    let figures = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .install_recorder()?;
    // What a scrape would do, which nobody does here: until then every single sample is kept.
    tokio::spawn(async move {
        let mut every = tokio::time::interval(UPKEEP);
        loop {
            every.tick().await;
            figures.run_upkeep();
        }
    });
    Ok(())
}

/// An engine with every default but `workers`, where those are given.
fn engine(workers: Option<RangeInclusive<usize>>) -> Result<PyEngine, httpy::Error> {
    let mut threads = Executor::threads();
    if let Some(workers) = workers {
        threads = threads.workers(workers);
    }
    PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .executor(threads)
        .build()
}

fn range_of(text: &str) -> Result<RangeInclusive<usize>, Box<dyn std::error::Error>> {
    let (least, most) = text.split_once("..=").ok_or("expected workers as 1..=64")?;
    Ok(least.parse()?..=most.parse()?)
}

/// The native routes, each the twin of a Python one.
fn native() -> Router {
    Router::new()
        .route("/native", get(|| async { "request #1" }))
        .route("/native/json", post(price))
        .route("/native/echo", post(|body: Bytes| async { body }))
        .route("/native/fields", get(fields))
}

async fn price(
    body: Bytes,
) -> Result<([(HeaderName, &'static str); 1], String), (StatusCode, String)> {
    let priced = || -> serde_json::Result<String> {
        let mut order: Value = serde_json::from_slice(&body)?;
        let number =
            |item: &Value, name: &str| item.get(name).and_then(Value::as_f64).unwrap_or_default();
        let items = order
            .get("items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let total: f64 = items
            .map(|item| number(item, "price") * number(item, "amount"))
            .sum();
        if let Some(order) = order.as_object_mut() {
            order.insert("total".to_owned(), total.into());
        }
        serde_json::to_string(&order)
    };
    let text = priced().map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/json")], text))
}

async fn fields(mut headers: HeaderMap) -> (HeaderMap, &'static str) {
    headers.remove(HOST);
    (headers, "fields")
}

/// What one writes first without httpy: attach on the tokio thread, which stops everything else on it meanwhile.
async fn attach_on_tokio(request: Request) -> Result<Response, Infallible> {
    let (parts, body) = whole(request).await;
    Ok(response(call(&parts, &body)))
}

/// What one writes next: attach on a thread of tokio's pool for blocking work.
async fn attach_on_blocking(request: Request) -> Result<Response, Infallible> {
    let (parts, body) = whole(request).await;
    let result = tokio::task::spawn_blocking(move || call(&parts, &body)).await;
    Ok(result.map_or_else(
        |error| Response::new(Body::from(error.to_string())),
        response,
    ))
}

async fn whole(request: Request) -> (Parts, Bytes) {
    let (parts, body) = request.into_parts();
    (
        parts,
        body.collect()
            .await
            .map(Collected::to_bytes)
            .unwrap_or_default(),
    )
}

fn response(result: PyResult<(u16, String, Lists)>) -> Response {
    let (status, body, headers) = match result {
        Ok(result) => result,
        Err(error) => return Response::new(Body::from(error.to_string())),
    };
    let mut response = Response::builder().status(status);
    for (name, values) in headers {
        for value in values {
            response = response.header(&name, value);
        }
    }
    response.body(Body::from(body)).unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the way that httpy is compared with"
)]
fn call(parts: &Parts, body: &Bytes) -> PyResult<(u16, String, Lists)> {
    let mut headers = Lists::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers
            .entry(name.as_str().to_owned())
            .or_default()
            .push(value);
    }
    let body = String::from_utf8_lossy(body);
    Python::attach(|py| {
        let handler = py.import("handler")?.getattr("handle")?;
        let (params, query) = (Lists::new(), Lists::new());
        handler
            .call1((
                parts.method.as_str(),
                parts.uri.path(),
                params,
                query,
                headers,
                body,
            ))?
            .extract()
    })
}

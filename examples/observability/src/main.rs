//! One trace from axum through httpy into Python, and figures for Prometheus at `/metrics`.
//!
//! `HOST` and `PORT` choose where it listens, 127.0.0.1:8080 otherwise; `RUST_LOG` what it logs and traces;
//! `OTEL_EXPORTER_OTLP_ENDPOINT` where the spans go, stdout otherwise. With `--doctor` it looks at the embedded interpreter
//! instead, and ends.

mod trace;

use std::env;
use std::time::Duration;

use axum::{Router, routing::get};
use httpy::PyEngine;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tower_http::trace::TraceLayer;

const UPKEEP: Duration = Duration::from_secs(5);
/// From 10 µs to 10 s.
const BUCKETS: [f64; 19] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let traces = trace::start()?;
    // Both before the app is built: that is when httpy looks for them.
    let figures = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)?
        .install_recorder()?;
    let upkeep = figures.clone();
    // The recorder keeps every single sample until it is scraped, or this is called.
    tokio::spawn(async move {
        let mut every = tokio::time::interval(UPKEEP);
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    let engine = PyEngine::builder()
        .shutdown_function("shop:stop")
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .trace_context(trace::current)
        .slow_call(Duration::from_millis(500))
        .build()?;
    if env::args().any(|argument| argument == "--doctor") {
        return examine(&engine).await;
    }
    let routes = engine.routes("shop:init", "shop:handle")?;

    let app = routes
        .router()?
        .layer(TraceLayer::new_for_http().make_span_with(trace::request))
        .merge(Router::new().route("/metrics", get(async move || figures.render())))
        .nest_service("/status", engine.status_page());

    let listener = listen().await?;
    say_where(&listener)?;
    engine.serve(listener, app).await?;
    // Blocks until the last spans are out, on a thread where that is no matter.
    tokio::task::spawn_blocking(move || traces.shutdown()).await??;
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "the report is for the person at the terminal"
)]
async fn examine(engine: &PyEngine) -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", engine.doctor());
    engine.shutdown().await;
    Ok(())
}

async fn listen() -> Result<TcpListener, String> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let address = format!("{host}:{port}");
    TcpListener::bind(&address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("port {port} is taken: PORT= chooses another one")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
}

#[expect(
    clippy::print_stdout,
    reason = "what to try is for the person at the terminal, not for the log"
)]
fn say_where(listener: &TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    println!("listening on http://{address}, try:");
    for (path, what) in [
        (
            "/order/tea?count=2",
            "a trace on stdout, with a span of Python's where its SDK is installed",
        ),
        ("/slow?ms=700", "a slow call, on stderr"),
        ("/metrics", "the figures"),
        ("/status", "the page"),
    ] {
        println!("  curl http://{address}{path}    # {what}");
    }
    Ok(())
}

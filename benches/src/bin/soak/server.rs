//! The server that is soaked: Python handlers as a host mounts them, with a subscriber that formats every line.

use std::alloc::System;
use std::io;
use std::time::Duration;

use axum::{Router, routing::get};
use httpy::{Executor, PyEngine};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::net::TcpListener;

use crate::{Failure, mix};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Serves on a free port, which it prints, until its input is closed.
pub(crate) async fn serve() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_writer(io::sink).init();
    let python = engine(1024)?;
    let crowded = engine(1)?;
    let limited = python.handler("soak:full")?.with_body_limit(mix::LIMIT);
    let short = python
        .handler("soak:slow")?
        .with_deadline(Duration::from_millis(50));
    let router = Router::new()
        .route_service("/small", python.handler("soak:small")?)
        .route_service("/full/{name}/{*rest}", python.handler("soak:full")?)
        .route_service("/exception", python.handler("soak:exception")?)
        .route_service("/contract", python.handler("soak:contract")?)
        .route_service("/hold", python.handler("soak:hold")?)
        .route_service("/python_holds", python.handler("soak:python_holds")?)
        .route("/rust_holds", get(async || rust_holds().to_string()))
        .route_service("/limited", limited)
        .route_service("/crowded", crowded.handler("soak:small")?)
        .route_service("/slow", short);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    #[expect(clippy::print_stdout, reason = "the client reads it")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    let closed = async { tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await };
    let stop = python.stop_on(closed, Duration::from_secs(5));
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stop) => served?,
        () = python.grace_elapsed() => {}
    }
    for engine in [python, crowded] {
        engine.shutdown().await;
    }
    Ok(())
}

fn engine(queue: usize) -> Result<PyEngine, httpy::Error> {
    PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .executor(Executor::threads().workers(1..=mix::WORKERS))
        .queue(queue)
        .build()
}

/// Rust's own allocations that live, and their bytes. What malloc keeps beyond that is in the resident memory only.
fn rust_holds() -> Value {
    let stats = ALLOCATOR.stats();
    json!({
        "rust_allocations": stats.allocations.wrapping_sub(stats.deallocations),
        "rust_bytes": stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated),
    })
}

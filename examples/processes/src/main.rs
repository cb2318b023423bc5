//! Python in two worker processes, beside native routes: it computes on two cores, and a crash costs the requests that its
//! process was in, and nothing else.
//!
//! - `GET /native` is Rust.
//! - `GET /` says which process answered. It is quick also while others compute.
//! - `GET /primes/{limit}` computes for a while (30000 takes some hundredths of a second).
//! - `GET /crash` reads from address 0, as a bug in a C extension does: that request is answered with 502, and another process
//!   takes the place of the one that died.
//! - `GET /readyz` and `GET /livez` tell a load balancer and a supervisor how Python is.
//! - `kill -HUP` loads `python/worker.py` again: new processes start with it, take over, and the old ones end when they have
//!   answered. A file that cannot be loaded changes nothing, and the log says why.
//!
//! This program is not linked with libpython, and needs no Python to be built: see `Cargo.toml`. It needs one to run, which
//! `PYTHON` names, `python3` otherwise. `HOST` and `PORT` choose where it listens, 127.0.0.1:8080 otherwise; `RUST_LOG` what
//! it logs. With `--doctor` it looks at the interpreter of a worker instead, and ends.

use std::env;

use axum::{Router, routing::get};
use httpy::{Executor, PyEngine};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower_http::trace::TraceLayer;
use tracing_subscriber::EnvFilter;

/// One for each core that Python is to have.
const PROCESSES: usize = 2;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    // A worker is replaced after a million requests, or when it has grown to 512 MiB: what it leaks is bounded.
    let mut processes = Executor::processes(PROCESSES)
        .max_requests(1_000_000)
        .max_rss(512 << 20);
    if let Some(python) = env::var_os("PYTHON") {
        processes = processes.python(python);
    }
    let engine = PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .executor(processes)
        .build()?;
    if env::args().any(|argument| argument == "--doctor") {
        return examine(&engine).await;
    }
    let routes = engine.routes("worker:init", "worker:handle")?;

    // `fallback()` and not `router()`: after a reload it has the routes of the new code.
    let app = Router::new()
        .route("/native", get(|| async { "ok\n" }))
        .route_service("/readyz", engine.readiness())
        .route_service("/livez", engine.liveness())
        .fallback_service(routes.fallback()?)
        .layer(TraceLayer::new_for_http());

    let listener = listen().await?;
    tokio::spawn(reload_on(signal(SignalKind::hangup())?, engine.clone()));
    say_where(&listener)?;
    engine.serve(listener, app).await?;
    Ok(())
}

/// Loads the Python code again at each signal.
async fn reload_on(mut signal: Signal, engine: PyEngine) {
    while signal.recv().await.is_some() {
        match engine.reload().await {
            Ok(()) => tracing::info!("reloaded"),
            Err(error) => tracing::error!("not reloaded, the code of before goes on: {error}"),
        }
    }
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

async fn listen() -> std::io::Result<TcpListener> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    TcpListener::bind(format!("{host}:{port}")).await
}

#[expect(
    clippy::print_stdout,
    reason = "what to try is for the person at the terminal, not for the log"
)]
fn say_where(listener: &TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    println!("listening on http://{address}, try:");
    println!("  curl -i http://{address}/               # which process?");
    println!("  curl -i http://{address}/primes/30000   # computes");
    println!("  curl -i http://{address}/crash          # 502, and the others go on");
    println!(
        "  kill -HUP {}                        # after a change of python/worker.py",
        std::process::id()
    );
    Ok(())
}

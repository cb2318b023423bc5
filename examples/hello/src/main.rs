//! A native route, one Python service, and the routes that Python names itself, in one axum app.
//!
//! `HOST` and `PORT` choose where it listens, 127.0.0.1:8080 otherwise; `RUST_LOG` what it logs.
//! With `--doctor` it looks at the embedded interpreter instead, and ends.

use std::env;

use axum::{Router, routing::get};
use httpy::PyEngine;
use tokio::net::TcpListener;
use tower_http::trace::TraceLayer;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let engine = PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .build()?;
    if env::args().any(|argument| argument == "--doctor") {
        return examine(&engine).await;
    }
    let routes = engine.routes("worker:go_init", "worker:go_request")?;

    let app = Router::new()
        .route("/native", get(|| async { "ok" }))
        .route_service("/python", engine.handler("worker:go_request")?)
        .merge(routes.router()?)
        .layer(TraceLayer::new_for_http());

    let listener = listen().await?;
    say_where(&listener)?;
    engine.serve(listener, app).await?;
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
        ("/native", "Rust"),
        ("/python", "the handler"),
        ("/", "a route from go_init"),
        ("/hello/you?n=2", "with a param"),
    ] {
        println!("  curl -i 'http://{address}{path}'    # {what}");
    }
    Ok(())
}

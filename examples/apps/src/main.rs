//! A FastAPI app and a Flask app, whole and unchanged, behind routes that have moved to Rust already.
//!
//! They need their packages: `pip install -r examples/apps/requirements.txt` in a virtual environment, which `VIRTUAL_ENV`
//! names.
//!
//! `HOST` and `PORT` choose where it listens, 127.0.0.1:8080 otherwise; `RUST_LOG` what it logs.
//! With `--doctor` it looks at the embedded interpreter instead, and ends.

use std::env;

use axum::{Json, Router, routing::get};
use httpy::PyEngine;
use serde_json::json;
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
    let shop = engine.asgi("shop:app")?;
    let office = engine.wsgi("office:app")?.with_concurrency(8);

    // What has moved to Rust; on the same path, Python still has the methods that Rust does not.
    let moved = Router::new()
        .route("/opened", get(async || "by Rust"))
        .route("/items/apple", get(async || Json(json!({"cents": 120}))))
        .nest_service("/office", office);
    let app = shop.behind(moved).layer(TraceLayer::new_for_http());

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
        ("/opened", "Rust"),
        ("/items/pear?count=2", "FastAPI"),
        ("/docs", "FastAPI's own pages"),
        ("/office/letter/you", "Flask"),
    ] {
        println!("  curl -i 'http://{address}{path}'    # {what}");
    }
    Ok(())
}

//! The server of `make bench-processes`: the same routes over either executor.
//!
//!     process_server ADDRESS EXECUTOR
//!
//! `EXECUTOR` is what the field of that name in a `Config` is, `{"threads":{}}` or `{"processes":{"count":2}}`, as JSON. Every
//! other option is the default. What httpy logs goes to stderr.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use httpy::{Executor, PyEngine};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let executor: Executor =
        serde_json::from_str(&arguments.next().ok_or("expected an executor as JSON")?)?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/python");
    let python = PyEngine::builder()
        .path(folder)
        .executor(executor)
        .build()?;
    let router = Router::new()
        .route("/native", get(|| async { "request #1" }))
        .route_service("/python", python.handler("handler:handle")?)
        .route_service("/echo", python.handler("handler:echo")?)
        .route_service("/burn/{milliseconds}", python.handler("handler:burn")?)
        .route("/reload", post(reload))
        .with_state(python.clone());
    let listener = TcpListener::bind(address).await?;
    #[expect(clippy::print_stdout, reason = "whoever measures reads it")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    python.serve(listener, router).await?;
    Ok(())
}

/// Answers when the new workers have taken over.
async fn reload(State(python): State<PyEngine>) -> Result<&'static str, (StatusCode, String)> {
    match python.reload().await {
        Ok(()) => Ok("reloaded"),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

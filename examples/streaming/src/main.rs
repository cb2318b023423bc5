//! Streaming both ways: a page with a live feed, an upload and a download of any size, all of them Python handlers.
//!
//! - `GET /` is the page, native.
//! - `GET /feed` is an `async def` handler that sends events for as long as somebody listens.
//! - `POST /upload` counts and hashes a body while it comes; none of it is held.
//! - `GET /download` returns a generator, which is driven no faster than its client reads.
//!
//! `HOST` and `PORT` choose where it listens, 127.0.0.1:8080 otherwise; `RUST_LOG` what it logs.
//! With `--doctor` it looks at the embedded interpreter instead, and ends.

use std::env;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, get_service, post_service};
use httpy::PyEngine;
use tokio::net::TcpListener;
use tower_http::trace::TraceLayer;
use tracing_subscriber::EnvFilter;

/// Feeds never end by themselves, so this is how long Ctrl-C takes while somebody listens.
const GRACE: Duration = Duration::from_secs(2);
/// In bytes. Uploads are not held, so this protects patience rather than memory.
const LARGEST_UPLOAD: usize = 2 << 30;
/// An upload is answered when it has come, so its deadline is the time that it may take.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(600);
/// Each holds a worker and its thread until its last byte is sent. The feed needs no such limit.
const DOWNLOADS: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let engine = PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .grace(GRACE)
        .build()?;
    if env::args().any(|argument| argument == "--doctor") {
        return examine(&engine).await;
    }
    let upload = engine
        .handler("upload:upload")?
        .with_body_limit(LARGEST_UPLOAD)
        .with_deadline(UPLOAD_DEADLINE);
    let download = engine.handler("download:download")?.with_limit(DOWNLOADS);

    let app = Router::new()
        .route(
            "/",
            get(|| async { Html(include_str!("../page/index.html")) }),
        )
        .route("/feed", get_service(engine.handler("feed:feed")?))
        .route("/upload", post_service(upload))
        .route("/download", get_service(download))
        .layer(TraceLayer::new_for_http());

    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("{host}:{port}")).await?;
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

#[expect(
    clippy::print_stdout,
    reason = "what to try is for the person at the terminal, not for the log"
)]
fn say_where(listener: &TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    println!("listening on http://{address}, open it in a browser, or try:");
    println!("  curl -N http://{address}/feed");
    println!("  head -c 300M /dev/zero | curl -X POST -T - http://{address}/upload");
    println!("  curl -o /dev/null http://{address}/download?mib=1024");
    Ok(())
}

//! The server of `make bench-streams`: handlers that are coroutines, and bodies that are streamed.
//!
//!     stream_server ADDRESS
//!
//! Every option is the default, but for the limit of the bodies that are sent here.

use axum::Router;
use axum::routing::get;
use httpy::PyEngine;
use tokio::net::TcpListener;

/// Room for the gigabyte that is sent.
const BODY_LIMIT: usize = 2 << 30;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let python = PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .build()?;
    let handler = |name: &str| python.handler(format!("streams:{name}"));
    let router = Router::new()
        .route("/native", get(|| async { "request #1" }))
        .route_service("/python", handler("sync")?)
        .route_service("/async", handler("trivial")?)
        .route_service("/async/sleep/{milliseconds}", handler("sleep")?)
        .route_service("/chunks/{mebibytes}", handler("chunks")?)
        .route_service("/async/chunks/{mebibytes}", handler("async_chunks")?)
        .route_service("/count", handler("count")?.with_body_limit(BODY_LIMIT))
        .route_service(
            "/async/count",
            handler("async_count")?.with_body_limit(BODY_LIMIT),
        )
        .route_service("/feed/{events}", handler("feed")?)
        .route_service("/leave", handler("sync_leave")?)
        .route_service("/async/leave", handler("leave")?)
        .route_service("/when", handler("when")?);
    let listener = TcpListener::bind(address).await?;
    #[expect(clippy::print_stdout, reason = "whoever measures reads it")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, router).await?;
    Ok(())
}

//! A small shop whose prices and reports are Python, and everything else Rust.
//!
//! - `GET /` and `GET /items` are native, with axum's shared state.
//! - `GET /price/{item}` is Python, and `PUT /price/{item}` on the same path native.
//! - `POST /report` is another Python function, behind a time limit of its own; two at a time are enough of it.
//! - `GET /delivery/{item}` waits in a worker for a slow system, and `GET /tracking/{item}` on an event loop.
//! - `GET /readyz` and `GET /livez` tell a load balancer and a supervisor how Python is, without asking it.
//! - `GET /status` is a page that shows what Python does, for operators only (`operator`, `secret`).
//! - A middleware finds out who asks; Python gets the user as an extra, which no client can forge.
//!
//! `HOST` and `PORT` choose where it listens, 127.0.0.1:8080 otherwise; `RUST_LOG` what it logs.
//! With `--doctor` it looks at the embedded interpreter instead, and ends.

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, get, get_service, on_service, post_service, put};
use axum::{Json, Router};
use httpy::PyEngine;
use serde::Serialize;
use tokio::net::TcpListener;
use tower_http::{
    compression::CompressionLayer, cors::CorsLayer, timeout::TimeoutLayer, trace::TraceLayer,
};
use tracing_subscriber::EnvFilter;

const REPORT_LIMIT: Duration = Duration::from_secs(5);
const REPORTS: usize = 2;
/// What a browser sends for the user `operator` with the password `secret`.
const OPERATOR: HeaderValue = HeaderValue::from_static("Basic b3BlcmF0b3I6c2VjcmV0");

/// What the native routes share: how many of each item are in stock.
type Stock = Arc<RwLock<BTreeMap<String, u32>>>;

/// Who asks. Put into the request by `authenticate`, and from there into `httpy_rs.request().extras`.
#[derive(Clone, Serialize)]
struct User {
    user: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let engine = PyEngine::builder()
        .path(concat!(env!("CARGO_MANIFEST_DIR"), "/python"))
        .extra(|parts| parts.extensions.get::<User>().cloned())
        .build()?;
    if env::args().any(|argument| argument == "--doctor") {
        return examine(&engine).await;
    }

    let app = router(&engine)?;
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

fn router(engine: &PyEngine) -> Result<Router, httpy::Error> {
    let stock = Stock::new(RwLock::new(
        [("apple".to_owned(), 3), ("pear".to_owned(), 12)].into(),
    ));

    // A layer around one Python route: after the limit the client gets a 504, and Python the rest of its deadline. A report
    // that goes on counts among the two: however slow they are, prices find a worker.
    let report = post_service(engine.handler("report:report")?.with_limit(REPORTS)).layer(
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REPORT_LIMIT),
    );

    // It shows paths, messages and source lines: not for everyone.
    let status = Router::new()
        .nest_service("/status", engine.status_page())
        .route_layer(from_fn(operators_only));

    Ok(Router::new()
        .route(
            "/",
            get(|| async { "GET /items, GET /price/apple, PUT /price/apple, POST /report\n" }),
        )
        .route("/items", get(items))
        // `on_service` leaves the path's other methods free, here for a native one.
        .route(
            "/price/{item}",
            on_service(MethodFilter::GET, engine.handler("price:price")?).merge(put(restock)),
        )
        .route("/report", report)
        .route(
            "/delivery/{item}",
            get_service(engine.handler("supplier:delivery")?),
        )
        .route(
            "/tracking/{item}",
            get_service(engine.handler("supplier:tracking")?),
        )
        .layer(from_fn(authenticate))
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(TraceLayer::new_for_http())
        // Added after the layers: neither the page nor the probes need users, or lines in the log.
        .merge(status)
        .route_service("/readyz", engine.readiness())
        .route_service("/livez", engine.liveness())
        .with_state(stock))
}

async fn items(State(stock): State<Stock>) -> Response {
    match stock.read() {
        Ok(stock) => Json(&*stock).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// One more of an item.
async fn restock(State(stock): State<Stock>, Path(item): Path<String>) -> StatusCode {
    match stock.write() {
        Ok(mut stock) => *stock.entry(item).or_default() += 1,
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR,
    }
    StatusCode::NO_CONTENT
}

/// A stand-in for real authentication: `Authorization: Bearer NAME` is believed.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let name = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(name) = name {
        let user = User {
            user: name.to_owned(),
        };
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

/// A stand-in for real authentication, too: whoever knows the password is an operator.
async fn operators_only(request: Request, next: Next) -> Response {
    if request.headers().get(header::AUTHORIZATION) == Some(&OPERATOR) {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Basic realm=\"status\"")],
    )
        .into_response()
}

#[expect(
    clippy::print_stdout,
    reason = "what to try is for the person at the terminal, not for the log"
)]
fn say_where(listener: &TcpListener) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    println!("listening on http://{address}, try:");
    println!("  curl -i http://{address}/items");
    println!("  curl -i http://{address}/price/apple -H 'Authorization: Bearer ada'");
    println!("  curl -i -X PUT http://{address}/price/apple");
    println!("  curl -i http://{address}/report -d '[1, 2.5, 4]'");
    println!("  curl -i 'http://{address}/delivery/apple?seconds=0.5'");
    println!("  curl -i 'http://{address}/tracking/apple?seconds=0.5'");
    println!("  curl -i http://{address}/readyz");
    println!("  and in a browser: http://{address}/status, as operator with the password secret");
    Ok(())
}

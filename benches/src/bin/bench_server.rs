//! The routes that are compared: native, ours, and two ways of attaching anew for every request.
//!
//! Listens on the address given as the only argument, and prints it.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::Response;
use axum::{Router, routing::get};
use http_body_util::{BodyExt, Collected};
use httpy::PyApp;
use pyo3::prelude::*;
use tokio::net::TcpListener;
use tower::service_fn;

type Lists = HashMap<String, Vec<String>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let python = PyApp::builder("handler:handle").path(concat!(env!("CARGO_MANIFEST_DIR"), "/python")).build()?;
    let app = Router::new()
        .route("/native", get(|| async { "request #1" }))
        .route_service("/python", python.service())
        .route_service("/attach", service_fn(attach_on_tokio))
        .route_service("/blocking", service_fn(attach_on_blocking));
    let listener = TcpListener::bind(address).await?;
    #[expect(clippy::print_stdout, reason = "whoever measures reads it")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    axum::serve(listener, app).await?;
    Ok(())
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
    Ok(result.map_or_else(|error| Response::new(Body::from(error.to_string())), response))
}

async fn whole(request: Request) -> (Parts, Bytes) {
    let (parts, body) = request.into_parts();
    (parts, body.collect().await.map(Collected::to_bytes).unwrap_or_default())
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

#[expect(clippy::disallowed_methods, reason = "this is the way that httpy is compared with")]
fn call(parts: &Parts, body: &Bytes) -> PyResult<(u16, String, Lists)> {
    let mut headers = Lists::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_default().push(value);
    }
    let body = String::from_utf8_lossy(body);
    Python::attach(|py| {
        let handler = py.import("handler")?.getattr("handle")?;
        let (params, query) = (Lists::new(), Lists::new());
        handler.call1((parts.method.as_str(), parts.uri.path(), params, query, headers, body))?.extract()
    })
}

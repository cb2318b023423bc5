//! Layers of tower and tower-http around Python routes: they behave as around native ones.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use httpy::{Error, PyService};
use httpy_tests::app::{App, ask, get, post, serve};
use httpy_tests::client::{exchange, request};
use httpy_tests::gate::Gate;
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

const ECHO: &str = "
def init():
    return {'/hello/:name': ['GET', 'POST']}
def handle(method, path, params, query, headers, body):
    return 200, f'{method} {path} {params} {body}', {'Vary': 'Accept'}
";

#[tokio::test]
async fn a_timeout_around_a_python_route_answers_and_the_worker_goes_on() {
    let app = App::new(&format!(
        "{}\ndef handle(method, path, params, query, headers, body):\n    if query:\n        pass_gate(query['gate'][0])\n    return 200, 'served', {{}}\n",
        Gate::SOURCE
    ));
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(5));
    let router = Router::new().fallback_service(app.service()).layer(timeout);
    let gate = Gate::new().await;
    let call = tokio::spawn(ask(router.clone(), get(&format!("/?gate={}", gate.port))));
    let held = gate.arrival().await;
    tokio::time::pause();
    assert_eq!(call.await.unwrap().status, 408);
    tokio::time::resume();
    assert_eq!(ask(router.clone(), get("/")).await.text(), "served");
    drop(held);
    assert_eq!(ask(router, get("/")).await.text(), "served");
}

#[tokio::test]
async fn compression_shrinks_a_python_body() {
    let app = App::new("def handle(*arguments):\n    return 200, 'a' * 10_000, {}\n");
    let server = serve(
        Router::new()
            .fallback_service(app.service())
            .layer(CompressionLayer::new()),
    )
    .await;
    let received = exchange(
        server.address,
        &request("GET", "/", &[("Accept-Encoding", b"gzip")], b""),
    )
    .await;
    assert_eq!(received.header("content-encoding"), "gzip");
    assert!(
        received.body.starts_with(&[0x1f, 0x8b]) && received.body.len() < 1000,
        "{} bytes",
        received.body.len()
    );
    let received = exchange(server.address, &request("GET", "/", &[], b"")).await;
    assert_eq!(
        (received.has("content-encoding"), received.body.len()),
        (false, 10_000)
    );
}

#[tokio::test]
async fn cors_answers_preflights_and_marks_python_answers() {
    let app = App::new(ECHO);
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static("http://example.org"))
        .allow_methods([http::Method::GET]);
    let server = serve(app.routes().router().unwrap().layer(cors)).await;
    let origin = ("Origin", &b"http://example.org"[..]);
    let preflight = [origin, ("Access-Control-Request-Method", b"GET")];
    let received = exchange(
        server.address,
        &request("OPTIONS", "/hello/you", &preflight, b""),
    )
    .await;
    assert_eq!(
        (
            received.status,
            received.header("access-control-allow-methods").as_str()
        ),
        (200, "GET")
    );
    let received = exchange(
        server.address,
        &request("GET", "/hello/you", &[origin], b""),
    )
    .await;
    assert_eq!(
        received.header("access-control-allow-origin"),
        "http://example.org"
    );
    assert!(received.text().starts_with("GET /hello/you"));
}

#[tokio::test]
async fn a_body_limit_around_the_service_is_413_with_and_without_a_length() {
    let app = App::new(ECHO);
    let limited = ServiceBuilder::new()
        .layer(RequestBodyLimitLayer::new(3))
        .service(app.service());
    let server = serve(Router::new().fallback_service(limited)).await;
    for bytes in [
        request("POST", "/", &[], b"abcd"),
        request(
            "POST",
            "/",
            &[("Transfer-Encoding", b"chunked")],
            b"4\r\nabcd\r\n0\r\n\r\n",
        ),
    ] {
        assert_eq!(exchange(server.address, &bytes).await.status, 413);
    }
    assert_eq!(
        exchange(server.address, &request("POST", "/", &[], b"abc"))
            .await
            .text(),
        "POST / {} abc"
    );
}

#[tokio::test]
async fn a_body_that_somebody_else_limits_is_413_too() {
    let app = App::new(ECHO);
    let limited = Request::post("/")
        .body(Limited::new(Full::from("abcd"), 3))
        .unwrap();
    let error = app.service().try_call(limited).await.unwrap_err();
    assert!(error.is_body_too_large(), "{error}");
}

#[tokio::test]
async fn normalize_path_around_the_router_changes_what_python_sees() {
    let app = App::new(ECHO);
    let router =
        NormalizePathLayer::trim_trailing_slash().layer(app.routes().router::<()>().unwrap());
    let answer = ask(router, get("/hello/you/")).await;
    assert_eq!(answer.text(), "GET /hello/you {'name': ['you']} ");
}

#[tokio::test]
async fn a_layer_sees_the_error_of_a_failed_call() {
    let app = App::new("def handle(*arguments):\n    raise ValueError('inside')\n");
    let router =
        Router::new()
            .fallback_service(app.service())
            .layer(axum::middleware::map_response(
                |response: axum::response::Response| async move {
                    let error = response.extensions().get::<Error>().cloned();
                    let place = error
                        .as_ref()
                        .and_then(Error::exception)
                        .map_or("", |exception| exception.message())
                        .to_owned();
                    (StatusCode::IM_A_TEAPOT, place).into_response()
                },
            ));
    let answer = ask(router, get("/")).await;
    assert_eq!((answer.status, answer.text().as_str()), (418, "inside"));
}

#[tokio::test]
async fn trace_and_concurrency_limit_wrap_it_like_any_service() {
    let app = App::new(ECHO);
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(ConcurrencyLimitLayer::new(1));
    let router = app.routes().router::<()>().unwrap().layer(stack);
    for _ in 0..3 {
        assert_eq!(ask(router.clone(), get("/hello/a")).await.status, 200);
    }
}

#[tokio::test]
async fn the_combinators_of_tower_work_on_the_service_itself() {
    let app = App::new(ECHO);
    let service = app
        .service()
        .map_request(|path: &'static str| get(path))
        .map_response(|response: Response<_>| response.status())
        .map_err(|never: Infallible| -> BoxError { match never {} });
    assert_eq!(service.oneshot("/a").await.unwrap(), StatusCode::OK);

    let boxed = tower::util::BoxCloneService::new(app.service());
    assert_eq!(
        boxed.clone().oneshot(get("/b")).await.unwrap().status(),
        200
    );

    let shed = ServiceBuilder::new()
        .load_shed()
        .timeout(Duration::from_secs(3600))
        .service(app.service());
    assert_eq!(shed.oneshot(get("/c")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn it_is_always_ready_and_a_clone_needs_no_readiness() {
    let app = App::new(ECHO);
    let mut service = app.service();
    let ready =
        std::future::poll_fn(|context| Service::<Request<Body>>::poll_ready(&mut service, context))
            .await;
    assert_eq!(ready, Ok(()));
    assert_eq!(
        service
            .clone()
            .call(post("/x", "y"))
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn the_service_takes_any_body_of_bytes_and_gives_one_of_known_length() {
    async fn call<B>(service: &PyService, body: B) -> Response<httpy::ResponseBody>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        service
            .clone()
            .oneshot(Request::post("/").body(body).unwrap())
            .await
            .unwrap()
    }
    let service =
        App::new("def handle(m, p, c, q, h, body):\n    return 200, body, {}\n").service();
    let response = call(&service, Full::from("whole")).await;
    assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(5));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "whole"
    );
    let response = call(&service, http_body_util::Empty::new()).await;
    assert!(http_body::Body::is_end_stream(response.body()));
    let response = call(&service, String::from("text")).await;
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "text"
    );
    let response = call(
        &service,
        Full::from("boxed").map_err(BoxError::from).boxed_unsync(),
    )
    .await;
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "boxed"
    );
}

//! The server that runs in a child process: the apps it is told, a native route, and a log of what happens to it.
//!
//! It does what a host's `main` does, and nothing that a host would have to do against httpy. What its tests cannot see
//! from outside goes to the log on stderr.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, io};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::{Router, routing::get};
use httpy::Error;
use httpy_tests::child::Setup;
use httpy_tests::config::{AppConfig, Built};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("info"))
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let setup = env::args().nth(1).ok_or("expected the set-up as JSON")?;
    let Setup {
        apps: configs,
        grace,
        rebuild,
        port,
    } = serde_json::from_str(&setup)?;

    let apps = configs
        .iter()
        .map(build)
        .collect::<Result<Vec<Built>, Error>>()?;
    let first = apps.first().ok_or("expected an app")?;
    let routes = match &first.routes {
        Some(routes) => routes.router().inspect_err(log)?,
        None => Router::new(),
    };
    let mut router = Router::new()
        .route("/native", get(async || "native"))
        .route("/native/never", get(never))
        .route("/native/exit", get(exit))
        .route_service("/livez", first.engine.liveness())
        .route_service("/readyz", first.engine.readiness())
        .merge(routes)
        .fallback_service(first.service.clone());
    for (number, app) in (2..).zip(&apps[1..]) {
        router = router.nest_service(&format!("/app{number}"), app.service.clone());
    }

    // Outermost: what comes here was read by the server, and has a right to an answer.
    let router = router.layer(map_request(count));

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let stop = first.engine.stop_on(httpy::shutdown_signal(), grace);
    // The signals are watched by now: a test may send one as soon as it reads this.
    say_where(address);
    let stop = async move {
        stop.await;
        tracing::info!("new calls are refused");
    };
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stop) => served?,
        () = first.engine.grace_elapsed() => tracing::info!("forced"),
    }
    tracing::info!(
        "{} requests were accepted",
        ACCEPTED.load(Ordering::Relaxed)
    );

    for (number, app) in (1..).zip(&apps) {
        app.engine.shutdown().await;
        tracing::info!("app {number} has shut down");
        app.engine.clone().shutdown().await;
    }
    if rebuild {
        let again = build(&configs[0])?;
        let request = Request::builder().uri("/again").body(Body::empty())?;
        let status = again.service.oneshot(request).await?.status();
        tracing::info!("built again, it answers {status}");
        again.engine.shutdown().await;
    }
    Ok(())
}

static ACCEPTED: AtomicU64 = AtomicU64::new(0);

async fn count(request: Request) -> Request {
    ACCEPTED.fetch_add(1, Ordering::Relaxed);
    request
}

/// Ends the process in the middle of everything.
async fn exit() {
    std::process::exit(3);
}

async fn never() {
    tracing::info!("never answering");
    std::future::pending::<()>().await;
}

fn build(config: &AppConfig) -> Result<Built, Error> {
    let built = config.clone().build(|builder| builder);
    built.inspect_err(log)
}

#[expect(clippy::print_stdout, reason = "it is what the test waits for")]
fn say_where(address: SocketAddr) {
    println!("listening on http://{address}");
}

/// Says which of an error's predicates hold.
fn log(error: &Error) {
    let predicates = [
        ("config", error.is_config()),
        ("venv", error.is_venv()),
        ("interpreter", error.is_interpreter()),
        ("conflicting_options", error.is_conflicting_options()),
        ("shutting_down", error.is_shutting_down()),
        ("target", error.is_target()),
        ("module_not_found", error.is_module_not_found()),
        ("import", error.is_import()),
        ("attribute_not_found", error.is_attribute_not_found()),
        ("module_conflict", error.is_module_conflict()),
        ("not_callable", error.is_not_callable()),
        ("signature", error.is_signature()),
        ("generator_handler", error.is_generator_handler()),
        ("init_exception", error.is_init_exception()),
        ("init_result", error.is_init_result()),
        ("routes", error.is_routes()),
        ("internal", error.is_internal()),
    ];
    let names: Vec<&str> = predicates
        .iter()
        .filter(|(_, holds)| *holds)
        .map(|(name, _)| *name)
        .collect();
    tracing::info!("the error is {names:?}");
}

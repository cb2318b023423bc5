//! Time for a chunk, on either side, and the end of all time: `chunk_timeout`, `abandon_after`, heartbeats, the end of the
//! grace period.
//!
//! Where Python is slow, the time is up when the test says so, by pausing tokio's clock; a worker keeps the time of slow
//! clients by the system's.

use std::future::ready;
use std::time::Duration;

use httpy_tests::{executor, log};
use tracing::Level;

use super::{Turn, fault, next, text};

const HOUR: Duration = Duration::from_secs(3600);

const SOURCE: &str = "
def chunks(path, port):
    try:
        yield 'a'
        if path == '/spin':
            with socket.create_connection(('127.0.0.1', int(port))):
                while True:
                    pass
        if path == '/wait':
            pass_gate(port)
        while path == '/fill':
            yield 'b' * 65536
        yield str(httpy_rs.remaining())
    except BaseException as error:
        seen.append(type(error).__name__)
        raise
    finally:
        seen.append('closed')

def handle(method, path, params, query, headers, body):
    body = chunks(path, query['gate'][0])
    return httpy_rs.sse(body, heartbeat=1.0) if method == 'HEARTBEAT' else (200, body, {})
";

#[tokio::test]
async fn a_generator_that_takes_too_long_for_a_chunk_is_interrupted() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.deadline(HOUR * 2).chunk_timeout(HOUR)
    })
    .await;
    let mut response = turn.call("/spin").await;
    assert_eq!(text(&mut response).await, "a");
    let _held = turn.gate.arrival().await;
    tokio::time::pause();
    let (_, error) = fault(&mut response).await;
    tokio::time::resume();
    assert!(
        error.is_deadline()
            && error
                .to_string()
                .ends_with(" did not yield a chunk within 3600s"),
        "{error}"
    );
    let line = log::wait_for(
        &turn.target(),
        "did not yield a chunk within 3600s; it is interrupted",
    )
    .await;
    assert!(
        line.level == Level::WARN && line.message.contains("in chunks"),
        "{line:?}"
    );
    turn.wait_for("DeadlineExceeded closed").await;
    drop(response);
    assert_eq!(
        log::lines(&turn.target()).len(),
        1,
        "what it ends with is not told on top"
    );
}

#[tokio::test]
async fn the_deadline_ends_with_the_head() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.deadline(HOUR).chunk_timeout(HOUR * 3)
    })
    .await;
    let mut response = turn.call("/wait").await;
    assert_eq!(text(&mut response).await, "a");
    let held = turn.gate.arrival().await;
    tokio::time::pause();
    tokio::time::advance(HOUR * 2).await;
    tokio::time::resume();
    drop(held);
    let left: f64 = text(&mut response).await.parse().unwrap();
    assert!(
        (2.9 * 3600.0..=3.0 * 3600.0).contains(&left),
        "of the time for a chunk: {left}"
    );
}

#[tokio::test]
async fn a_generator_that_goes_on_after_its_client_has_left_is_interrupted_when_its_time_is_up() {
    let turn = Turn::with(SOURCE, |builder| {
        builder
            .chunk_timeout(HOUR)
            .abandon_after(Duration::from_millis(300))
    })
    .await;
    let mut response = turn.call("/spin").await;
    assert_eq!(text(&mut response).await, "a");
    let _held = turn.gate.arrival().await;
    drop(response);
    log::wait_for(
        &turn.target(),
        "did not end within 300ms after its client left; it is interrupted",
    )
    .await;
    turn.wait_for("DeadlineExceeded closed").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_too_long_loses_the_rest() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.chunk_timeout(Duration::from_millis(50))
    })
    .await;
    let mut response = turn.call("/fill").await;
    let line = log::wait_for(
        &turn.target(),
        "has read nothing for 50ms: its response is aborted",
    )
    .await;
    assert_eq!(line.level, Level::WARN);
    turn.wait_for("GeneratorExit closed").await;
    let (before, error) = fault(&mut response).await;
    // What lies here; of a worker process, also what was on its way here.
    let kept = if executor::are_processes() { 7 } else { 4 };
    assert_eq!(before.len(), 1 + kept * 65536);
    assert!(error.is_stalled(), "{error}");
    assert_eq!(log::lines(&turn.target()).len(), 1);
}

#[tokio::test]
async fn between_events_heartbeats_go_out_for_as_long_as_python_likes() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.chunk_timeout(Duration::from_millis(1500))
    })
    .await;
    let mut request = turn.request("/wait");
    *request.method_mut() = "HEARTBEAT".parse().unwrap();
    let mut response = super::call(turn.app.service(), request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(text(&mut response).await, "data: a\n\n");
    let held = turn.gate.arrival().await;
    tokio::time::pause();
    for _ in 0..20 {
        assert_eq!(text(&mut response).await, ": \n\n");
    }
    tokio::time::resume();
    drop(held);
    let mut last = text(&mut response).await;
    while last == ": \n\n" {
        last = text(&mut response).await;
    }
    assert_eq!(last, "data: None\n\n", "there is no deadline to tell of");
    assert!(next(&mut response).await.is_none());
}

#[tokio::test]
async fn after_the_grace_period_streams_break_off() {
    let turn = Turn::begin(SOURCE).await;
    let mut waiting = turn.call("/wait").await;
    assert_eq!(text(&mut waiting).await, "a");
    let held = turn.gate.arrival().await;
    let mut endless = turn.call("/fill").await;
    assert_eq!(text(&mut endless).await, "a");
    let broken = tokio::spawn(async move { fault(&mut waiting).await.1 });
    turn.app.python.stop_on(ready(()), Duration::ZERO).await;
    assert!(broken.await.unwrap().is_shutting_down());
    assert!(fault(&mut endless).await.1.is_shutting_down());
    drop((endless, held));
}

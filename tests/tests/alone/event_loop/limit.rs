//! How many calls are under way at once on an event loop.

use std::time::Duration;

use httpy_tests::app::{App, ask, get};
use httpy_tests::executor::{self, OfThreads};

use super::turn::Turn;

const SOURCE: &str = "
async def handle(method, path, params, query, headers, body):
    if 'gate' in query:
        await pass_gate(query['gate'][0])
    return 200, threading.current_thread().name, {}
";

#[tokio::test]
async fn beyond_the_calls_in_flight_jobs_wait_in_the_queue_and_beyond_that_they_are_refused() {
    let turn = Turn::with(SOURCE, |builder| builder.in_flight(2).queue(2)).await;
    let (first, held) = turn.begin_call("/").await;
    let (second, also_held) = turn.begin_call("/").await;
    let waiting = [turn.call("/"), turn.call("/")];
    tokio::task::yield_now().await;
    assert_eq!(turn.app.ask(get("/")).await.status, 503);
    drop(held);
    let next = turn.gate.arrival().await;
    assert_eq!(first.await.unwrap().status, 200);
    drop((also_held, next));
    drop(turn.gate.arrival().await);
    assert_eq!(second.await.unwrap().status, 200);
    for call in waiting {
        assert_eq!(call.await.unwrap().status, 200);
    }
    assert_eq!(turn.ask("/").await, "httpy-loop");
}

const GOES_ON: &str = "
async def app(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200})
        await send({'type': 'http.response.body', 'body': b'whole'})
        await pass_gate(scope['query_string'].decode().partition('=')[2])
";

#[tokio::test]
async fn an_application_that_goes_on_after_its_reply_takes_up_no_place() {
    let turn = Turn::with(GOES_ON, |builder| builder.in_flight(1)).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        assert_eq!(turn.call("/").await.unwrap().text(), "whole");
        held.push(turn.gate.arrival().await);
    }
}

#[tokio::test]
async fn a_call_that_waits_too_long_for_the_loop_is_refused_and_never_runs() {
    let turn = Turn::with(SOURCE, |builder| {
        builder.in_flight(1).max_wait(Duration::from_secs(60))
    })
    .await;
    let (call, held) = turn.begin_call("/").await;
    tokio::time::pause();
    let answer = turn.app.ask(get("/")).await;
    tokio::time::resume();
    assert_eq!(answer.status, 503, "{answer:?}");
    drop(held);
    assert_eq!(call.await.unwrap().status, 200);
    assert_eq!(turn.ask("/").await, "httpy-loop");
}

#[tokio::test]
async fn an_app_whose_loop_options_differ_from_the_first_ones_is_refused() {
    let turn = Turn::begin(SOURCE).await;
    if executor::has(OfThreads::SharedInterpreter) {
        let error =
            App::try_with(SOURCE, |builder| builder.workers(1..=4).in_flight(2)).unwrap_err();
        assert!(
            error.is_conflicting_options()
                && error
                    .to_string()
                    .contains("number of calls in flight on the event loop"),
            "{error}"
        );
    }
    for (text, options) in [
        ("in_flight: 0, expected 1 to 1000000", [0, 1]),
        ("loop_blocked_after: 0ns, expected more than 0 s", [1, 0]),
    ] {
        let [calls, seconds] = options;
        let error = App::try_with(SOURCE, |builder| {
            builder
                .in_flight(calls)
                .loop_blocked_after(Duration::from_secs(seconds as u64))
        });
        let error = error.unwrap_err();
        assert!(
            error.is_config() && error.to_string().contains(text),
            "{error}"
        );
    }
    assert_eq!(ask(turn.app.service(), get("/")).await.status, 200);
}

//! How many calls are under way at once, and on how many loops.

use std::collections::HashSet;
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
    assert_eq!(turn.ask("/").await, "httpy-loop-1");
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
    assert_eq!(turn.ask("/").await, "httpy-loop-1");
}

#[tokio::test]
async fn calls_go_to_the_loop_with_the_fewest() {
    if executor::lacks(OfThreads::SeveralLoops) {
        return;
    }
    let turn = Turn::with(SOURCE, |builder| builder.event_loops(3)).await;
    let mut calls = Vec::new();
    for _ in 0..6 {
        calls.push(turn.begin_call("/").await);
    }
    let (calls, held): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    drop(held);
    let mut names = Vec::new();
    for call in calls {
        names.push(call.await.unwrap().text());
    }
    let different: HashSet<&String> = names.iter().collect();
    assert_eq!((names.len(), different.len()), (6, 3), "{names:?}");
}

#[tokio::test]
async fn an_app_that_asks_for_other_loops_than_the_first_one_is_told_both() {
    let turn = Turn::begin(SOURCE).await;
    if executor::has(OfThreads::SharedInterpreter) {
        let error =
            App::try_with(SOURCE, |builder| builder.workers(1..=4).event_loops(2)).unwrap_err();
        assert!(
            error.is_conflicting_options() && error.to_string().contains("number of event loops"),
            "{error}"
        );
    }
    for (text, options) in [
        ("event_loops: 0, expected 1 to 64", [0, 1, 1]),
        ("in_flight: 0, expected 1 to 1000000", [1, 0, 1]),
        ("loop_blocked_after: 0ns, expected more than 0 s", [1, 1, 0]),
    ] {
        let [loops, calls, seconds] = options;
        let error = App::try_with(SOURCE, |builder| {
            builder
                .event_loops(loops)
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

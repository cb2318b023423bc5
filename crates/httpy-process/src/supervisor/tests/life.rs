//! Workers that start, die, are replaced, and end.

use std::time::Duration;

use http::{Method, Uri};
use httpy_core::{Call, ExitLimits, ProcessNotice, Running};

use super::stage::{Seen, Stage, scripted};
use crate::handover::{Ended, Reason};

#[tokio::test]
async fn workers_start_and_end_when_nobody_holds_them_any_more() {
    let mut stage = Stage::new(
        |options| options.processes = 2,
        |setup, _| setup.program = scripted("begin(); serve()"),
    );
    stage.up().await.unwrap();
    let mut numbers = [stage.added().await.number, stage.added().await.number];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    let standing = stage.supervisor.standing();
    assert_eq!(
        (standing.wanted, standing.ready, standing.deaths),
        (2, 2, 0)
    );
    let notices = stage.notices();
    let rest = stage.ended().await;
    let stopped = rest
        .iter()
        .filter(|seen| matches!(seen, Seen::Stopped(_)))
        .count();
    let gone = rest
        .iter()
        .filter(|seen| matches!(seen, Seen::Gone(_)))
        .count();
    assert_eq!((stopped, gone, rest.len(), notices), (2, 2, 4, vec![]));
}

fn limits(rest: Duration) -> ExitLimits {
    let shielded = Duration::ZERO;
    ExitLimits { shielded, rest }
}

#[tokio::test]
async fn closing_runs_shutdown_functions_and_leaves_nobody() {
    let mut stage = Stage::scripted("begin(); serve()");
    let actor = stage.added().await;
    let limits = limits(Duration::from_secs(30));
    stage.supervisor.close(limits).await;
    assert!(
        matches!(stage.next().await, Seen::ShutDown(id, given) if id == actor.id && given == limits)
    );
    assert_eq!(stage.supervisor.standing().ready, 0);
    assert!(stage.reload(None).await.is_err());
    stage.supervisor.close(self::limits(Duration::ZERO)).await;
}

#[tokio::test]
async fn who_does_not_shut_down_in_time_is_killed() {
    let mut stage = Stage::scripted("begin(); time.sleep(1000)");
    stage.added().await;
    stage
        .supervisor
        .close(limits(Duration::from_millis(1)))
        .await;
    let died = stage.died().await;
    assert!(
        died.contains("was killed, as it had not shut down in time"),
        "{died}"
    );
}

#[tokio::test]
async fn a_worker_that_is_killed_is_replaced_and_said_to_have_been() {
    let mut stage = Stage::scripted("begin(); serve()");
    let first = stage.added().await;
    first.answers(3);
    first.kill();
    let second = stage.added().await;
    assert_eq!(
        (
            second.number,
            second.id == first.id,
            second.pid == first.pid
        ),
        (1, false, false)
    );
    let died = stage.died().await;
    assert!(
        died.contains(&format!(
            "httpy-process-1 (process {}) was killed by SIGKILL",
            first.pid
        )),
        "{died}"
    );
    assert!(died.contains("another one is started in "), "{died}");
    let standing = stage.supervisor.standing();
    assert_eq!(
        (standing.deaths, standing.restarts, standing.ready),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_worker_that_is_stuck_is_killed_with_all_it_has_started() {
    let mut stage = Stage::scripted(
        "if not os.fork():\n    time.sleep(1000)\nsys.stderr.write('last words\\n')\nbegin()\ntime.sleep(1000)",
    );
    let first = stage.added().await;
    let call = Running {
        target: "app:handle".to_owned(),
        subject: Call::new(Method::GET, Uri::from_static("/")).subject(),
        elapsed: Duration::from_secs(40),
    };
    stage
        .end(
            first.id,
            Ended {
                reason: Reason::Stuck,
                running: vec![call],
            },
        )
        .await;
    stage.gone(first.id).await;
    let died = stage.died().await;
    for part in [
        "was killed, as a call did not end in time",
        "it was in: app:handle, after 40.0s, GET",
        "  last words",
    ] {
        assert!(died.contains(part), "{died}");
    }
    stage.added().await;
}

#[tokio::test]
async fn however_late_the_process_of_a_stuck_worker_is_gone_the_log_has_when_another_one_was_started()
 {
    let mut stage = Stage::new(
        |_| {},
        |setup, _| {
            setup.program = scripted("begin(); time.sleep(1000)");
            // Long over by then.
            setup.shortest_pause = Duration::from_micros(1);
        },
    );
    let first = stage.added().await;
    stage
        .end(
            first.id,
            Ended {
                reason: Reason::Stuck,
                running: vec![],
            },
        )
        .await;
    let died = stage.died().await;
    assert!(
        died.contains("as a call did not end in time; another one is started in "),
        "{died}"
    );
}

#[tokio::test]
async fn a_worker_that_cannot_be_understood_is_killed() {
    let mut stage = Stage::scripted("begin(); time.sleep(1000)");
    let first = stage.added().await;
    stage
        .end(
            first.id,
            Ended {
                reason: Reason::Broken("found x".to_owned()),
                running: vec![],
            },
        )
        .await;
    let died = stage.died().await;
    assert!(
        died.contains("was killed, as it has sent an invalid message: found x"),
        "{died}"
    );
    assert_ne!(stage.added().await.pid, first.pid);
}

#[tokio::test]
async fn a_worker_that_has_answered_enough_is_replaced_before_it_is_stopped() {
    let mut stage = Stage::new(
        |options| options.max_requests = Some(100),
        |setup, _| setup.program = scripted("begin(); serve()"),
    );
    let first = stage.added().await;
    first.answers(89);
    first.answers(100);
    let second = stage.added().await;
    assert!(matches!(stage.next().await, Seen::Stopped(id) if id == first.id));
    stage.gone(first.id).await;
    let recycled = stage
        .notice(|notice| matches!(notice, ProcessNotice::Recycled { .. }))
        .await
        .to_string();
    assert!(
        recycled.ends_with("has answered 100 calls: it is replaced"),
        "{recycled}"
    );
    let standing = stage.supervisor.standing();
    assert_eq!(
        (standing.recycled, standing.restarts, standing.ready),
        (1, 0, 1)
    );
    assert!(
        !stage
            .notices()
            .iter()
            .any(|notice| matches!(notice, ProcessNotice::Died { .. }))
    );
    assert_eq!(second.number, 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_that_has_grown_too_large_is_replaced() {
    let mut stage = Stage::new(
        |options| options.max_rss = Some(100 * 1024 * 1024),
        |setup, folder| {
            // Only the first one grows.
            let once = folder.join("once");
            let grow = format!(
                "if not os.path.exists({once:?}):\n    open({once:?}, 'w')\n    grown = b'x' * 200_000_000\n"
            );
            setup.program = scripted(&format!("{grow}begin(); serve()"));
        },
    );
    let first = stage.added().await;
    stage.added().await;
    assert!(matches!(stage.next().await, Seen::Stopped(id) if id == first.id));
    let recycled = stage
        .notice(|notice| matches!(notice, ProcessNotice::Recycled { .. }))
        .await
        .to_string();
    assert!(
        recycled.contains(" has grown to ") && recycled.ends_with(" MiB: it is replaced"),
        "{recycled}"
    );
}

#[tokio::test]
async fn an_old_worker_is_replaced() {
    let mut stage = Stage::new(
        |options| options.max_age = Some(Duration::from_millis(1)),
        |setup, _| setup.program = scripted("begin(); serve()"),
    );
    for _ in 0..3 {
        stage.added().await;
    }
    let recycled = stage
        .notice(|notice| matches!(notice, ProcessNotice::Recycled { .. }))
        .await
        .to_string();
    assert!(recycled.contains("has reached its age"), "{recycled}");
}

#[tokio::test]
async fn a_worker_that_does_not_finish_is_killed_in_the_end() {
    let mut stage = Stage::new(
        |options| options.max_requests = Some(1),
        |setup, _| {
            setup.program = scripted("begin(); time.sleep(1000)");
            setup.drain_within = Duration::from_millis(1);
        },
    );
    let first = stage.added().await;
    first.answers(1);
    stage.added().await;
    stage.gone(first.id).await;
    let died = stage.died().await;
    assert!(
        died.contains("was killed, as it had not finished its calls within 1ms"),
        "{died}"
    );
}

#[tokio::test]
async fn too_many_deaths_are_told_of_once() {
    let mut stage = Stage::new(
        |options| options.replacements = 2,
        |setup, _| {
            setup.program = scripted("begin(); os._exit(3)");
            setup.shortest_pause = Duration::from_millis(1);
        },
    );
    for _ in 0..5 {
        stage.added().await;
    }
    let restless = stage
        .notice(|notice| matches!(notice, ProcessNotice::Restless { .. }))
        .await;
    assert_eq!(
        restless,
        ProcessNotice::Restless {
            deaths: 2,
            replacements: 2
        }
    );
    let count = stage
        .notices()
        .iter()
        .filter(|notice| matches!(notice, ProcessNotice::Restless { .. }))
        .count();
    let standing = stage.supervisor.standing();
    assert!(
        count == 1 && standing.deaths >= standing.replacements,
        "{standing:?}"
    );
    assert!(stage.died().await.contains("ended with exit status 3"));
}

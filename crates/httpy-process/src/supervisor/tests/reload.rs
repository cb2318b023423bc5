//! Reloads: a whole generation of workers takes over, or none of it.

use super::stage::{Seen, Stage, scripted};

/// Two workers; what they do at their start, and in their init function, stands in a file.
async fn stage() -> Stage {
    let mut stage = Stage::new(
        |options| options.processes = 2,
        |setup, folder| {
            let code = folder.join("code");
            std::fs::write(&code, "").unwrap();
            setup.program = scripted(&format!(
                "begin_with = {code:?}\nexec(open(begin_with).read())\nbegin(); serve(**globals().get('answers', {{}}))"
            ));
        },
    );
    stage.up().await.unwrap();
    for _ in 0..2 {
        stage.added().await;
    }
    stage
}

#[tokio::test]
async fn new_workers_get_jobs_before_the_old_ones_get_none() {
    let mut stage = stage().await;
    stage.write(
        "code",
        "answers = {'init': lambda seq, name: send(('ok', seq, [('/' + name, ['GET', 'PUT'])]))}",
    );
    let routes = stage.reload(Some("app:init")).await.unwrap();
    assert_eq!(
        routes,
        [(
            "/app:init".to_owned(),
            vec!["GET".to_owned(), "PUT".to_owned()]
        )]
    );
    for number in [1, 2] {
        assert!(matches!(stage.next().await, Seen::Added(actor) if actor.number == number));
        assert!(matches!(stage.next().await, Seen::Stopped(_)));
    }
    for _ in 0..2 {
        assert!(matches!(stage.next().await, Seen::Gone(_)));
    }
    let standing = stage.supervisor.standing();
    assert_eq!(
        (standing.ready, standing.restarts, standing.recycled),
        (2, 0, 0)
    );
    assert_eq!(stage.notices(), []);
}

#[tokio::test]
async fn code_that_does_not_come_up_leaves_the_old_workers_alone() {
    let mut stage = stage().await;
    for (code, said) in [
        (
            "sys.exit('oh no')",
            "ended with exit status 1 before it was ready\n  oh no",
        ),
        (
            "receive(); hello(); send(('error', 0, 'import', 'it raised', None)); time.sleep(1000)",
            "it raised",
        ),
        (
            "answers = {'init': lambda seq, name: send(('error', seq, 'init_exception', 'init raised', None))}",
            "init raised",
        ),
        (
            "answers = {'init': lambda seq, name: os._exit(6)}",
            "httpy-process-1 ended with exit status 6",
        ),
        (
            "answers = {'init': lambda seq, name: send(('ok', seq, 5))}",
            "it has sent an invalid message",
        ),
    ] {
        stage.write("code", code);
        let failure = stage
            .reload(Some("app:init"))
            .await
            .unwrap_err()
            .to_string();
        assert!(failure.contains(said), "{failure}");
    }
    stage.write("code", "");
    assert_eq!(stage.reload(None).await.unwrap(), []);
    // Nobody else has come or gone meanwhile but workers that never had jobs.
    let mut stopped = 0;
    let mut added = 0;
    while stopped < 2 {
        match stage.next().await {
            Seen::Stopped(_) => stopped += 1,
            Seen::Added(_) => added += 1,
            _ => {}
        }
    }
    assert_eq!((added, stage.notices()), (2, vec![]));
}

#[tokio::test]
async fn routes_that_are_refused_leave_the_old_workers_alone() {
    let stage = stage().await;
    stage.write(
        "code",
        "answers = {'init': lambda seq, name: send(('ok', seq, [('/new', ['GET'])]))}",
    );
    let accept = |all: Vec<httpy_core::InitRoutes>| Err(format!("{} cannot be", all[0].1[0].0));
    let refused = stage
        .supervisor
        .reload(vec!["app:init".to_owned()], Box::new(accept))
        .await;
    assert_eq!(refused.unwrap_err().to_string(), "/new cannot be");
    assert_eq!(stage.supervisor.standing().ready, 2);
}

#[tokio::test]
async fn reloads_that_are_asked_for_at_once_are_as_good_as_one_after_another() {
    let mut stage = stage().await;
    let (one, two, three) =
        tokio::join!(stage.reload(None), stage.reload(None), stage.reload(None));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(stage.supervisor.standing().ready, 2);
    for _ in 0..4 {
        stage.added().await;
    }
}

#[tokio::test]
async fn a_reload_ends_with_the_app() {
    let stage = stage().await;
    stage.write("code", "time.sleep(1000)");
    let reload = stage.reload(None);
    let close = async {
        tokio::task::yield_now().await;
        stage
            .supervisor
            .close(httpy_core::ExitLimits {
                shielded: std::time::Duration::ZERO,
                rest: std::time::Duration::from_secs(10),
            })
            .await;
    };
    let (failed, ()) = tokio::join!(reload, close);
    assert!(
        failed
            .unwrap_err()
            .to_string()
            .contains("the engine has shut down")
    );
}

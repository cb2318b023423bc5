//! Who gets which jobs, and what becomes of those that do not begin.

use httpy_core::{BodyMode, Interface, Kind, Lane, Outcome, TargetId};

use super::fake::{Fake, fake};
use super::floor::{Added, Asked, Floor, outcome, reply, told};
use crate::handover::{Order, Reason};

async fn worker(floor: &mut Floor) -> (Fake, Added) {
    let (fake, started) = fake(4);
    (fake, floor.add(started).await)
}

const TEXT: TargetId = TargetId {
    index: 0,
    interface: Interface {
        kind: Kind::Handler,
        lane: Lane::Worker,
        body: BodyMode::Text,
    },
};

#[tokio::test]
async fn jobs_go_to_the_worker_with_the_fewest() {
    let mut floor = Floor::new();
    let ((mut one, _), (mut two, _)) = (worker(&mut floor).await, worker(&mut floor).await);
    let questions: Vec<_> = (0..4).map(|_| floor.push(Asked::of(0))).collect();
    assert_eq!([one.sync.job().await, one.sync.job().await], [1, 2]);
    assert_eq!([two.sync.job().await, two.sync.job().await], [1, 2]);
    for id in [1, 2] {
        one.sync.answer(id, "one").await;
        two.sync.answer(id, "two").await;
    }
    for (question, body) in questions.iter().zip(["one", "two", "one", "two"]) {
        assert_eq!(
            reply(outcome(question).await.unwrap()).unwrap(),
            (200, body.into())
        );
    }
}

#[tokio::test]
async fn a_job_is_sent_as_the_handler_wants_it() {
    let mut floor = Floor::new();
    let (mut fake, _) = worker(&mut floor).await;
    for (handler, body) in [(0, "\"b\""), (1, "1 bytes"), (2, "1 bytes")] {
        let _question = floor.push(Asked::of(handler).body("b"));
        let job = fake.sync.next().await;
        assert!(
            job.starts_with(&format!(
                "({}, {handler}, \"POST\", \"/path\", a dict, a dict, a dict, {body}, (",
                handler + 1
            )),
            "{job}"
        );
    }
    let _question = floor.push(Asked::of(3));
    assert!(fake.asynchronous.next().await.starts_with("(1, 3, "));
}

#[tokio::test]
async fn a_large_body_goes_ahead_in_parts_and_lets_small_jobs_pass() {
    let mut floor = Floor::new();
    let (mut fake, _) = worker(&mut floor).await;
    let size = 1024 * 1024;
    let (_large, _small) = (
        floor.push(Asked::of(1).body(vec![0; size])),
        floor.push(Asked::of(0)),
    );
    let (mut parts, mut passed) = (0, false);
    let job = loop {
        let message = fake.sync.next().await;
        match &message[..] {
            "(1, 65536 bytes)" => parts += 1,
            message if message.starts_with("(2, ") => passed = true,
            _ => break message,
        }
    };
    assert!(
        job.starts_with("(1, 1, ") && job.contains(", None, ("),
        "{job}"
    );
    assert!(passed && parts == size / 65536);
}

#[tokio::test]
async fn what_had_begun_when_a_worker_dies_is_answered_and_the_rest_goes_to_others() {
    let mut floor = Floor::new();
    let (mut one, added) = worker(&mut floor).await;
    let questions: Vec<_> = (0..4).map(|_| floor.push(Asked::of(0))).collect();
    for id in 1..=4 {
        assert_eq!(one.sync.job().await, id);
    }
    one.begin(2);
    one.sync.answer(1, "before").await;
    drop(one);
    let ended = added.ended.await.unwrap();
    assert!(matches!(ended.reason, Reason::Closed));
    assert_eq!(
        ended
            .running
            .iter()
            .map(|running| &running.target[..])
            .collect::<Vec<_>>(),
        ["app:text"]
    );
    assert_eq!(
        reply(outcome(&questions[0]).await.unwrap()).unwrap().1,
        "before"
    );
    let died = outcome(&questions[1]).await.unwrap();
    assert!(
        matches!(&died, Outcome::Crashed(text) if text == "its worker process, httpy-process-1 (1), died")
    );
    let (mut two, _) = worker(&mut floor).await;
    for (id, question) in [(1, &questions[2]), (2, &questions[3])] {
        assert_eq!(two.sync.job().await, id);
        two.sync.answer(id, "after").await;
        assert_eq!(reply(outcome(question).await.unwrap()).unwrap().1, "after");
    }
}

#[tokio::test]
async fn a_worker_has_at_most_one_job_for_each_of_its_threads() {
    let mut floor = Floor::new();
    let (mut one, _) = worker(&mut floor).await;
    let questions: Vec<_> = (0..5).map(|_| floor.push(Asked::of(0))).collect();
    for id in 1..=4 {
        assert_eq!(one.sync.job().await, id);
    }
    one.begin(1);
    assert_eq!(one.control.next().await, "(\"relieve\")");
    // There are four threads: the fifth job is for another worker.
    let (mut two, _) = worker(&mut floor).await;
    assert_eq!(two.sync.job().await, 1);
    two.sync.answer(1, "two").await;
    assert_eq!(
        reply(outcome(&questions[4]).await.unwrap()).unwrap().1,
        "two"
    );
}

#[tokio::test]
async fn a_worker_sends_what_it_keeps_back_also_when_all_jobs_have_begun() {
    let mut floor = Floor::new();
    let (mut fake, _) = worker(&mut floor).await;
    let questions = [floor.push(Asked::of(0)), floor.push(Asked::of(0))];
    assert_eq!((fake.sync.job().await, fake.sync.job().await), (1, 2));
    fake.begin(2);
    assert_eq!(fake.control.next().await, "(\"relieve\")");
    fake.sync.answer(1, "kept back").await;
    assert_eq!(
        reply(outcome(&questions[0]).await.unwrap()).unwrap().1,
        "kept back"
    );
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_job_out_of_the_worker() {
    let mut floor = Floor::new();
    let (mut fake, added) = worker(&mut floor).await;
    let question = floor.push(Asked::of(0));
    assert_eq!(fake.sync.job().await, 1);
    floor.enforce(&question, TEXT, false);
    assert_eq!(fake.control.next().await, "(\"cancel\", \"sync\", 1)");
    fake.sync
        .send(1, |writer| {
            writer.tuple(2);
            writer.count(1);
            writer.str("x");
        })
        .await;
    added.tally.reaches(1).await;
    assert!(question.ticket().is_done());
}

#[tokio::test]
async fn an_outcome_that_nobody_waits_for_is_told() {
    let mut floor = Floor::new();
    let (mut fake, _) = worker(&mut floor).await;
    let question = floor.push(Asked::of(0));
    assert_eq!(fake.sync.job().await, 1);
    drop(question);
    fake.sync
        .send(1, |writer| {
            writer.tuple(3);
            writer.count(1);
            writer.str("u");
            writer.tuple(2);
            writer.int(413);
            writer.str("nobody waits for this");
        })
        .await;
    assert!(
        told("nobody waits for this")
            .await
            .starts_with("app:text: Upload")
    );
}

#[tokio::test]
async fn a_worker_that_is_to_stop_gets_no_more_jobs() {
    let mut floor = Floor::new();
    let (mut one, added) = worker(&mut floor).await;
    floor.order(Order::Stop(added.id)).await;
    assert_eq!(one.control.next().await, "(\"stop\")");
    let question = floor.push(Asked::of(0));
    let (mut two, _) = worker(&mut floor).await;
    assert_eq!(two.sync.job().await, 1);
    two.sync.answer(1, "two").await;
    assert_eq!(reply(outcome(&question).await.unwrap()).unwrap().1, "two");
    floor.order(Order::Gone(added.id)).await;
    assert!(matches!(added.ended.await.unwrap().reason, Reason::Closed));
}

//! Whatever a worker sends that no worker sends ends its connection, and the server goes on.

use httpy_core::Outcome;
use httpy_core::frame::{FRAME_LIMIT, Writer};

use super::fake::fake;
use super::floor::{Asked, Floor, outcome, reply};
use crate::handover::Reason;

/// Where it is sent.
#[derive(Clone, Copy, Debug)]
enum To {
    Control,
    Sync,
    Async,
}

/// What is said of a worker with one call under way, number 1 on its sync lane, that sends these bytes.
async fn said(to: To, bytes: &[u8]) -> String {
    let mut floor = Floor::new();
    let (mut bad, started) = fake(4);
    let added = floor.add(started).await;
    let question = floor.push(Asked::of(0));
    assert_eq!(bad.sync.job().await, 1);
    bad.begin(1);
    let end = match to {
        To::Control => &mut bad.control,
        To::Sync => &mut bad.sync,
        To::Async => &mut bad.asynchronous,
    };
    end.write(bytes).await;
    let ended = added.ended.await.unwrap();
    bad.control.closed().await;
    assert!(
        matches!(outcome(&question).await.unwrap(), Outcome::Crashed(_)),
        "{to:?}"
    );
    // And it goes on.
    let (mut good, started) = fake(4);
    floor.add(started).await;
    let question = floor.push(Asked::of(0));
    assert_eq!(good.sync.job().await, 1);
    good.sync.answer(1, "good").await;
    assert_eq!(reply(outcome(&question).await.unwrap()).unwrap().1, "good");
    match ended.reason {
        Reason::Broken(text) => text,
        other => panic!("{other:?}"),
    }
}

fn frame(messages: u32, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut frame = vec![0; 4];
    let mut writer = Writer::new(&mut frame);
    writer.list(messages);
    write(&mut writer);
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}

/// A message about a job, with nothing but a word.
fn word(id: u64, word: &str) -> Vec<u8> {
    frame(1, |writer| {
        writer.tuple(2);
        writer.count(id);
        writer.str(word);
    })
}

#[tokio::test]
async fn bytes_that_are_no_frame() {
    for to in [To::Control, To::Sync, To::Async] {
        let said = said(to, b"\x05\0\0\0hello").await;
        assert!(said.contains("at byte 0"), "{said}");
    }
}

#[tokio::test]
async fn a_length_beyond_the_limit() {
    let length = u32::try_from(FRAME_LIMIT + 1).unwrap();
    for to in [To::Control, To::Sync, To::Async] {
        let said = said(to, &length.to_le_bytes()).await;
        assert!(said.contains("a frame of 16 MiB at most"), "{said}");
    }
}

#[tokio::test]
async fn a_call_that_it_does_not_have() {
    assert_eq!(
        said(To::Sync, &word(2, "x")).await,
        "something about call 2, which is none that it has"
    );
    assert_eq!(
        said(To::Async, &word(1, "x")).await,
        "something about call 1, which is none that it has"
    );
}

#[tokio::test]
async fn what_does_not_follow_in_a_call() {
    // It was not cancelled, nor is its reply a stream.
    for wrong in ["x", "end"] {
        let bytes = frame(1, |writer| {
            writer.tuple(if wrong == "end" { 4 } else { 2 });
            writer.count(1);
            writer.str(wrong);
            if wrong == "end" {
                writer.none();
                writer.none();
            }
        });
        assert_eq!(
            said(To::Sync, &bytes).await,
            "something else than what follows in call 1"
        );
    }
}

#[tokio::test]
async fn a_reply_that_is_none() {
    let bytes = frame(1, |writer| {
        writer.tuple(3);
        writer.count(1);
        writer.str("p");
        writer.str("no tuple");
    });
    let said = said(To::Sync, &bytes).await;
    assert!(said.starts_with("kind.p.body: found the end"), "{said}");
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for() {
    let bytes = frame(1, |writer| {
        writer.tuple(3);
        writer.str("ok");
        writer.count(7);
        writer.none();
    });
    assert_eq!(
        said(To::Control, &bytes).await,
        "an answer to question 7, which it was not asked"
    );
    let bytes = frame(1, |writer| {
        writer.tuple(1);
        writer.str("ready");
    });
    assert_eq!(
        said(To::Control, &bytes).await,
        "that it has started, once more"
    );
}

#[tokio::test]
async fn more_read_than_was_sent() {
    let bytes = frame(1, |writer| {
        writer.tuple(4);
        writer.str("read");
        writer.str("sync");
        writer.count(1);
        writer.count(1);
    });
    assert_eq!(
        said(To::Control, &bytes).await,
        "something about call 1, which is none that it has"
    );
}

//! Clients that leave: before the head, between two chunks, while Python computes. The iterator is closed in each.

use httpy_tests::app::ask;
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::log;

use super::{Turn, text};

const SOURCE: &str = "
class Untouched:
    def __next__(self):
        seen.append('next')
        return 'a'
    def close(self):
        seen.append(f'closed gone={httpy_rs.client_gone()}')

def handle(method, path, params, query, headers, body):
    port = query['gate'][0]
    if path == '/head':
        pass_gate(port)
        seen.append(f'gone={httpy_rs.client_gone()}')
        return 200, Untouched(), {}
    def chunks():
        try:
            yield 'a'
            while path == '/between':
                yield 'b' * 65536
            pass_gate(port)
            while path == '/leave' and not httpy_rs.client_gone():
                pass
            seen.append(f'gone={httpy_rs.client_gone()}')
            yield 'b'
            seen.append('not reached')
        except GeneratorExit:
            seen.append('exit')
            raise
        finally:
            seen.append(f'closed gone={httpy_rs.client_gone()}')
    return 200, chunks(), {}
";

#[tokio::test]
async fn one_that_leaves_before_the_head_has_its_iterator_closed_and_not_iterated() {
    if executor::lacks(OfThreads::GoneAtOnce) {
        return;
    }
    let turn = Turn::begin(SOURCE).await;
    let (call, held) = turn
        .gate
        .hold(ask(turn.app.service(), turn.request("/head")))
        .await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    drop(held);
    turn.wait_for("gone=True closed gone=True").await;
}

#[tokio::test]
async fn one_that_leaves_between_two_chunks_has_its_generator_closed() {
    let turn = Turn::begin(SOURCE).await;
    let mut response = turn.call("/between").await;
    assert_eq!(text(&mut response).await, "a");
    drop(response);
    turn.wait_for("exit closed gone=True").await;
}

#[tokio::test]
async fn one_that_leaves_while_python_computes_has_its_generator_closed_at_the_next_chunk() {
    let turn = Turn::begin(SOURCE).await;
    let mut response = turn.call("/leave").await;
    assert_eq!(text(&mut response).await, "a");
    let held = turn.gate.arrival().await;
    drop(response);
    drop(held);
    turn.wait_for("gone=True exit closed gone=True").await;
    assert!(log::lines(&turn.target()).is_empty());
}

#[tokio::test]
async fn one_that_stays_to_the_end_has_not_gone() {
    let turn = Turn::begin(SOURCE).await;
    let mut response = turn.call("/compute").await;
    assert_eq!(text(&mut response).await, "a");
    drop(turn.gate.arrival().await);
    assert_eq!(text(&mut response).await, "b");
    assert!(super::next(&mut response).await.is_none());
    assert_eq!(
        turn.seen().await,
        "gone=False not reached closed gone=False"
    );
}

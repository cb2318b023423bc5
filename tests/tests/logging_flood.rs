//! More is logged than the host's subscriber takes, which may even wait for Python: nobody else waits, and what is lost is
//! counted. In a program of its own, since what is lost may be anybody's.

use httpy_tests::app::{App, post};
use httpy_tests::{log, record};
use tracing::Level;

const RUNNING: &str = "
import logging
log = logging.getLogger(__name__)
def handle(method, path, params, query, headers, body):
    exec(body, globals())
    return 200, 'done', {}
";

async fn run(app: &App, code: &str) {
    let answer = app.ask(post("/", code.to_owned())).await;
    assert_eq!(answer.text(), "done", "{code}: {:?}", answer.error);
}

#[tokio::test]
async fn the_subscriber_may_wait_for_python_and_a_flood_is_counted() {
    let app = App::new(RUNNING);
    // It stops at this record until a handler has answered, which would hang if either waited for the other.
    let hold = record::Hold::at("hold the log");
    run(&app, "log.info('hold the log')").await;
    hold.arrival();
    run(&app, "for n in range(10_000): log.info('flood')").await;
    drop(hold);
    run(&app, "log.info('after the flood')").await;
    let dropped = log::wait_for("", "entries of Python's log were dropped").await;
    assert_eq!(dropped.level, Level::WARN);
    let count: usize = dropped.message.split(' ').next().unwrap().parse().unwrap();
    record::with_message("hold the log").await;
    assert!(count >= 10_000 - 4096, "{count}");
}

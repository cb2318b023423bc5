//! The host's subscriber comes late, and its filter changes: Python's level follows. One test, as there is one subscriber.

use axum::body::Body;
use httpy::{PyEngine, PyService};
use httpy_tests::app::{ask, post};
use httpy_tests::record;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

const EVALUATING: &str = "
import logging
log = logging.getLogger('app')

class Last(logging.Handler):
    seen = []
    def emit(self, record):
        self.seen.append(record.getMessage())

logging.lastResort = Last(logging.WARNING)

def handle(method, path, params, query, headers, body):
    return 200, str(eval(body)), {}
";

async fn evaluate(python: &PyService, expression: &'static str) -> String {
    let answer = ask(python.clone(), post("/", Body::from(expression))).await;
    assert_eq!(answer.status, 200, "{expression}: {:?}", answer.error);
    answer.text()
}

/// Python's level follows from its own main thread, a moment later.
async fn wait_for_level(python: &PyService, level: &str) {
    while evaluate(
        python,
        "log.getEffectiveLevel(), logging.getLogger().handlers[0].level",
    )
    .await
        != level
    {}
}

#[tokio::test]
async fn pythons_level_follows_the_hosts_filter() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("filtered.py"), EVALUATING).unwrap();
    let engine = PyEngine::builder().path(folder.path()).build().unwrap();
    let python = engine.handler("filtered:handle").unwrap();

    // Nobody listens: as in any Python program, warnings are shown.
    assert_eq!(
        evaluate(
            &python,
            "log.info('early info') or log.warning('early warning') or Last.seen"
        )
        .await,
        "['early warning']"
    );

    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry()
            .with(filter)
            .with(record::Keep),
    )
    .unwrap();
    wait_for_level(&python, "(20, 20)").await;
    evaluate(
        &python,
        "log.debug('still too fine') or log.info('taken now')",
    )
    .await;
    record::with_message("taken now").await;

    handle.reload(LevelFilter::DEBUG).unwrap();
    wait_for_level(&python, "(10, 10)").await;
    evaluate(&python, "log.debug('fine enough')").await;
    record::with_message("fine enough").await;

    // Never above CPython's own level: other handlers may want the rest.
    handle.reload(LevelFilter::ERROR).unwrap();
    wait_for_level(&python, "(30, 40)").await;
    evaluate(
        &python,
        "log.warning('too fine again') or log.error('an error')",
    )
    .await;
    record::with_message("an error").await;

    handle.reload(LevelFilter::OFF).unwrap();
    wait_for_level(&python, "(30, 1000000)").await;
    assert_eq!(
        evaluate(&python, "log.error('to nobody') or Last.seen").await,
        "['early warning']"
    );

    for unseen in [
        "still too fine",
        "too fine again",
        "to nobody",
        "early info",
        "early warning",
    ] {
        assert_eq!(
            record::all(|record| record.message() == unseen).len(),
            0,
            "{unseen}"
        );
    }
}

//! Python's `logging` in the host's log: what arrives, where, and that nobody has to wait for it.

use httpy_tests::app::Builder;
use httpy_tests::app::{App, ask, post};
use httpy_tests::executor::{self, OfThreads};
use httpy_tests::record;
use tracing::{Instrument, Level, info_span};

/// The body is run; `log` is a logger of the module's own.
const RUNNING: &str = "
import logging, threading
log = logging.getLogger(__name__)

def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

def handle(method, path, params, query, headers, body):
    exec(body, globals())
    return 200, 'done', {}
";

async fn run(app: &App, code: &str) {
    let answer = app.ask(post("/", code.to_owned())).await;
    assert_eq!(answer.text(), "done", "{code}: {:?}", answer.error);
}

#[tokio::test]
async fn a_record_becomes_an_event_with_its_logger_and_place() {
    let app = App::new(RUNNING);
    run(&app, "log.warning('hello %s', 'plain')").await;
    let record = record::with_message("hello plain").await;
    assert_eq!(
        (record.target.as_str(), record.level),
        ("python", Level::WARN)
    );
    assert_eq!(record.field("logger"), app.module);
    assert_eq!(record.field("place"), "<string>:1");
    for absent in ["extra", "exception", "stack", "python_level"] {
        assert_eq!(record.field(absent), "", "{record:?}");
    }
}

#[tokio::test]
async fn pythons_levels_become_the_hosts() {
    let app = App::new(RUNNING);
    run(
        &app,
        "for level in (5, 10, 20, 25, 30, 40, 50): log.log(level, 'level %s', level)",
    )
    .await;
    for (number, level, name) in [
        (5, Level::TRACE, "Level 5"),
        (10, Level::DEBUG, ""),
        (20, Level::INFO, ""),
        (25, Level::INFO, "Level 25"),
        (30, Level::WARN, ""),
        (40, Level::ERROR, ""),
        (50, Level::ERROR, "CRITICAL"),
    ] {
        let record = record::with_message(&format!("level {number}")).await;
        assert_eq!((record.level, record.field("python_level")), (level, name));
    }
}

#[tokio::test]
async fn a_level_that_is_set_in_python_holds() {
    let app = App::new(RUNNING);
    run(
        &app,
        "log.setLevel('ERROR'); log.warning('below its level'); log.error('at its level')",
    )
    .await;
    record::with_message("at its level").await;
    assert_eq!(
        record::all(|record| record.message() == "below its level").len(),
        0
    );
}

#[tokio::test]
async fn extra_fields_are_one_json_object() {
    let app = App::new(RUNNING);
    run(
        &app,
        "class Odd:
    def __repr__(self): raise ValueError('no')
log.info('with extras', extra={'user': 'ada', 'n': 3, 'ok': True, 'none': None, 'f': 1.5, 'inf': float('inf'),
    'big': 10**5000, 'list': [1, 2], 'odd': Odd(), 'long': 'x' * 5000, 'sur': '\\udcff'})",
    )
    .await;
    let record = record::with_message("with extras").await;
    let extra: serde_json::Value = serde_json::from_str(record.field("extra")).unwrap();
    assert_eq!(extra["user"], "ada");
    assert_eq!(
        (&extra["n"], &extra["ok"], &extra["none"]),
        (&3.into(), &true.into(), &serde_json::Value::Null)
    );
    assert_eq!(
        (&extra["f"], &extra["inf"], &extra["list"]),
        (&1.5.into(), &"inf".into(), &"[1, 2]".into())
    );
    assert_eq!(extra["long"].as_str().unwrap().len(), 1024);
    assert!(
        extra["odd"].as_str().unwrap().contains("Odd") || extra["odd"] == "<ValueError in repr()>",
        "{extra}"
    );
    assert!(
        extra["big"].is_string() && extra["sur"] == "\\udcff",
        "{extra}"
    );
}

#[tokio::test]
async fn more_extra_fields_than_can_be_are_counted() {
    let app = App::new(RUNNING);
    run(
        &app,
        "log.info('many extras', extra={f'field{n}': n for n in range(100)})",
    )
    .await;
    let extra: serde_json::Value =
        serde_json::from_str(record::with_message("many extras").await.field("extra")).unwrap();
    assert_eq!(
        (extra.as_object().unwrap().len(), &extra["..."]),
        (33, &"68 fields left out".into())
    );
}

#[tokio::test]
async fn an_exception_has_its_traceback_and_a_stack_is_shown() {
    let app = App::new(RUNNING);
    run(&app, "try:\n    raise KeyError('lost')\nexcept KeyError:\n    log.exception('it failed', stack_info=True)")
        .await;
    let record = record::with_message("it failed").await;
    assert_eq!(record.level, Level::ERROR);
    let exception = record.field("exception");
    assert!(
        exception.starts_with("Traceback (most recent call last):\n"),
        "{exception}"
    );
    assert!(exception.ends_with("KeyError: 'lost'"), "{exception}");
    assert!(
        exception
            .lines()
            .skip(1)
            .all(|line| line.starts_with("    ")),
        "{exception}"
    );
    assert!(record.field("stack").contains("in handle"), "{record:?}");
}

#[tokio::test]
async fn a_message_that_cannot_be_formatted_is_told_and_harms_nobody() {
    let app = App::new(RUNNING);
    run(
        &app,
        "class Bad:
    def __str__(self): raise ValueError('from __str__')
log.info('two %s', 1, 2)
log.info(Bad())
log.info('after the bad ones')",
    )
    .await;
    record::with_message("after the bad ones").await;
    let records = record::all(|record| record.field("logger") == app.module);
    let messages: Vec<&str> = records.iter().map(record::Record::message).collect();
    // The words of the error are CPython's, and longer from 3.15 on.
    assert!(
        messages[0].starts_with("<the message cannot be formatted: TypeError: not all arguments")
            && messages[0].ends_with("> two %s"),
        "{messages:?}"
    );
    assert!(
        messages[1].starts_with("<the message cannot be formatted: ValueError: from __str__> <"),
        "{messages:?}"
    );
}

#[tokio::test]
async fn no_text_can_pass_for_another_line() {
    let app = App::new(RUNNING);
    run(
        &app,
        "log.info('%s', 'injected\\n2026-01-01 ERROR forged\\r\\x1b[2J\\0\\ud800 é')",
    )
    .await;
    let record = record::wait_for(|record| record.message().starts_with("injected")).await;
    assert_eq!(
        record.message(),
        "injected\n    2026-01-01 ERROR forged\\r\\u{1b}[2J\\u{0}\\ud800 é"
    );
    run(&app, "logging.getLogger('a\\nb').info('odd name')").await;
    assert_eq!(
        record::with_message("odd name").await.field("logger"),
        "a\n    b"
    );
}

#[tokio::test]
async fn a_long_message_is_cut_in_its_middle() {
    let app = App::new(RUNNING);
    run(&app, "log.info('long ' + 'x' * 10_000_000 + ' end')").await;
    let record = record::wait_for(|record| record.message().starts_with("long x")).await;
    assert!(record.message().len() <= 64 * 1024 + 100 && record.message().ends_with(" end"));
    assert!(record.message().contains("bytes left out"));
}

#[tokio::test]
async fn a_record_is_in_the_span_of_its_request_also_after_request_was_asked() {
    let app = App::new(RUNNING);
    for (text, before) in [
        ("in its span", ""),
        ("in its span still", "import httpy_rs; httpy_rs.request(); "),
    ] {
        let span = info_span!("request");
        let call = ask(
            app.service(),
            post("/", format!("{before}log.info('{text}')")),
        );
        assert_eq!(call.instrument(span.clone()).await.text(), "done");
        let record = record::with_message(text).await;
        assert!(
            span.id().is_some() && record.span == span.id(),
            "{record:?}"
        );
    }
    run(&app, "log.info('without a span')").await;
    assert_eq!(record::with_message("without a span").await.span, None);
}

#[tokio::test]
async fn threads_log_too_and_are_in_the_span_with_the_requests_context() {
    let app = App::new(RUNNING);
    let span = info_span!("request");
    let code = "import contextvars
in_thread(lambda: log.info('from a thread'))
in_thread(lambda context=contextvars.copy_context(): context.run(log.info, 'with its context'))";
    assert_eq!(
        ask(app.service(), post("/", code))
            .instrument(span.clone())
            .await
            .text(),
        "done"
    );
    assert_eq!(record::with_message("from a thread").await.span, None);
    assert_eq!(
        record::with_message("with its context").await.span,
        span.id()
    );
}

#[tokio::test]
async fn what_is_logged_while_the_app_is_built_arrives() {
    let app = App::new(
        "import logging\nlogging.getLogger(__name__).info('while importing')\ndef init():\n    logging.getLogger(__name__).info('in init')\ndef handle(*a):\n    return 200, '', {}\n",
    );
    let importing = record::with_message("while importing").await;
    assert_eq!(importing.field("logger"), app.module);
    assert!(
        importing
            .field("place")
            .ends_with(&format!("/{}.py:2", app.module)),
        "{importing:?}"
    );
    record::with_message("in init").await;
}

#[tokio::test]
async fn no_record_reaches_the_subscriber_on_a_thread_that_runs_python() {
    let app = App::new(RUNNING);
    run(&app, "log.info('on which thread?')").await;
    let thread = if executor::are_processes() {
        "httpy-process-log"
    } else {
        "httpy-log"
    };
    assert_eq!(
        record::with_message("on which thread?").await.thread,
        thread
    );
}

#[tokio::test]
async fn a_handler_of_the_apps_own_gets_records_beside_the_bridge() {
    let app = App::new(RUNNING);
    run(
        &app,
        "import io
seen = io.StringIO()
own = logging.StreamHandler(seen)
log.addHandler(own)
log.info('to both')
assert seen.getvalue() == 'to both\\n', seen.getvalue()",
    )
    .await;
    record::with_message("to both").await;
}

#[test]
fn a_second_app_that_wants_another_log_is_told_both_values() {
    if executor::lacks(OfThreads::SharedInterpreter) {
        return;
    }
    let _app = App::new(RUNNING);
    let differs = |option: fn(Builder) -> Builder| App::try_with(RUNNING, option).unwrap_err();
    let error = differs(|builder| builder.python_logging(false));
    assert!(
        error.is_conflicting_options()
            && error
                .to_string()
                .contains("python_logging is true: asked for false"),
        "{error}"
    );
    let error = differs(|builder| builder.capture_stdout(true));
    assert!(
        error.is_conflicting_options()
            && error
                .to_string()
                .contains("capture_stdout is false: asked for true"),
        "{error}"
    );
    assert!(
        App::try_with(RUNNING, |builder| builder
            .python_logging(true)
            .capture_stdout(false))
        .is_ok()
    );
}

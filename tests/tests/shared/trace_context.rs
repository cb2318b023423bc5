//! `httpy_rs.trace_context()`: from the header, from the host, in async handlers and in threads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::body::Body;
use http::{HeaderValue, Request};
use httpy_tests::app::{App, ask, get};
use tracing::Span;

const SOURCE: &str = "
import asyncio, contextvars, threading
import httpy_rs

def shown():
    context = httpy_rs.trace_context()
    return str(context and (context.trace_id, context.span_id, context.sampled, context.traceparent))

def handle(method, path, params, query, headers, body):
    before = shown()
    httpy_rs.request()
    found = []
    thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: found.append(shown()),))
    thread.start()
    thread.join()
    assert [before, shown()] == found * 2, (before, shown(), found)
    return 200, before, {}

async def later(method, path, params, query, headers, body):
    await asyncio.get_running_loop().create_task(asyncio.sleep(0))
    return 200, shown(), {}
";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn with(lines: &[&[u8]]) -> Request<Body> {
    let mut request = get("/");
    for line in lines {
        request
            .headers_mut()
            .append("traceparent", HeaderValue::from_bytes(line).unwrap());
    }
    request
}

fn shown(span: &str, sampled: bool) -> String {
    let (python, flags) = if sampled {
        ("True", "01")
    } else {
        ("False", "00")
    };
    format!("('{TRACE}', '{span}', {python}, '00-{TRACE}-{span}-{flags}')")
}

#[tokio::test]
async fn it_is_that_of_the_header_in_threads_and_in_async_handlers_too() {
    let app = App::new(SOURCE);
    for sampled in [true, false] {
        let line = format!("00-{TRACE}-00f067aa0ba902b7-0{}", u8::from(sampled));
        for handler in ["handle", "later"] {
            let answer = ask(app.handler(handler), with(&[line.as_bytes()])).await;
            assert_eq!(
                answer.text(),
                shown("00f067aa0ba902b7", sampled),
                "{:?}",
                answer.error
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_traceparent_or_none_alone_is_none() {
    let app = App::new(SOURCE);
    let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let upper = good.to_uppercase();
    let more = format!("{good}-00");
    let all: [&[&[u8]]; 6] = [
        &[],
        &[b"00-1-2-3"],
        &[upper.as_bytes()],
        &[more.as_bytes()],
        &[good.as_bytes(), good.as_bytes()],
        &[b"00-\xff\xfe"],
    ];
    for lines in all {
        let answer = app.ask(with(lines)).await;
        assert_eq!(answer.text(), "None", "{lines:?} {:?}", answer.error);
    }
}

#[tokio::test]
async fn the_hosts_word_comes_first_and_is_asked_inside_of_the_calls_span() {
    let app = App::with(SOURCE, |builder| {
        builder.trace_context(|parts| {
            assert_eq!(
                Span::current().metadata().map(tracing::Metadata::name),
                Some("python.call")
            );
            (!parts.headers.contains_key("x-leave"))
                .then(|| format!("00-{TRACE}-b7ad6b7169203331-01"))
        })
    });
    let line = format!("00-{TRACE}-00f067aa0ba902b7-00");
    let mut request = with(&[line.as_bytes()]);
    assert_eq!(
        app.ask(with(&[line.as_bytes()])).await.text(),
        shown("b7ad6b7169203331", true)
    );
    request
        .headers_mut()
        .insert("x-leave", "1".parse().unwrap());
    assert_eq!(
        app.ask(request).await.text(),
        shown("00f067aa0ba902b7", false)
    );
}

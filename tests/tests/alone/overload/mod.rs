//! What happens when there is no room in time.

mod abandoned;
mod probe;
mod refusal;
mod shutdown;
mod wait;

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use axum::body::Body;
use http::Request;
use httpy::Error;
use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get};
use httpy_tests::executor::Options;
use httpy_tests::gate::{Gate, Held};
use httpy_tests::turn;
use tokio::task::JoinHandle;

/// `/hold` stops at the gate, everything else is served; what ran is remembered.
const HOLDING: &str = "
ran = []
def handle(method, path, params, query, headers, body):
    ran.append(path)
    if path == '/hold':
        pass_gate(query['gate'][0])
    return 200, ' '.join(ran) if path == '/ran' else 'served', {}
";

const OVERLOADED: &str = "overloaded, try again later\n";
const SHUTTING_DOWN: &str = "shutting down, try again later\n";

struct Turn {
    app: App,
    gate: Gate,
    _alone: turn::Turn,
}

impl Turn {
    async fn begin(options: impl FnOnce(Builder) -> Builder) -> Self {
        let alone = turn::take().await;
        let app = App::with(&format!("{}{HOLDING}", Gate::SOURCE), |builder| {
            options(builder.at_once(1))
        });
        Self {
            app,
            gate: Gate::new().await,
            _alone: alone,
        }
    }

    /// Keeps the only worker busy until `Held` is dropped.
    async fn hold(&self) -> (JoinHandle<Answer>, Held) {
        self.hold_by(get(&format!("/hold?gate={}", self.gate.port)))
            .await
    }

    /// The same by this request.
    async fn hold_by(&self, request: Request<Body>) -> (JoinHandle<Answer>, Held) {
        self.gate.hold(ask(self.app.service(), request)).await
    }

    /// The paths of all calls that ever ran.
    async fn ran(&self) -> String {
        self.app.ask(get("/ran")).await.text()
    }
}

/// Polls once: a call is pushed by its first poll.
async fn is_pending<F: Future + Unpin>(call: &mut F) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *call).poll(context).is_pending())).await
}

fn refused(answer: &Answer, text: &str, is_it: fn(&Error) -> bool) {
    assert_eq!((answer.status, answer.text().as_str()), (503, text));
    assert_eq!(
        (answer.header("retry-after"), answer.header("content-type")),
        ("1", "text/plain; charset=utf-8")
    );
    assert!(answer.error.as_ref().is_some_and(is_it), "{answer:?}");
}

//! Bodies that come in chunks, in both directions: each as soon as it is there, none without end, and whatever breaks off is
//! told to both sides.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod fault;
mod response;
mod timeout;
mod upload;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use httpy::{Error, PyService, ResponseBody};
use httpy_tests::app::Builder;
use httpy_tests::app::{App, ask, get};
use httpy_tests::executor::Options;
use httpy_tests::gate::Gate;
use tower::ServiceExt;

/// An app whose generators can stop at a gate, and whose `seen` tells what they saw.
struct Turn {
    app: App,
    gate: Gate,
}

impl Turn {
    async fn begin(source: &str) -> Self {
        Self::with(source, |builder| builder).await
    }

    async fn with(source: &str, options: impl FnOnce(Builder) -> Builder) -> Self {
        const SEEN: &str = "
import httpy_rs
seen = []

def tell(method, path, params, query, headers, body):
    return 200, ' '.join(seen), {}
";
        let app = App::with(&format!("{}{SEEN}{source}", Gate::SOURCE), |builder| {
            options(builder.in_one_interpreter())
        });
        Self {
            app,
            gate: Gate::new().await,
        }
    }

    fn request(&self, path: &str) -> Request<Body> {
        get(&format!("{path}?gate={}", self.gate.port))
    }

    /// The response of the app's handler, its body still to come.
    async fn call(&self, path: &str) -> Response<ResponseBody> {
        call(self.app.service(), self.request(path)).await
    }

    async fn seen(&self) -> String {
        ask(self.app.handler("tell"), get("/")).await.text()
    }

    /// Waits until the generators have seen `expected`.
    async fn wait_for(&self, expected: &str) {
        let mut seen = String::new();
        for _ in 0..20_000 {
            seen = self.seen().await;
            if seen == expected {
                return;
            }
        }
        assert_eq!(seen, expected);
    }

    fn target(&self) -> String {
        self.app.target("handle")
    }
}

async fn call(service: PyService, request: Request<Body>) -> Response<ResponseBody> {
    let Ok(response) = service.oneshot(request).await;
    response
}

/// The next chunk; none at the end.
async fn next(response: &mut Response<ResponseBody>) -> Option<Result<Bytes, Error>> {
    let frame = response.body_mut().frame().await?;
    Some(match frame {
        Ok(frame) => Ok(frame.into_data().unwrap()),
        Err(error) => Err(*error.downcast().unwrap()),
    })
}

async fn text(response: &mut Response<ResponseBody>) -> String {
    String::from_utf8(next(response).await.unwrap().unwrap().to_vec()).unwrap()
}

/// Why the body breaks off, after what has come before.
async fn fault(response: &mut Response<ResponseBody>) -> (String, Error) {
    let mut before = String::new();
    loop {
        match next(response).await.unwrap() {
            Ok(chunk) => before.push_str(str::from_utf8(&chunk).unwrap()),
            Err(error) => {
                assert!(next(response).await.is_none(), "it breaks off once");
                return (before, error);
            }
        }
    }
}

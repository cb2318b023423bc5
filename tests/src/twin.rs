//! Differential tests: what the server does beside what `httpy_rs` says in Python about the same request or reply.
//!
//! Shared by the property tests and the fuzz targets; the Python side is `tests/python/twin.py`.

use axum::body::Body;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Uri};
use httpy::PyService;
use serde_json::{Value, json};

use crate::app::{Answer, ask};

/// The folder of the Python side, for `sys.path`.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// A request whose parts are kept, to be asked more than once.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// Its header lines, values without blanks around them, as servers give them.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// The request, with a body of one piece.
    pub fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// What `_arguments` makes of this request, captures taken by the pattern `route`.
    ///
    /// # Panics
    ///
    /// When `twin` is not the function of that name.
    pub async fn arguments(&self, twin: PyService, route: &Value, wants_bytes: bool) -> Value {
        let value = |value: &http::HeaderValue| latin_1(value.as_bytes());
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, line)| (name.as_str().to_owned(), value(line)))
            .collect();
        if !self.headers.contains_key(HOST) {
            let authority = self
                .uri
                .authority()
                .map_or("", |authority| authority.as_str());
            headers.insert(
                0,
                (
                    "host".to_owned(),
                    authority.rsplit('@').next().unwrap_or_default().to_owned(),
                ),
            );
        }
        // An absolute target may have a query and no path, which then is `/`.
        let query = self
            .uri
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let target = format!("{}{query}", self.uri.path());
        let asked = json!({
            "method": self.method.as_str(),
            "target": latin_1(target.as_bytes()),
            "route": route,
            "headers": headers,
            "body": latin_1(&self.body),
            "wants_bytes": wants_bytes,
        });
        revealed(&ask(twin, Request::new(Body::from(asked.to_string()))).await)
    }
}

/// What a handler of `twin.py` was given: six arguments and the route; `null` when it was not called.
///
/// # Panics
///
/// When what it says is no JSON.
pub fn revealed(answer: &Answer) -> Value {
    answer
        .headers
        .get("x-arguments")
        .map_or(Value::Null, |text| {
            serde_json::from_slice(text.as_bytes()).expect("a handler of twin.py writes JSON")
        })
}

/// Asks `returned` with `method` and `body`, and `judged` what should come of it; the error says how they differ.
///
/// `target` is the name that `returned` goes by in messages; `judged` answers with the JSON of `judge` for what it builds
/// from `body`.
///
/// # Errors
///
/// Both sides, when they are not the same.
///
/// # Panics
///
/// When `judged` does not answer with a verdict.
pub async fn judge(
    returned: PyService,
    judged: PyService,
    target: &str,
    method: &Method,
    body: Bytes,
) -> Result<Value, String> {
    let request = Request::post("/")
        .header("x-target", target)
        .header("x-method", method.as_str());
    let request = request
        .body(Body::from(body.clone()))
        .expect("targets and methods are header values");
    let verdict = ask(judged, request).await;
    assert!(verdict.error.is_none(), "{:?}", verdict.error);
    let mut expected: Value = serde_json::from_slice(&verdict.body).expect("a verdict is JSON");
    if let Some(lines) = expected.get_mut("headers").and_then(Value::as_array_mut) {
        lines.sort_by_key(|line| line[0].to_string());
    }

    let request = Request::builder()
        .method(method)
        .uri("/")
        .body(Body::from(body));
    let answer = ask(
        returned,
        request.expect("a method and a path are a request"),
    )
    .await;
    let found = verdict_of(&answer);
    let failed = expected.get("status").is_none();
    if found != expected || (failed && answer.status != 500) {
        return Err(format!(
            "expected {expected}, found {} {found}",
            answer.status
        ));
    }
    Ok(found)
}

/// An answer in the form of `twin.py`.
fn verdict_of(answer: &Answer) -> Value {
    if let Some(error) = &answer.error {
        return match error.exception() {
            Some(exception) => json!({ "raised": exception.type_name() }),
            None if error.is_contract() => json!({ "failure": error.to_string() }),
            None => json!({ "error": error.to_string() }),
        };
    }
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), latin_1(value.as_bytes()))
    };
    let mut headers: Vec<_> = answer.headers.iter().map(line).collect();
    headers.sort_by_key(|(name, _)| Value::from(name.as_str()).to_string());
    json!({ "status": answer.status, "headers": headers, "body": latin_1(&answer.body) })
}

/// Bytes as the text of the same code points, in which JSON loses nothing.
pub fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

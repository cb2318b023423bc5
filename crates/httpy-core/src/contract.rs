//! The contract's rules for what a handler returns, and the words for each way of breaking them.
//!
//! Types are looked at by the worker, which then asks here for the message; everything that can be judged without an
//! interpreter is judged by [`Returned::check`] on the HTTP side. `tests/vectors/replies.json` holds these rules and
//! the ones of `httpy_rs.testing` together.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::{BodyKind, Content, Reply, Returned};

/// More header lines than this in one reply are a contract failure.
pub const MAX_HEADER_LINES: usize = 1024;

/// Only so many bytes of a name are quoted in a message.
const QUOTED: usize = 64;

/// Header fields that belong to one connection (RFC 9110, 7.6.1) and so to the server.
const HOP_BY_HOP: [&str; 7] =
    ["connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// A handler returned something that the contract does not allow.
///
/// Displays as what was returned and what was expected, to be put behind the target:
/// ``status 99: expected 200 to 999``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractFailure {
    rule: Rule,
    text: String,
}

/// The rule that was broken, or that set something right: the same for every text about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A tuple of three.
    Tuple,
    /// An `int` from 200 to 999.
    Status,
    /// `str` that encodes, or bytes, or `None`, or an iterator.
    Body,
    /// A `dict` or `None`.
    Headers,
    /// A token.
    HeaderName,
    /// `str`, or a list or tuple of it, in latin-1 and without control characters.
    HeaderValue,
    /// So many lines at most.
    HeaderLines,
    /// Equal to the body's length.
    ContentLength,
    /// Left to the server.
    HopByHop,
    /// None with this status.
    NoBody,
    /// A chunk of a streamed body: `str` that encodes, or bytes.
    Chunk,
    /// A streamed body as long as its `Content-Length` says.
    StreamLength,
}

/// Something that the handler returned and that was left out of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Why.
    pub rule: Rule,
    /// What, in one sentence.
    pub text: String,
}

impl fmt::Display for ContractFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ContractFailure {}

impl ContractFailure {
    fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self { rule, text: text.into() }
    }

    /// Which rule was broken.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// What the handler did with what is displayed: it returned it, or yielded it.
    pub fn verb(&self) -> &'static str {
        if matches!(self.rule, Rule::Chunk | Rule::StreamLength) { "yielded" } else { "returned" }
    }
}

/// The messages for wrong types; `types` are the names of the items' types.
impl ContractFailure {
    /// Not a tuple at all.
    pub fn not_a_tuple(found: &str) -> Self {
        Self::new(Rule::Tuple, format!("{found}: expected a tuple (status, body, headers)"))
    }

    /// The coroutine of an `async def`: from a handler that is none itself, or in place of what it gives.
    pub fn coroutine() -> Self {
        Self::new(
            Rule::Tuple,
            "a coroutine that was never awaited: expected a tuple (status, body, headers); await it in an async def",
        )
    }

    /// A tuple of another length; `types` names the first eight items at most.
    pub fn wrong_count(types: &[String], count: usize) -> Self {
        let more = if count > types.len() { ", ..." } else { "" };
        Self::new(
            Rule::Tuple,
            format!("({}{more}): expected 3 items (status, body, headers), found {count}", types.join(", ")),
        )
    }

    /// A status that is no `int`, or a `bool`.
    pub fn status_type(types: &[String], found: &str) -> Self {
        Self::new(Rule::Status, format!("({}): expected status to be an int, found {found}", types.join(", ")))
    }

    /// A status that no `i64` holds.
    pub fn status_beyond_64_bits() -> Self {
        Self::new(Rule::Status, "a status beyond 64 bits: expected 200 to 999".to_owned())
    }

    /// A body of another type.
    pub fn body_type(types: &[String], found: &str) -> Self {
        let types = types.join(", ");
        Self::new(
            Rule::Body,
            format!(
                "({types}): expected body to be str, bytes, bytearray, memoryview or None, or an iterator of str or bytes, \
                 found {found}"
            ),
        )
    }

    /// An async iterator as the body of a handler that is no `async def`.
    pub fn async_body(types: &[String], found: &str) -> Self {
        let types = types.join(", ");
        Self::new(
            Rule::Body,
            format!("({types}): expected a plain iterator as body, as the handler is no async def, found {found}"),
        )
    }

    /// A chunk of another type; chunks are counted from 1.
    pub fn chunk_type(found: &str, number: u64) -> Self {
        Self::new(Rule::Chunk, format!("{found} (chunk {number}): expected str, bytes, bytearray or memoryview"))
    }

    /// A `str` chunk with a surrogate that stands for no byte.
    pub fn chunk_text(code_point: u32, index: usize, number: u64) -> Self {
        Self::new(
            Rule::Chunk,
            format!(
                "a str with U+{code_point:04X} at index {index} (chunk {number}): expected text that encodes as UTF-8 \
                 (surrogates U+DC80 to U+DCFF stand for bytes, PEP 383)"
            ),
        )
    }

    /// A streamed body that ended before its `Content-Length`.
    pub fn stream_too_short(length: u64, bytes: u64) -> Self {
        Self::new(Rule::StreamLength, format!("{bytes} bytes in all: expected {length}, as its Content-Length says"))
    }

    /// A streamed body that goes on after its `Content-Length`.
    pub fn stream_too_long(length: u64) -> Self {
        Self::new(Rule::StreamLength, format!("more than {length} bytes: expected as many as its Content-Length says"))
    }

    /// A `str` body with a surrogate that stands for no byte.
    pub fn body_text(code_point: u32, index: usize) -> Self {
        Self::new(
            Rule::Body,
            format!(
                "a body with U+{code_point:04X} at index {index}: expected text that encodes as UTF-8 (surrogates U+DC80 to \
             U+DCFF stand for bytes, PEP 383)"
            ),
        )
    }

    /// Headers that are no `dict`.
    pub fn headers_type(types: &[String], found: &str) -> Self {
        Self::new(
            Rule::Headers,
            format!("({}): expected headers to be a dict or None, found {found}", types.join(", ")),
        )
    }

    /// A header name that is no `str`.
    pub fn header_name_type(found: &str) -> Self {
        Self::new(Rule::HeaderName, format!("a header name of type {found}: expected str"))
    }

    /// A header value of another type.
    pub fn header_value_type(name: &[u8], found: &str) -> Self {
        Self::new(
            Rule::HeaderValue,
            format!("header {} of type {found}: expected str or a list or tuple of str", Quoted(name)),
        )
    }

    /// A header value that is a list with something else than `str` in it.
    pub fn header_item_type(name: &[u8], found: &str) -> Self {
        Self::new(Rule::HeaderValue, format!("header {} with an item of type {found}: expected str", Quoted(name)))
    }

    /// A header value beyond latin-1.
    pub fn header_value_text(name: &[u8], code_point: u32, index: usize) -> Self {
        Self::new(
            Rule::HeaderValue,
            format!(
                "header {} with U+{code_point:04X} at index {index}: expected latin-1 text; encode other text first, for example \
             with urllib.parse.quote",
                Quoted(name)
            ),
        )
    }
}

/// A name as a message shows it: its UTF-8 bytes, escaped where they are not printable ASCII.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for byte in self.0.iter().take(QUOTED) {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_str(if self.0.len() > QUOTED { "...\"" } else { "\"" })
    }
}

impl Returned {
    /// Judges status, headers and body by the contract's and HTTP's rules for a reply to `method`.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, in words that name the item, what was found and what was expected.
    pub fn check(self, method: &Method) -> Result<Reply, ContractFailure> {
        let status = self.status;
        let given = Given::read(&self)?;
        let size = match &self.body {
            Content::Whole(bytes) => Some(bytes.len()),
            Content::Stream(_) => None,
        };
        let length = given.content_length(status, method, size)?;
        let Given { mut headers, mut warnings, .. } = given;

        let bodyless = forbids_body(status);
        if bodyless && size != Some(0) {
            let what = size.map_or_else(|| "an iterator as body".to_owned(), |size| format!("a body of {size} bytes"));
            let text = format!("{what} with status {} was dropped", status.as_u16());
            warnings.push(Warning { rule: Rule::NoBody, text });
        }
        if !bodyless && size.is_some_and(|size| size > 0) && !headers.contains_key(CONTENT_TYPE) {
            let default = match self.kind {
                BodyKind::Text => HeaderValue::from_static("text/plain; charset=utf-8"),
                _ => HeaderValue::from_static("application/octet-stream"),
            };
            headers.insert(CONTENT_TYPE, default);
        }
        let allows_body = allows_body(method, status);
        let number = length.as_ref().filter(|_| allows_body && size.is_none());
        let number = number.and_then(|length| length.to_str().ok()?.parse().ok());
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length);
        }
        let body = if allows_body { self.body } else { Content::Whole(Bytes::new()) };
        Ok(Reply { status, headers, body, length: number, warnings })
    }
}

/// Whether a reply with `status` to `method` has a body. Where it has none, an iterator is closed and not iterated.
pub fn allows_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !forbids_body(status)
}

fn forbids_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// A status that may be returned.
///
/// # Errors
///
/// A number outside of 200 to 999: hyper refuses 1xx from a service.
pub fn check_status(status: i64) -> Result<StatusCode, ContractFailure> {
    u16::try_from(status)
        .ok()
        .filter(|status| *status >= 200)
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| ContractFailure::new(Rule::Status, format!("status {status}: expected 200 to 999")))
}

/// The handler's header lines, sorted into what goes out and what the server decides itself.
struct Given {
    headers: HeaderMap,
    lengths: Vec<HeaderValue>,
    warnings: Vec<Warning>,
}

impl Given {
    fn read(returned: &Returned) -> Result<Self, ContractFailure> {
        let lines = returned.header_lines;
        let mut given = Self {
            headers: HeaderMap::with_capacity(returned.headers.len().min(64) + 2),
            lengths: Vec::new(),
            warnings: Vec::new(),
        };
        let mut dropped: Vec<String> = Vec::new();
        for (name, value) in returned.headers.iter() {
            let given_name = name;
            let Ok(name) = HeaderName::from_bytes(given_name) else {
                let name = Quoted(given_name);
                return Err(ContractFailure::new(
                    Rule::HeaderName,
                    format!("header name {name}: expected a token (RFC 9110, 5.6.2)"),
                ));
            };
            let value = header_value(given_name, value)?;
            if name == CONTENT_LENGTH {
                given.lengths.push(value);
            } else if HOP_BY_HOP.contains(&name.as_str()) {
                let name = String::from_utf8_lossy(given_name).into_owned();
                if !dropped.contains(&name) {
                    dropped.push(name);
                }
            } else {
                // Cannot fail below the limit, which is far under the map's own.
                let _ = given.headers.try_append(name, value);
            }
        }
        if lines > MAX_HEADER_LINES {
            return Err(ContractFailure::new(
                Rule::HeaderLines,
                format!("{lines} header lines: expected at most {MAX_HEADER_LINES}"),
            ));
        }
        if !dropped.is_empty() {
            let text = format!("hop-by-hop headers were dropped: {}", dropped.join(", "));
            given.warnings.push(Warning { rule: Rule::HopByHop, text });
        }
        Ok(given)
    }

    /// The `Content-Length` that goes out, where the handler gave one that is kept or the reply is to `HEAD`; hyper
    /// adds it everywhere else. How long a streamed `body` is, nobody knows yet.
    fn content_length(
        &self,
        status: StatusCode,
        method: &Method,
        body: Option<usize>,
    ) -> Result<Option<HeaderValue>, ContractFailure> {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
            return Ok(None);
        }
        if self.lengths.len() > 1 {
            return Err(ContractFailure::new(
                Rule::ContentLength,
                format!("{} Content-Length lines: expected at most one", self.lengths.len()),
            ));
        }
        let head = method == Method::HEAD;
        let Some(given) = self.lengths.first() else {
            return Ok(body.filter(|_| head && status != StatusCode::NOT_MODIFIED).map(HeaderValue::from));
        };
        let digits = !given.is_empty() && given.as_bytes().iter().all(u8::is_ascii_digit);
        let free = head || status == StatusCode::NOT_MODIFIED;
        // A number beyond 64 bits equals no body.
        let number = || given.to_str().ok().and_then(|digits| digits.parse::<u64>().ok());
        let right = || number().is_some_and(|number| body.is_none_or(|body| number == body as u64));
        if digits && (free || right()) {
            return Ok(Some(given.clone()));
        }
        let given = Quoted(given.as_bytes());
        let text = match body {
            Some(body) => format!("Content-Length {given} with a body of {body} bytes: expected them to be equal"),
            None => format!("Content-Length {given} with an iterator as body: expected a number of bytes"),
        };
        Err(ContractFailure::new(Rule::ContentLength, text))
    }
}

fn header_value(name: &[u8], value: &[u8]) -> Result<HeaderValue, ContractFailure> {
    HeaderValue::from_bytes(value).map_err(|_| {
        let bad = value.iter().enumerate().find(|(_, byte)| (**byte < b' ' && **byte != b'\t') || **byte == 0x7f);
        let (index, byte) = bad.map_or((0, 0), |(index, byte)| (index, *byte));
        let name = Quoted(name);
        ContractFailure::new(
            Rule::HeaderValue,
            format!("header {name} with byte \\x{byte:02x} at index {index}: expected a field value (RFC 9110, 5.5)"),
        )
    })
}

//! `ContractFailure`: what a handler returned that the contract does not allow, and the words for each way of doing so;
//! `Warning`: what was left out of a reply.

use std::fmt::{self, Write as _};

use serde::Deserialize;

/// Only so many bytes of a name are quoted in a message.
const QUOTED: usize = 64;

/// A handler returned something that the contract does not allow.
///
/// Displays as what was returned and what was expected, to be put behind the target:
/// ``status 99: expected 200 to 999``.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ContractFailure {
    rule: Rule,
    text: String,
}

/// The rule that was broken, or that set something right: the same for every text about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    pub(crate) fn new(rule: Rule, text: impl Into<String>) -> Self {
        Self {
            rule,
            text: text.into(),
        }
    }

    /// Which rule was broken.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// What the handler did with what is displayed: it returned it, or yielded it.
    pub fn verb(&self) -> &'static str {
        if matches!(self.rule, Rule::Chunk | Rule::StreamLength) {
            "yielded"
        } else {
            "returned"
        }
    }
}

/// The messages for wrong types; `types` are the names of the items' types.
impl ContractFailure {
    /// Not a tuple at all.
    pub fn not_a_tuple(found: &str) -> Self {
        Self::new(
            Rule::Tuple,
            format!("{found}: expected a tuple (status, body, headers)"),
        )
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
            format!(
                "({}{more}): expected 3 items (status, body, headers), found {count}",
                types.join(", ")
            ),
        )
    }

    /// A status that is no `int`, or a `bool`.
    pub fn status_type(types: &[String], found: &str) -> Self {
        Self::new(
            Rule::Status,
            format!(
                "({}): expected status to be an int, found {found}",
                types.join(", ")
            ),
        )
    }

    /// A status that no `i64` holds.
    pub fn status_beyond_64_bits() -> Self {
        Self::new(
            Rule::Status,
            "a status beyond 64 bits: expected 200 to 999".to_owned(),
        )
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
            format!(
                "({types}): expected a plain iterator as body, as the handler is no async def, found {found}"
            ),
        )
    }

    /// A chunk of another type; chunks are counted from 1.
    pub fn chunk_type(found: &str, number: u64) -> Self {
        Self::new(
            Rule::Chunk,
            format!("{found} (chunk {number}): expected str, bytes, bytearray or memoryview"),
        )
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
        Self::new(
            Rule::StreamLength,
            format!("{bytes} bytes in all: expected {length}, as its Content-Length says"),
        )
    }

    /// A streamed body that goes on after its `Content-Length`.
    pub fn stream_too_long(length: u64) -> Self {
        Self::new(
            Rule::StreamLength,
            format!("more than {length} bytes: expected as many as its Content-Length says"),
        )
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
            format!(
                "({}): expected headers to be a dict or None, found {found}",
                types.join(", ")
            ),
        )
    }

    /// A header name that is no `str`.
    pub fn header_name_type(found: &str) -> Self {
        Self::new(
            Rule::HeaderName,
            format!("a header name of type {found}: expected str"),
        )
    }

    /// A header value of another type.
    pub fn header_value_type(name: &[u8], found: &str) -> Self {
        Self::new(
            Rule::HeaderValue,
            format!(
                "header {} of type {found}: expected str or a list or tuple of str",
                Quoted(name)
            ),
        )
    }

    /// A header value that is a list with something else than `str` in it.
    pub fn header_item_type(name: &[u8], found: &str) -> Self {
        Self::new(
            Rule::HeaderValue,
            format!(
                "header {} with an item of type {found}: expected str",
                Quoted(name)
            ),
        )
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
pub(super) struct Quoted<'a>(pub(super) &'a [u8]);

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

//! `Described`: a handler's result that a worker cannot send as it is, as a tree that says of each part what it was.
//!
//! | word | and | |
//! |---|---|---|
//! | `int` | the number | of 64 bits at most |
//! | `bigint`, `bool`, `none`, `iterator`, `async_iterator`, `coroutine` | | the coroutine is closed |
//! | `str` | the text | |
//! | `badstr` | a code point and its index | a `str` that has no bytes, or none in latin-1 |
//! | `bytes` | the bytes | also of `bytearray` and `memoryview` |
//! | `ahead` | `t` or `b` | a `str` or bytes that went ahead in parts |
//! | `tuple` | the items, or their number where there are not three; the names of the types of the first eight | |
//! | `list` | the items | |
//! | `dict` | tuples of a key and its value | |
//! | `other` | the name of its type | |
//!
//! Where the type has another name than the word tells, that stands at the end.

use bytes::Bytes;

use super::octet::{encoded, joined, latin1, share, well_formed};
use super::{FrameError, Items, Parts, Text, Value};
use crate::view::{Integer, Latin1, Octets, Refusal, Triple, View};

/// An object as a worker describes it that cannot send it, or that has not looked at all of it.
///
/// It is a tuple of a word and what that asks for; behind that, the name of its type where that is another one than the word
/// tells.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    node: Node<'a>,
    /// The name of the type.
    type_name: Text<'a>,
    frame: &'a Bytes,
    /// The body that came before.
    ahead: &'a Bytes,
}

#[derive(Clone, Copy, Debug)]
enum Node<'a> {
    Int(i64),
    BigInt,
    Str(Text<'a>),
    BadStr {
        code_point: u32,
        index: usize,
    },
    Bytes(&'a [u8]),
    /// The body that came before.
    Ahead {
        is_text: bool,
    },
    None,
    Tuple {
        items: Nodes<'a>,
        types: Items<'a>,
    },
    List(Items<'a>),
    Dict(Items<'a>),
    Iterator,
    AsyncIterator,
    Coroutine,
    Other,
}

/// The items of a tuple, or only how many there are.
#[derive(Clone, Copy, Debug)]
enum Nodes<'a> {
    Items(Items<'a>),
    Count(usize),
}

impl<'a> Described<'a> {
    /// What `value` describes, which lies in `frame`; a body that is not in it is the one that came `ahead`.
    ///
    /// # Errors
    ///
    /// When it describes nothing.
    pub fn new(value: &Value<'a>, frame: &'a Bytes, ahead: &'a Bytes) -> Result<Self, FrameError> {
        let mut parts = Parts::of(value, 0, "a described value")?;
        let at = parts.at();
        let word = parts.str("what a described value is")?;
        let (node, name) = match word {
            "int" => match parts.value("an int")? {
                Value::Int(number) => (Node::Int(number), "int"),
                Value::BigInt => (Node::BigInt, "int"),
                other => return Err(FrameError::value(&other, at, "an int")),
            },
            "bigint" => (Node::BigInt, "int"),
            "bool" => (Node::Other, "bool"),
            "str" => (Node::Str(parts.text("the text of a str")?), "str"),
            "badstr" => {
                let code_point = parts.count("a code point")?;
                let code_point = u32::try_from(code_point)
                    .ok()
                    .filter(|code_point| *code_point <= 0x10_ffff);
                let code_point = code_point
                    .ok_or_else(|| FrameError::new("a larger number", at, "a code point"))?;
                let index = usize::try_from(parts.count("an index")?).unwrap_or(usize::MAX);
                (Node::BadStr { code_point, index }, "str")
            }
            "bytes" => match parts.value("bytes")? {
                Value::Bytes(bytes) => (Node::Bytes(bytes), "bytes"),
                other => return Err(FrameError::value(&other, at, "bytes")),
            },
            "ahead" => match parts.str("what the body was")? {
                "t" => (Node::Ahead { is_text: true }, "str"),
                "b" => (Node::Ahead { is_text: false }, "bytes"),
                other => return Err(FrameError::new(format!("{other:?}"), at, "t or b")),
            },
            "none" => (Node::None, "NoneType"),
            "tuple" => {
                let items = match parts.value("the items of a tuple")? {
                    Value::List(items) => Nodes::Items(items),
                    Value::Int(count) => Nodes::Count(usize::try_from(count).unwrap_or_default()),
                    other => {
                        return Err(FrameError::value(
                            &other,
                            at,
                            "the items of a tuple, or their number",
                        ));
                    }
                };
                let types = match parts.value("the types of a tuple's items")? {
                    Value::Tuple(types) | Value::List(types) => types,
                    other => {
                        return Err(FrameError::value(
                            &other,
                            at,
                            "the types of a tuple's items",
                        ));
                    }
                };
                (Node::Tuple { items, types }, "tuple")
            }
            "list" => (Node::List(list(&mut parts, at)?), "list"),
            "dict" => (Node::Dict(list(&mut parts, at)?), "dict"),
            "iterator" => (Node::Iterator, "iterator"),
            "async_iterator" => (Node::AsyncIterator, "async_iterator"),
            "coroutine" => (Node::Coroutine, "coroutine"),
            "other" => (Node::Other, ""),
            other => {
                return Err(FrameError::new(
                    format!("{other:?}"),
                    at,
                    "one of the words for described values",
                ));
            }
        };
        let type_name = if parts.left() > 0 || name.is_empty() {
            parts.text("the name of a type")?
        } else {
            Text::new(name.as_bytes())
        };
        parts.end()?;
        Ok(Self {
            node,
            type_name,
            frame,
            ahead,
        })
    }

    fn inner(&self, value: &Value<'a>) -> Result<Self, FrameError> {
        Self::new(value, self.frame, self.ahead)
    }

    fn error(found: &str, expected: &'static str) -> FrameError {
        FrameError::new(found, 0, expected)
    }
}

impl View for Described<'_> {
    type Error = FrameError;

    fn triple(&self) -> Result<Triple<Self>, FrameError> {
        let Node::Tuple { items, .. } = &self.node else {
            return Ok(Triple::NoTuple);
        };
        let items = match items {
            Nodes::Items(items) if items.len() == 3 => *items,
            Nodes::Items(items) => return Ok(Triple::Other(items.len())),
            Nodes::Count(3) => {
                return Err(Self::error(
                    "the number of three items",
                    "three described values",
                ));
            }
            Nodes::Count(count) => return Ok(Triple::Other(*count)),
        };
        let mut items = items.map(|item| self.inner(&item));
        let mut next = || {
            items
                .next()
                .unwrap_or_else(|| Err(Self::error("two items", "three described values")))
        };
        Ok(Triple::Three(next()?, next()?, next()?))
    }

    fn close_coroutine(&self) -> Result<bool, FrameError> {
        // The worker has closed it.
        Ok(matches!(self.node, Node::Coroutine))
    }

    fn type_name(&self) -> String {
        self.type_name.to_string_lossy().into_owned()
    }

    fn type_names(&self) -> Vec<String> {
        let Node::Tuple { types, .. } = &self.node else {
            return Vec::new();
        };
        let name = |value| match value {
            Value::Text(text) => text.to_string_lossy().into_owned(),
            _ => "<unnamed type>".to_owned(),
        };
        types.take(8).map(name).collect()
    }

    fn integer(&self) -> Result<Integer, FrameError> {
        Ok(match self.node {
            Node::Int(number) => Integer::Number(number),
            Node::BigInt => Integer::Beyond,
            _ => Integer::NoInt,
        })
    }

    fn octets(&self) -> Result<Octets, FrameError> {
        match self.node {
            Node::Str(text) => encoded(text, self.frame),
            Node::BadStr { code_point, index } => Ok(Octets::Unencodable(code_point, index)),
            Node::Bytes(bytes) => Ok(Octets::Binary(share(self.frame, bytes))),
            Node::Ahead { is_text } => Ok(joined(self.ahead, is_text)),
            _ => Ok(Octets::NoBytes),
        }
    }

    fn is_none(&self) -> bool {
        matches!(self.node, Node::None)
    }

    fn is_iterator(&self) -> Result<bool, FrameError> {
        Ok(matches!(self.node, Node::Iterator))
    }

    fn is_async_iterator(&self) -> Result<bool, FrameError> {
        Ok(matches!(self.node, Node::AsyncIterator))
    }

    fn pairs(
        &self,
    ) -> Result<Option<impl Iterator<Item = Result<(Self, Self), FrameError>>>, FrameError> {
        let (Node::Dict(entries), this) = (self.node, *self) else {
            return Ok(None);
        };
        Ok(Some(entries.map(move |entry| {
            let mut parts = Parts::of(&entry, 0, "a described key and its value")?;
            let (key, value) = (
                parts.value("a described key")?,
                parts.value("a described value")?,
            );
            parts.end()?;
            Ok((this.inner(&key)?, this.inner(&value)?))
        })))
    }

    fn items(&self) -> Result<Option<impl Iterator<Item = Result<Self, FrameError>>>, FrameError> {
        let items = match self.node {
            Node::List(items)
            | Node::Tuple {
                items: Nodes::Items(items),
                ..
            } => items,
            Node::Tuple { .. } => {
                return Err(Self::error("the number of items", "the items of a tuple"));
            }
            _ => return Ok(None),
        };
        let this = *self;
        Ok(Some(items.map(move |item| this.inner(&item))))
    }

    fn with_utf8<R>(
        &self,
        take: impl FnOnce(&[u8]) -> Result<R, Refusal<FrameError>>,
    ) -> Result<Option<R>, Refusal<FrameError>> {
        let Node::Str(text) = self.node else {
            return Ok(None);
        };
        take(well_formed(text).map_err(Refusal::Unread)?).map(Some)
    }

    fn with_latin1<R>(&self, take: impl FnOnce(&[u8]) -> R) -> Result<Latin1<R>, FrameError> {
        match self.node {
            Node::Str(text) => latin1(text, take),
            Node::BadStr { code_point, index } => Ok(Latin1::Unencodable(code_point, index)),
            _ => Ok(Latin1::NoStr),
        }
    }
}

fn list<'a>(parts: &mut Parts<'a>, at: usize) -> Result<Items<'a>, FrameError> {
    match parts.value("a list of described values")? {
        Value::List(items) => Ok(items),
        other => Err(FrameError::value(&other, at, "a list of described values")),
    }
}

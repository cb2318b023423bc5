//! `View`: what the contract looks at in the object that a handler gave, wherever that object is: in this process or in a
//! frame. The rules for reading it stand here, once.
//!
//! The types are looked at here, in the contract's order: a tuple of three, its status, its body, its headers. What can be
//! judged of plain data is judged later, by [`Returned::check`].

use bytes::Bytes;

use crate::{BodyKind, Content, ContractFailure, Fields, MAX_HEADER_LINES, Returned, check_status};

/// A Python object, as far as the contract asks about it.
///
/// Objects are told by their real types: subclasses of `str`, `int`, `tuple`, `list`, `dict`, `bytes`, `bytearray` and
/// `memoryview` count as these, read past what they override.
pub trait View: Sized {
    /// Why it could not be looked at.
    type Error;

    /// The object as a tuple.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn triple(&self) -> Result<Triple<Self>, Self::Error>;

    /// Whether it is the coroutine of an `async def`, which is closed then: nobody awaits it.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn close_coroutine(&self) -> Result<bool, Self::Error>;

    /// The name of its type.
    fn type_name(&self) -> String;

    /// The names of the types of a tuple's first eight items.
    fn type_names(&self) -> Vec<String>;

    /// The object as a whole number.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn integer(&self) -> Result<Integer, Self::Error>;

    /// The bytes of what holds them.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn octets(&self) -> Result<Octets, Self::Error>;

    /// Whether it is `None`.
    fn is_none(&self) -> bool;

    /// Whether it is to be iterated with `for`.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn is_iterator(&self) -> Result<bool, Self::Error>;

    /// Whether it is to be iterated with `async for`.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn is_async_iterator(&self) -> Result<bool, Self::Error>;

    /// The keys of a dict with their values, and at least how many: of what is not empty, one or more. None where it is no
    /// dict.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    #[expect(
        clippy::type_complexity,
        reason = "a name would need a parameter for each of its parts"
    )]
    fn pairs(
        &self,
    ) -> Result<Option<impl Iterator<Item = Result<(Self, Self), Self::Error>>>, Self::Error>;

    /// The items of a list or a tuple; none where it is neither.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn items(&self)
    -> Result<Option<impl Iterator<Item = Result<Self, Self::Error>>>, Self::Error>;

    /// Gives `take` the UTF-8 of a `str`, lone surrogates as if they were characters; none where it is no `str`.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn with_utf8<R>(
        &self,
        take: impl FnOnce(&[u8]) -> Result<R, Refusal<Self::Error>>,
    ) -> Result<Option<R>, Refusal<Self::Error>>;

    /// Gives `take` a `str` in latin-1.
    ///
    /// # Errors
    ///
    /// When it could not be looked at.
    fn with_latin1<R>(&self, take: impl FnOnce(&[u8]) -> R) -> Result<Latin1<R>, Self::Error>;
}

/// An object as a tuple.
#[derive(Debug)]
pub enum Triple<V> {
    /// Of three.
    Three(V, V, V),
    /// Of so many others.
    Other(usize),
    /// It is none.
    NoTuple,
}

/// An object as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integer {
    /// This one.
    Number(i64),
    /// One beyond 64 bits.
    Beyond,
    /// It is none, or a `bool`.
    NoInt,
}

/// An object as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Octets {
    /// Those of a `str`.
    Text(Bytes),
    /// A `str` with this character, which stands for no byte, at this index.
    Unencodable(u32, usize),
    /// Those of `bytes`, `bytearray` or `memoryview`.
    Binary(Bytes),
    /// It holds none.
    NoBytes,
}

/// An object as latin-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latin1<R> {
    /// What came of its bytes.
    Text(R),
    /// A `str` with this character, which has no byte, at this index.
    Unencodable(u32, usize),
    /// It is no `str`.
    NoStr,
}

/// Why an object gave nothing.
#[derive(Debug)]
pub enum Refusal<E> {
    /// It is not what the contract allows.
    Contract(ContractFailure),
    /// It could not be looked at.
    Unread(E),
}

impl<E> From<ContractFailure> for Refusal<E> {
    fn from(failure: ContractFailure) -> Self {
        Self::Contract(failure)
    }
}

/// What a handler gave, and the body where that is an iterator.
#[derive(Debug)]
pub struct Read<V> {
    /// All of it but an iterator's chunks.
    pub returned: Returned,
    /// The iterator.
    pub iterator: Option<V>,
}

/// Reads a handler's `result`; `on_loop` its body may be an async iterator.
///
/// # Errors
///
/// The first rule of the contract that is broken, or why the result could not be looked at.
pub fn read<V: View>(result: &V, on_loop: bool) -> Result<Read<V>, Refusal<V::Error>> {
    let (status, body, headers) = match result.triple().map_err(Refusal::Unread)? {
        Triple::Three(status, body, headers) => (status, body, headers),
        Triple::Other(count) => {
            return Err(ContractFailure::wrong_count(&result.type_names(), count).into());
        }
        Triple::NoTuple if result.close_coroutine().map_err(Refusal::Unread)? => {
            return Err(ContractFailure::coroutine().into());
        }
        Triple::NoTuple => return Err(ContractFailure::not_a_tuple(&result.type_name()).into()),
    };
    let status = match status.integer().map_err(Refusal::Unread)? {
        Integer::Number(number) => check_status(number)?,
        Integer::Beyond => return Err(ContractFailure::status_beyond_64_bits().into()),
        Integer::NoInt => {
            return Err(
                ContractFailure::status_type(&result.type_names(), &status.type_name()).into(),
            );
        }
    };
    let (whole, kind) = content(result, &body, on_loop)?;
    let Lines { fields, count } = lines(result, &headers)?;
    let returned = Returned {
        status,
        body: Content::Whole(whole),
        kind,
        headers: fields,
        header_lines: count,
    };
    Ok(Read {
        returned,
        iterator: (kind == BodyKind::Iterator).then_some(body),
    })
}

/// The bytes of `chunk`, the `number`th of its body.
///
/// # Errors
///
/// What is wrong with it, or why it could not be looked at.
pub fn read_chunk<V: View>(chunk: &V, number: u64) -> Result<Bytes, Refusal<V::Error>> {
    Err(match chunk.octets().map_err(Refusal::Unread)? {
        Octets::Text(bytes) | Octets::Binary(bytes) => return Ok(bytes),
        Octets::Unencodable(code_point, index) => {
            ContractFailure::chunk_text(code_point, index, number).into()
        }
        Octets::NoBytes => ContractFailure::chunk_type(&chunk.type_name(), number).into(),
    })
}

/// The body's bytes and kind; no bytes of an iterator.
fn content<V: View>(
    result: &V,
    body: &V,
    on_loop: bool,
) -> Result<(Bytes, BodyKind), Refusal<V::Error>> {
    match body.octets().map_err(Refusal::Unread)? {
        Octets::Text(bytes) => return Ok((bytes, BodyKind::Text)),
        Octets::Binary(bytes) => return Ok((bytes, BodyKind::Binary)),
        Octets::Unencodable(code_point, index) => {
            return Err(ContractFailure::body_text(code_point, index).into());
        }
        Octets::NoBytes => {}
    }
    if body.is_none() {
        return Ok((Bytes::new(), BodyKind::Absent));
    }
    if body.is_iterator().map_err(Refusal::Unread)? {
        return Ok((Bytes::new(), BodyKind::Iterator));
    }
    let is_async = body.is_async_iterator().map_err(Refusal::Unread)?;
    if is_async && on_loop {
        return Ok((Bytes::new(), BodyKind::Iterator));
    }
    let refuse = if is_async {
        ContractFailure::async_body
    } else {
        ContractFailure::body_type
    };
    Err(refuse(&result.type_names(), &body.type_name()).into())
}

/// Header lines: no more are kept than a reply may have, the others are only counted.
#[derive(Default)]
struct Lines {
    fields: Fields,
    count: usize,
}

fn lines<V: View>(result: &V, headers: &V) -> Result<Lines, Refusal<V::Error>> {
    if headers.is_none() {
        return Ok(Lines::default());
    }
    let Some(pairs) = headers.pairs().map_err(Refusal::Unread)? else {
        return Err(
            ContractFailure::headers_type(&result.type_names(), &headers.type_name()).into(),
        );
    };
    let least = pairs.size_hint().0.min(MAX_HEADER_LINES);
    if least == 0 {
        return Ok(Lines::default());
    }
    let mut lines = Lines {
        fields: Fields::with_capacity(least, 256),
        count: 0,
    };
    for pair in pairs {
        let (name, value) = pair.map_err(Refusal::Unread)?;
        let named = name.with_utf8(|name| entry(&mut lines, name, &value))?;
        if named.is_none() {
            return Err(ContractFailure::header_name_type(&name.type_name()).into());
        }
    }
    Ok(lines)
}

/// The lines of one name.
#[inline]
fn entry<V: View>(lines: &mut Lines, name: &[u8], value: &V) -> Result<(), Refusal<V::Error>> {
    if line(lines, name, true, value)? {
        return Ok(());
    }
    let Some(values) = value.items().map_err(Refusal::Unread)? else {
        return Err(ContractFailure::header_value_type(name, &value.type_name()).into());
    };
    let mut is_first = true;
    for value in values {
        let value = value.map_err(Refusal::Unread)?;
        if !line(lines, name, is_first, &value)? {
            return Err(ContractFailure::header_item_type(name, &value.type_name()).into());
        }
        is_first = false;
    }
    Ok(())
}

/// One line, maybe the first of its name; false where its value is no `str`.
#[inline]
fn line<V: View>(
    lines: &mut Lines,
    name: &[u8],
    is_first: bool,
    value: &V,
) -> Result<bool, Refusal<V::Error>> {
    let push = |value: &[u8]| {
        lines.count += 1;
        if lines.count > MAX_HEADER_LINES {
            return;
        }
        if is_first {
            lines.fields.push(name, value);
        } else {
            lines.fields.push_again(value);
        }
    };
    match value.with_latin1(push).map_err(Refusal::Unread)? {
        Latin1::Text(()) => Ok(true),
        Latin1::Unencodable(code_point, index) => {
            Err(ContractFailure::header_value_text(name, code_point, index).into())
        }
        Latin1::NoStr => Ok(false),
    }
}

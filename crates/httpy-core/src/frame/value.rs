//! `Value`: a value in a frame, looked at where it lies. Every size is checked before anything is taken for it, and a
//! container is walked to its end before it is handed out, without recursion and without memory.

use std::fmt;

use super::write::DIGIT_BITS;
use super::{DEPTH, FrameError, Text};

/// A value in a payload.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `None`
    None,
    /// A `bool`.
    Bool(bool),
    /// An `int` of 64 bits at most.
    Int(i64),
    /// Any other `int`.
    BigInt,
    /// A `float`.
    Float(f64),
    /// `bytes`, or what Python writes like that: a `bytearray` and others that have a buffer.
    Bytes(&'a [u8]),
    /// A `str`.
    Text(Text<'a>),
    /// A `tuple`.
    Tuple(Items<'a>),
    /// A `list`.
    List(Items<'a>),
    /// A `dict`.
    Dict(Pairs<'a>),
}

/// The items of a tuple or of a list, in order.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    cursor: Cursor<'a>,
    left: u32,
    /// So deep containers may still be nested.
    depth: usize,
}

/// The keys of a dict, each with its value, in order. Keys may repeat: they are not checked.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    cursor: Cursor<'a>,
    depth: usize,
}

/// A place in a payload.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    payload: &'a [u8],
    at: usize,
}

/// What stands at a place.
enum Token<'a> {
    Value(Value<'a>),
    Tuple(u32),
    List(u32),
    Dict,
    /// The end of a dict.
    Null,
}

/// A container that is being walked, and what comes next in it.
#[derive(Clone, Copy)]
enum Open {
    Items(u32),
    Key,
    ValueOf,
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'a> Value<'a> {
    /// The one value that a payload is.
    ///
    /// # Errors
    ///
    /// What is no value, and what is left of the payload behind it.
    pub fn read(payload: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(payload);
        let value = cursor.value(DEPTH)?;
        cursor.end()?;
        Ok(value)
    }

    /// The name of its Python type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt => "int",
            Self::Float(_) => "float",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "str",
            Self::Tuple(_) => "tuple",
            Self::List(_) => "list",
            Self::Dict(_) => "dict",
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(value) => f.write_str(if *value { "True" } else { "False" }),
            Self::Int(value) => write!(f, "{value}"),
            Self::BigInt => f.write_str("an int beyond 64 bits"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Text(text) if text.as_bytes().len() <= 32 => write!(f, "{text:?}"),
            Self::Text(text) => write!(f, "a str of {} bytes", text.as_bytes().len()),
            Self::Tuple(items) => write!(f, "a tuple of {}", items.len()),
            Self::List(items) => write!(f, "a list of {}", items.len()),
            Self::Dict(_) => f.write_str("a dict"),
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    /// The next value, which is a message.
    ///
    /// # Errors
    ///
    /// When it is none, or is the last one and is followed by something.
    pub(super) fn message(&mut self, is_last: bool) -> Result<Items<'a>, FrameError> {
        let message = Items::one(self.payload, self.at);
        self.value(DEPTH - 1)?;
        if is_last {
            self.end()?;
        }
        Ok(message)
    }

    /// The head of the list that a payload is: how many items follow.
    pub(super) fn list(&mut self) -> Result<u32, FrameError> {
        match self.token()? {
            Token::List(0) => self.end().map(|()| 0),
            Token::List(items) => Ok(items),
            _ => Err(FrameError::new("something else", 0, "a list of messages")),
        }
    }

    /// The next value, in which containers are nested so deep at most.
    pub(super) fn value(&mut self, depth: usize) -> Result<Value<'a>, FrameError> {
        let (value, open) = self.begin(depth)?;
        if let Some(open) = open {
            self.walk(open, depth)?;
        }
        Ok(value)
    }

    /// The next value, of a container only its head.
    fn begin(&mut self, depth: usize) -> Result<(Value<'a>, Option<Open>), FrameError> {
        let token = self.token()?;
        let depth = depth.saturating_sub(1);
        let cursor = *self;
        let items = |left| Items {
            cursor,
            left,
            depth,
        };
        Ok(match token {
            Token::Value(value) => (value, None),
            Token::Tuple(left) => (Value::Tuple(items(left)), Some(Open::Items(left))),
            Token::List(left) => (Value::List(items(left)), Some(Open::Items(left))),
            Token::Dict => (Value::Dict(Pairs { cursor, depth }), Some(Open::Key)),
            Token::Null => return Err(self.error("the end of a dict", self.at - 1, "a value")),
        })
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), FrameError> {
        match self.payload.len() - self.at {
            0 => Ok(()),
            rest => Err(self.error(format!("{rest} bytes"), self.at, "the end of the frame")),
        }
    }

    /// Goes to the end of the container that has just begun.
    fn walk(&mut self, first: Open, depth: usize) -> Result<(), FrameError> {
        let mut stack = [first; DEPTH];
        let mut height = 1;
        self.check_depth(height, depth)?;
        while let Some(top) = height.checked_sub(1).and_then(|top| stack.get_mut(top)) {
            if matches!(top, Open::Items(0)) {
                height -= 1;
                continue;
            }
            let at = self.at;
            let token = self.token()?;
            *top = match (*top, &token) {
                (Open::Key, Token::Null) => {
                    height -= 1;
                    continue;
                }
                (_, Token::Null) => return Err(self.error("the end of a dict", at, "a value")),
                (Open::Items(left), _) => Open::Items(left - 1),
                (Open::Key, _) => Open::ValueOf,
                (Open::ValueOf, _) => Open::Key,
            };
            let inner = match token {
                Token::Value(_) | Token::Null => continue,
                Token::Tuple(items) | Token::List(items) => Open::Items(items),
                Token::Dict => Open::Key,
            };
            height += 1;
            self.check_depth(height, depth)?;
            if let Some(place) = stack.get_mut(height - 1) {
                *place = inner;
            }
        }
        Ok(())
    }

    fn check_depth(&self, height: usize, depth: usize) -> Result<(), FrameError> {
        if height <= depth.min(DEPTH) {
            return Ok(());
        }
        Err(self.error(
            "one more container",
            self.at,
            "16 containers in each other at most",
        ))
    }

    #[inline]
    fn token(&mut self) -> Result<Token<'a>, FrameError> {
        let at = self.at;
        let [code] = self.array()?;
        Ok(match code {
            b'N' => Token::Value(Value::None),
            b'T' => Token::Value(Value::Bool(true)),
            b'F' => Token::Value(Value::Bool(false)),
            b'i' => Token::Value(Value::Int(i32::from_le_bytes(self.array()?).into())),
            b'I' => Token::Value(Value::Int(i64::from_le_bytes(self.array()?))),
            b'l' => Token::Value(self.digits(at)?),
            b'g' => Token::Value(Value::Float(f64::from_le_bytes(self.array()?))),
            b's' => Token::Value(Value::Bytes(self.sized()?)),
            b'u' | b't' => Token::Value(Value::Text(Text::new(self.sized()?))),
            b'(' => Token::Tuple(self.items()?),
            b'[' => Token::List(self.items()?),
            b'{' => Token::Dict,
            b'0' => Token::Null,
            code if code & 0x80 != 0 => {
                return Err(self.error(format!("code {code:#04x}"), at, "no references"));
            }
            b'r' => return Err(self.error("a reference", at, "no references")),
            code => {
                return Err(self.error(
                    format!("code {:?}", char::from(code)),
                    at,
                    "one of N T F i I l g s u t ( [ {",
                ));
            }
        })
    }

    /// An `int` in digits.
    fn digits(&mut self, at: usize) -> Result<Value<'a>, FrameError> {
        let signed = i32::from_le_bytes(self.array()?);
        let digits = signed.unsigned_abs() as usize;
        let bytes = self.take(digits.saturating_mul(2))?;
        let (mut number, mut fits, mut last) = (0_u128, true, 1);
        for (index, digit) in bytes.chunks_exact(2).enumerate() {
            last = u16::from_le_bytes([digit[0], digit[1]]);
            if last >= 1 << DIGIT_BITS {
                return Err(self.error(format!("{last}"), at, "digits of 15 bits"));
            }
            // Beyond 128 bits, 8 digits and a part of one, it does not fit for long.
            fits &= index < 8;
            if fits {
                number |= u128::from(last) << (DIGIT_BITS as usize * index);
            }
        }
        if last == 0 {
            return Err(self.error("a first digit of zero", at, "an int as Python writes it"));
        }
        let number = i128::try_from(number).ok().filter(|_| fits);
        let number = number.map(|number| if signed < 0 { -number } else { number });
        Ok(number
            .and_then(|number| i64::try_from(number).ok())
            .map_or(Value::BigInt, Value::Int))
    }

    fn items(&mut self) -> Result<u32, FrameError> {
        let at = self.at;
        let items = u32::from_le_bytes(self.array()?);
        // Each takes up a byte at least.
        if items as usize > self.payload.len() - self.at {
            return Err(self.error(
                format!("{items} items"),
                at,
                "no more than there are bytes left",
            ));
        }
        Ok(items)
    }

    fn sized(&mut self) -> Result<&'a [u8], FrameError> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        match self
            .payload
            .get(self.at..)
            .and_then(|rest| rest.get(..length))
        {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.error(
                format!("a length of {length}"),
                self.at,
                "no more than there are bytes left",
            )),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        match self
            .payload
            .get(self.at..)
            .and_then(|rest| rest.first_chunk())
        {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.error("the end of the frame", self.at, "more of a value")),
        }
    }

    #[cold]
    #[expect(
        clippy::unused_self,
        reason = "reads as what it is: an error at this place"
    )]
    fn error(&self, found: impl Into<String>, at: usize, expected: &'static str) -> FrameError {
        FrameError::new(found, at, expected)
    }
}

impl<'a> Items<'a> {
    /// The next value in the payload, which was walked over before, as the only item.
    pub(super) fn one(payload: &'a [u8], at: usize) -> Self {
        Self {
            cursor: Cursor { payload, at },
            left: 1,
            depth: DEPTH,
        }
    }

    /// What the items stand in, and where the next one does.
    pub(super) fn place(&self) -> (&'a [u8], usize) {
        (self.cursor.payload, self.cursor.at)
    }

    /// The code of the next item, `0` at the end of a dict. `None` at the end of a tuple or a list.
    pub(super) fn peek(&self) -> Option<u8> {
        let code = self.cursor.payload.get(self.cursor.at).copied();
        code.filter(|_| self.left > 0)
    }

    /// The next one, not walked over again.
    pub(super) fn first(mut self) -> Result<Value<'a>, FrameError> {
        let (value, _) = self.cursor.begin(self.depth)?;
        Ok(value)
    }

    /// What is inside of the container that comes next: its items, or the keys and values of a dict up to its end.
    pub(super) fn enter(self) -> Result<Self, FrameError> {
        Ok(match self.first()? {
            Value::Tuple(items) | Value::List(items) => items,
            Value::Dict(Pairs { cursor, depth }) => Self {
                cursor,
                left: u32::MAX,
                depth,
            },
            _ => Self { left: 0, ..self },
        })
    }

    /// Goes on behind that container.
    ///
    /// # Errors
    ///
    /// When `inside` is not at its end.
    pub(super) fn leave(&mut self, inside: Self) -> Result<(), FrameError> {
        self.left = self.left.saturating_sub(1);
        self.cursor = inside.cursor;
        match inside.peek() {
            None => Ok(()),
            Some(b'0') => self.cursor.token().map(drop),
            Some(_) => Err(FrameError::new(
                format!("{} more items", inside.left),
                inside.cursor.at,
                "the end of a tuple",
            )),
        }
    }
}

#[expect(
    clippy::copy_iterator,
    reason = "a place in the payload: a copy walks for itself"
)]
impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        // It was walked over before, so that this is no error.
        self.cursor.value(self.depth).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}

#[expect(
    clippy::copy_iterator,
    reason = "a place in the payload: a copy walks for itself"
)]
impl<'a> Iterator for Pairs<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = self.cursor;
        if let Token::Null = cursor.token().ok()? {
            return None;
        }
        let key = self.cursor.value(self.depth).ok()?;
        Some((key, self.cursor.value(self.depth).ok()?))
    }

    /// How many there are nobody has counted, but whether there is one can be seen.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let mut cursor = self.cursor;
        if let Ok(Token::Null) = cursor.token() {
            (0, Some(0))
        } else {
            (1, None)
        }
    }
}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}

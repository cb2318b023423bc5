//! Reads messages: a [`Deserializer`] of what comes next among the items of a container.
//!
//! | in Rust | in a frame |
//! |---|---|
//! | a struct | a tuple of its fields, a dict of them, or the next items themselves |
//! | an enum | the word of the variant and what it holds: in a tuple, or as the next items; bytes are the variant `bytes` |
//! | an `Option` | `None`, also at the end of a container, or what it holds |
//! | a `String` | a `str`, in which what is not UTF-8 is replaced |
//! | [`Unread`] | any value |
//!
//! A struct whose first field may be a tuple is never read from the next items themselves.
//!
//! What is read was walked over before, so that no length in it is wrong and it is nested no deeper than
//! [`DEPTH`](super::DEPTH). No memory is reserved for a number of items.

use std::borrow::Cow;
use std::fmt;
use std::iter::once;
use std::slice;

use serde::de::value::{BorrowedBytesDeserializer, BorrowedStrDeserializer, MapDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{FrameError, Items, Value};

/// What has this word; `None` if nothing has.
pub(crate) fn named<'a, T: Deserialize<'a>>(word: &'a str) -> Option<T> {
    let word = BorrowedStrDeserializer::<FrameError>::new(word);
    T::deserialize(word).ok()
}

/// A value that is read later.
#[derive(Clone, Copy, Debug)]
pub struct Unread<'a>(Items<'a>);

/// By this name an [`Unread`] asks for the place of the next value.
const UNREAD: &str = "httpy::Unread";

impl<'a> Unread<'a> {
    /// The one value that a payload is.
    ///
    /// # Errors
    ///
    /// What is no value, and what is left of the payload behind it.
    pub fn new(payload: &'a [u8]) -> Result<Self, FrameError> {
        Value::read(payload).map(|_| Self(Items::one(payload, 0)))
    }

    /// Reads it as what it must be; `name` stands in errors.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn read<T: Deserialize<'a>>(&self, name: &str) -> Result<T, FrameError> {
        self.0.read().map_err(|error| error.within(name))
    }

    /// As it stands there.
    pub fn value(self) -> Value<'a> {
        // It was walked over before, so that this is no error.
        self.0.first().unwrap_or(Value::None)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Unread<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;

        impl<'de> Visitor<'de> for Place {
            type Value = Unread<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in a frame")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unread<'de>, A::Error> {
                let place: Option<(usize, &[u8])> = map.next_entry()?;
                let (at, payload) = place.ok_or_else(|| A::Error::custom("a value"))?;
                Ok(Unread(Items::one(payload, at)))
            }
        }

        deserializer.deserialize_newtype_struct(UNREAD, Place)
    }
}

impl<'de> Items<'de> {
    /// Reads what comes next.
    pub(super) fn read<T: Deserialize<'de>>(mut self) -> Result<T, FrameError> {
        self.part(std::marker::PhantomData)
    }

    fn part<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, FrameError> {
        let place = *self;
        seed.deserialize(self).map_err(|error| error.at(place))
    }

    /// Gives `read` what is inside of the container that comes next, all of which it must read.
    fn inside<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FrameError>,
    ) -> Result<T, FrameError> {
        let mut inside = self.enter()?;
        let value = read(&mut inside)?;
        self.leave(inside)?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Items<'de> {
    type Error = FrameError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FrameError> {
        match self.peek() {
            Some(b'(' | b'[') => return self.inside(|items| visitor.visit_seq(Each(items, 0))),
            Some(b'{') => return self.inside(|items| visitor.visit_map(Entries(items, ""))),
            _ => {}
        }
        match self.next() {
            Some(Value::None) => visitor.visit_unit(),
            Some(Value::Bool(value)) => visitor.visit_bool(value),
            Some(Value::Int(value)) => visitor.visit_i64(value),
            Some(Value::Float(value)) => visitor.visit_f64(value),
            Some(Value::Bytes(bytes)) => visitor.visit_borrowed_bytes(bytes),
            Some(Value::Text(text)) => match text.to_string_lossy() {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            _ => Err(FrameError::invalid_type(Unexpected::Unit, &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FrameError> {
        if matches!(self.peek(), None | Some(b'N')) {
            self.next();
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FrameError> {
        match self.peek() {
            Some(b'(') => self.inside(|items| visitor.visit_seq(Fields(items, fields.iter()))),
            Some(b'{') => self.deserialize_any(visitor),
            _ => visitor.visit_seq(Fields(self, fields.iter())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FrameError> {
        match self.peek() {
            Some(b'(') => self.inside(|items| visitor.visit_enum(Word(items))),
            _ => visitor.visit_enum(Word(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FrameError> {
        if name != UNREAD {
            return visitor.visit_newtype_struct(self);
        }
        let (payload, at) = self.place();
        if self.next().is_none() {
            return Err(FrameError::custom("a value"));
        }
        let place = (at, BorrowedBytesDeserializer::new(payload));
        visitor.visit_map(MapDeserializer::new(once(place)))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FrameError> {
        self.next();
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

/// Items without names, and how many of them were read.
struct Each<'r, 'de>(&'r mut Items<'de>, usize);

impl<'de> SeqAccess<'de> for Each<'_, 'de> {
    type Error = FrameError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FrameError> {
        let Self(items, index) = self;
        if items.peek().is_none() {
            return Ok(None);
        }
        let item = items.part(seed);
        *index += 1;
        item.map(Some)
            .map_err(|error| error.within(&(*index - 1).to_string()))
    }
}

/// Items that are the fields of a struct.
struct Fields<'r, 'de>(&'r mut Items<'de>, slice::Iter<'static, &'static str>);

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = FrameError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FrameError> {
        let Self(items, names) = self;
        let Some(name) = names.next() else {
            return Ok(None);
        };
        items
            .part(seed)
            .map(Some)
            .map_err(|error| error.within(name))
    }
}

/// Keys and values of a dict, and the key that was read last.
struct Entries<'r, 'de>(&'r mut Items<'de>, &'de str);

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = FrameError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, FrameError> {
        let Self(items, key) = self;
        if items.peek() == Some(b'0') {
            return Ok(None);
        }
        let mut place = **items;
        if let Some(Value::Text(text)) = place.next() {
            *key = text.to_str().unwrap_or_default();
        }
        items.part(seed).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, FrameError> {
        let Self(items, key) = self;
        items.part(seed).map_err(|error| error.within(key))
    }
}

/// The word of a variant, and behind it what belongs to the variant.
struct Word<'r, 'de>(&'r mut Items<'de>);

impl<'r, 'de> EnumAccess<'de> for Word<'r, 'de> {
    type Error = FrameError;
    type Variant = Variant<'r, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Variant<'r, 'de>), FrameError> {
        let Self(items) = self;
        let word = *items;
        let variant = match items.peek() {
            Some(b's') => seed.deserialize(BorrowedStrDeserializer::new("bytes")),
            Some(b'u' | b't') => seed.deserialize(&mut *items),
            _ => Err(FrameError::custom("a word")),
        };
        let variant = variant.map_err(|error: FrameError| error.at(word))?;
        Ok((variant, Variant { items, word }))
    }
}

struct Variant<'r, 'de> {
    items: &'r mut Items<'de>,
    /// Where its word stands.
    word: Items<'de>,
}

impl Variant<'_, '_> {
    fn within(mut word: Items<'_>, error: FrameError) -> FrameError {
        match word.next() {
            Some(Value::Text(word)) => error.within(&word.to_string_lossy()),
            _ => error,
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = FrameError;

    fn unit_variant(self) -> Result<(), FrameError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, FrameError> {
        let Self { items, word } = self;
        items.part(seed).map_err(|error| Self::within(word, error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, FrameError> {
        let Self { items, word } = self;
        visitor
            .visit_seq(Each(items, 0))
            .map_err(|error| Self::within(word, error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FrameError> {
        let Self { items, word } = self;
        visitor
            .visit_seq(Fields(items, fields.iter()))
            .map_err(|error| Self::within(word, error))
    }
}

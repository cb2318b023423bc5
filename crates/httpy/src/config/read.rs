//! How options are read from data, so that an error says what to write: `expected a duration such as "30s"`.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A duration as text: `"30s"`, `"1m 30s"`, `"200ms"`.
pub(crate) mod duration {
    use super::{Deserialize as _, Duration, Text};

    pub(crate) fn serialize<S>(value: &Duration, to: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        to.collect_str(&humantime::format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D>(from: D) -> Result<Duration, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        Text::deserialize(from).map(|text| text.0)
    }
}

/// A duration as text, or nothing.
pub(crate) mod optional_duration {
    use super::{Deserialize as _, Duration, Text};

    #[expect(clippy::ref_option, reason = "serde asks for it")]
    pub(crate) fn serialize<S>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        match value {
            Some(value) => super::duration::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D>(from: D) -> Result<Option<Duration>, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        Ok(Option::<Text>::deserialize(from)?.map(|text| text.0))
    }
}

/// A whole number of things or bytes.
pub(crate) fn number<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    Number::deserialize(from).map(|number| number.0)
}

/// A whole number, or nothing.
pub(crate) fn optional_number<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    Ok(Option::<Number<T>>::deserialize(from)?.map(|number| number.0))
}

struct Text(Duration);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a duration such as "30s", "1m 30s" or "200ms""#)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                let parsed = humantime::parse_duration(text).map(Text);
                parsed.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        from.deserialize_str(Reader)
    }
}

struct Number<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<T: TryFrom<u64>> Visitor<'_> for Reader<T> {
            type Value = Number<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number such as 1024")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number<T>, E> {
                let fits = T::try_from(number).map(Number);
                fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<T>, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
        }

        from.deserialize_u64(Reader(PhantomData))
    }
}

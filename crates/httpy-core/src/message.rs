//! `Message`: what goes either way through an open WebSocket, and its form in the two byte streams of the socket's call.
//!
//! To everything between the server and the application, an open socket is a call whose request and reply are streams: credit,
//! cancellation, deadlines and ends are theirs. Each message is a byte that tells its kind, the length of its payload in four
//! bytes (the highest first), and the payload. A stream may be cut anywhere. `httpy_rs._interface.message_stream` is the same in
//! Python; both are tested with `tests/vectors/messages.json`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// One message of a WebSocket (RFC 6455).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, encoded as UTF-8; whoever reads it checks that.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
    /// The end: a code, and a reason as UTF-8. Nothing follows.
    Close(u16, Bytes),
}

/// A kind that there is not: the stream is not one of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMessage(pub u8);

/// The length of what stands before a payload.
const HEAD: usize = 5;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

impl Message {
    /// Its form in a stream. A payload that has no length in four bytes is cut, which the limits of a server rule out.
    pub fn encode(&self) -> Bytes {
        let (kind, code, payload) = match self {
            Self::Text(text) => (TEXT, None, text),
            Self::Binary(bytes) => (BINARY, None, bytes),
            Self::Close(code, reason) => (CLOSE, Some(*code), reason),
        };
        let before = code.map_or(0, |_| 2);
        let length = u32::try_from(payload.len() + before).unwrap_or(u32::MAX);
        let mut encoded = BytesMut::with_capacity(HEAD + payload.len() + before);
        encoded.put_u8(kind);
        encoded.put_u32(length);
        if let Some(code) = code {
            encoded.put_u16(code);
        }
        encoded.put_slice(payload);
        encoded.freeze()
    }

    fn decode(kind: u8, mut payload: Bytes) -> Result<Self, NotAMessage> {
        match kind {
            TEXT => Ok(Self::Text(payload)),
            BINARY => Ok(Self::Binary(payload)),
            CLOSE if payload.len() >= 2 => {
                let code = payload.get_u16();
                Ok(Self::Close(code, payload))
            }
            other => Err(NotAMessage(other)),
        }
    }
}

/// Takes messages out of the chunks of a stream.
///
/// ```
/// use httpy_core::{Message, Messages};
///
/// let message = Message::Text("hello".into());
/// let mut stream = message.encode();
/// let mut messages = Messages::default();
/// messages.feed(stream.split_to(3));
/// assert_eq!(messages.take(), Ok(None));
/// messages.feed(stream);
/// assert_eq!(messages.take(), Ok(Some(message)));
/// ```
#[derive(Debug, Default)]
pub struct Messages {
    /// What came and was not taken. Of one chunk nothing is copied.
    whole: Bytes,
    /// The same, while a message is in several chunks; `whole` is empty then.
    joined: BytesMut,
}

impl Messages {
    /// Appends a chunk of the stream.
    pub fn feed(&mut self, chunk: Bytes) {
        if self.joined.is_empty() && self.whole.is_empty() {
            self.whole = chunk;
            return;
        }
        if !self.whole.is_empty() {
            self.joined.extend_from_slice(&self.whole);
            self.whole = Bytes::new();
        }
        self.joined.extend_from_slice(&chunk);
    }

    /// The next message; `None` until all of it has come.
    ///
    /// # Errors
    ///
    /// [`NotAMessage`], again and again.
    pub fn take(&mut self) -> Result<Option<Message>, NotAMessage> {
        let came: &[u8] = if self.whole.is_empty() {
            &self.joined
        } else {
            &self.whole
        };
        let Some((mut head, rest)) = came.split_at_checked(HEAD) else {
            return Ok(None);
        };
        let (kind, length) = (head.get_u8(), head.get_u32() as usize);
        if ![TEXT, BINARY, CLOSE].contains(&kind) {
            return Err(NotAMessage(kind));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let mut encoded = if self.whole.is_empty() {
            let encoded = self.joined.split_to(HEAD + length).freeze();
            if self.joined.is_empty() {
                // Else an idle socket keeps the room of its longest message.
                self.joined = BytesMut::new();
            }
            encoded
        } else {
            self.whole.split_to(HEAD + length)
        };
        encoded.advance(HEAD);
        Message::decode(kind, encoded).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages() -> impl Strategy<Value = Vec<Message>> {
        let payload = || proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let message = prop_oneof![
            payload().prop_map(Message::Text),
            payload().prop_map(Message::Binary),
            (any::<u16>(), payload()).prop_map(|(code, reason)| Message::Close(code, reason)),
        ];
        proptest::collection::vec(message, 0..10)
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_wherever_the_stream_is_cut(
            given in messages(), cuts in proptest::collection::vec(1..400_usize, 1..20),
        ) {
            let stream: Vec<u8> = given.iter().flat_map(Message::encode).collect();
            let mut stream = Bytes::from(stream);
            let (mut taken, mut messages) = (Vec::new(), Messages::default());
            for cut in cuts.iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                messages.feed(stream.split_to((*cut).min(stream.len())));
                while let Some(message) = messages.take().unwrap() {
                    taken.push(message);
                }
            }
            prop_assert_eq!(taken, given);
        }
    }

    #[test]
    fn what_is_no_message_is_refused_before_its_payload_comes() {
        for stream in [
            &b"\x00\xff\xff\xff\xff"[..],
            b"\x09\0\0\0\0",
            b"\x08\0\0\0\x01x",
        ] {
            let mut messages = Messages::default();
            messages.feed(Bytes::from_static(stream));
            assert_eq!(messages.take(), Err(NotAMessage(stream[0])));
        }
    }

    #[test]
    fn the_form_is_that_of_the_vectors() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/messages.json"
        );
        let vectors = std::fs::read_to_string(path).unwrap();
        let vectors: Vec<(String, String, String)> = serde_json::from_str(&vectors).unwrap();
        for (kind, payload, hex) in vectors {
            let message = match kind.split_once(' ') {
                Some((_, code)) => Message::Close(code.parse().unwrap(), payload.into()),
                None if kind == "text" => Message::Text(payload.into()),
                None => Message::Binary(payload.into()),
            };
            let encoded = message.encode();
            let bytes = hex
                .as_bytes()
                .chunks(2)
                .map(|two| std::str::from_utf8(two).unwrap());
            let expected: Vec<u8> = bytes
                .map(|two| u8::from_str_radix(two, 16).unwrap())
                .collect();
            assert_eq!(encoded, expected);
            let mut messages = Messages::default();
            messages.feed(encoded);
            assert_eq!(messages.take(), Ok(Some(message)));
        }
    }
}

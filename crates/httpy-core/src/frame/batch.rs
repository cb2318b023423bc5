//! `Batch`: messages on their way into one write, in as few frames as the limit allows.

use std::fmt;

use super::{FRAME_LIMIT, Writer};

/// A frame takes no more messages once it is so long: 1 MiB.
const ENOUGH: usize = 1024 * 1024;

/// The length of the payload, and the head of the list in it.
const HEAD: usize = 4 + 5;

/// The most that one message may take up.
const MOST: usize = FRAME_LIMIT - ENOUGH - HEAD;

/// Frames for one write. One frame takes all messages, unless that becomes too long.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// The frame that takes messages.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    start: usize,
    messages: u32,
}

/// A message that no frame has room for. Nothing of it is in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// How many bytes it takes up.
    pub bytes: usize,
}

impl Batch {
    /// An empty one; allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            open: None,
        }
    }

    /// Adds the message that `write` writes: one value.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when it takes up more than 15 MiB.
    pub fn add(&mut self, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), TooLong> {
        let Open { start, messages } = self.open.take().unwrap_or_else(|| {
            let start = self.bytes.len();
            self.bytes
                .extend_from_slice(&[0, 0, 0, 0, b'[', 0, 0, 0, 0]);
            Open { start, messages: 0 }
        });
        let before = self.bytes.len();
        write(&mut Writer::new(&mut self.bytes));
        let bytes = self.bytes.len() - before;
        let fits = bytes <= MOST;
        let messages = if fits { messages + 1 } else { messages };
        if !fits {
            self.bytes
                .truncate(if messages == 0 { start } else { before });
        }
        if messages > 0 {
            self.seal(start, messages);
            if self.bytes.len() - start < ENOUGH {
                self.open = Some(Open { start, messages });
            }
        }
        if fits { Ok(()) } else { Err(TooLong { bytes }) }
    }

    /// The frames, whole ones at any time.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets all messages, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.open = None;
    }

    /// Takes the frames out.
    pub fn take(&mut self) -> Vec<u8> {
        self.open = None;
        std::mem::take(&mut self.bytes)
    }

    fn seal(&mut self, start: usize, messages: u32) {
        let length = u32::try_from(self.bytes.len() - start - 4).unwrap_or(u32::MAX);
        let places = self.bytes[start..].first_chunk_mut::<HEAD>();
        if let Some([payload @ .., b'[', items_0, items_1, items_2, items_3]) = places {
            *payload = length.to_le_bytes();
            [*items_0, *items_1, *items_2, *items_3] = messages.to_le_bytes();
        }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a message of {} bytes: expected {MOST} at most",
            self.bytes
        )
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_share_a_frame_until_it_is_long_enough() {
        let mut batch = Batch::new();
        assert!(batch.is_empty() && batch.as_bytes().is_empty());
        for number in 0..2 {
            batch.add(|writer| writer.int(number)).unwrap();
        }
        assert_eq!(
            batch.as_bytes(),
            b"\x0f\0\0\0[\x02\0\0\0i\0\0\0\0i\x01\0\0\0"
        );
        batch.clear();
        for _ in 0..2 {
            batch.add(|writer| writer.bytes(&vec![0; ENOUGH])).unwrap();
        }
        let one = HEAD + 5 + ENOUGH;
        assert_eq!(batch.as_bytes().len(), 2 * one);
        for start in [0, one] {
            assert_eq!(
                batch.as_bytes()[start..][..4],
                u32::try_from(one - 4).unwrap().to_le_bytes()
            );
        }
        assert!(batch.take().len() == 2 * one && batch.is_empty());
    }

    #[test]
    fn a_message_that_no_frame_holds_is_refused_and_leaves_no_trace() {
        let mut batch = Batch::new();
        let long = |writer: &mut Writer<'_>| writer.bytes(&vec![0; MOST]);
        let refused = Err(TooLong { bytes: MOST + 5 });
        assert_eq!(batch.add(long), refused);
        assert!(batch.is_empty());
        batch.add(|writer| writer.bool(true)).unwrap();
        assert_eq!(batch.add(long), refused);
        assert_eq!(batch.add(|writer| writer.bytes(&vec![0; MOST - 5])), Ok(()));
        let length = batch.as_bytes().len();
        assert_eq!(length, HEAD + 1 + MOST);
        assert_eq!(
            batch.as_bytes()[..9],
            [
                &u32::try_from(length - 4).unwrap().to_le_bytes()[..],
                b"[\x02\0\0\0"
            ]
            .concat()
        );
    }
}

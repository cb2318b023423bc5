//! `stream()`: a bounded way for chunks of a body from one side of the border to the other, in either direction.
//!
//! Both ends are polled: a task awaits, a thread parks, an event loop has a waker of its own, and none of them needs the
//! others' runtime. What lies between the ends is bounded by bytes. Neither end keeps the other waiting when it goes: a
//! reader that is dropped is told to the writer, a writer that is dropped without [`Writer::end`] to the reader.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::wake::wake;

/// The least that a chunk counts for, in bytes: a stream of many short ones is bounded as well.
const LEAST: usize = 64;

/// A stream that holds at most `limit` bytes, or one chunk where that is larger. Each chunk counts for 64 bytes at least. `E` is
/// why it may end before its end.
pub fn stream<E>(limit: usize) -> (Writer<E>, Reader<E>) {
    let state = State {
        chunks: VecDeque::new(),
        bytes: 0,
        limit,
        end: None,
        reader_gone: false,
        reading: None,
        writing: None,
    };
    let shared = Arc::new(Mutex::new(state));
    (
        Writer {
            shared: Arc::clone(&shared),
        },
        Reader { shared },
    )
}

/// Where chunks go in.
pub struct Writer<E> {
    shared: Arc<Mutex<State<E>>>,
}

/// Where chunks come out, in order.
pub struct Reader<E> {
    shared: Arc<Mutex<State<E>>>,
}

/// The reader has gone: no more chunks are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Why a stream ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken<E> {
    /// The writer said why.
    Failed(E),
    /// The writer went away without a word.
    Dropped,
}

struct State<E> {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    limit: usize,
    end: Option<Result<(), Broken<E>>>,
    reader_gone: bool,
    /// The reader, while it waits for a chunk.
    reading: Option<Waker>,
    /// The writer, while it waits for room or for the reader's end.
    writing: Option<Waker>,
}

impl<E> Writer<E> {
    /// Ready when there is room for a chunk.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the reader was dropped.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut state = lock(&self.shared);
        if state.reader_gone {
            return Poll::Ready(Err(Gone));
        }
        if state.bytes < state.limit || state.chunks.is_empty() {
            return Poll::Ready(Ok(()));
        }
        wait(&mut state.writing, context);
        Poll::Pending
    }

    /// Ready when the reader was dropped; the task is woken then.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.shared);
        if state.reader_gone {
            return Poll::Ready(());
        }
        wait(&mut state.writing, context);
        Poll::Pending
    }

    /// Puts a chunk in, also if there is no room: a writer that was not [ready](Self::poll_ready) before each one exceeds the
    /// limit. An empty chunk is ignored. Returns true if there is room for another one.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the reader was dropped.
    pub fn write(&mut self, chunk: Bytes) -> Result<bool, Gone> {
        let mut state = lock(&self.shared);
        if state.reader_gone {
            return Err(Gone);
        }
        if chunk.is_empty() {
            return Ok(state.bytes < state.limit);
        }
        state.bytes += weight(&chunk);
        state.chunks.push_back(chunk);
        let (room, waiting) = (state.bytes < state.limit, state.reading.take());
        drop(state);
        wake(waiting);
        Ok(room)
    }

    /// The stream is complete.
    pub fn end(self) {
        self.finish(Ok(()));
    }

    /// The stream is not complete and never will be. The chunks before that still come out.
    pub fn fail(self, error: E) {
        self.finish(Err(Broken::Failed(error)));
    }

    /// Whether the reader was dropped.
    pub fn is_gone(&self) -> bool {
        lock(&self.shared).reader_gone
    }

    fn finish(&self, end: Result<(), Broken<E>>) {
        let mut state = lock(&self.shared);
        let waiting = if state.end.is_none() {
            state.end = Some(end);
            state.reading.take()
        } else {
            None
        };
        drop(state);
        wake(waiting);
    }
}

impl<E> Drop for Writer<E> {
    fn drop(&mut self) {
        self.finish(Err(Broken::Dropped));
    }
}

impl<E> Reader<E> {
    /// The next chunk, never an empty one. `None` if the stream is complete.
    ///
    /// # Errors
    ///
    /// [`Broken`], once, after the chunks that came before.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken<E>>>> {
        let mut state = lock(&self.shared);
        if let Some(chunk) = state.chunks.pop_front() {
            state.bytes -= weight(&chunk);
            // Not at each chunk: a writer that fills the stream is woken once for half of it.
            let room = state.bytes <= state.limit / 2;
            let waiting = if room { state.writing.take() } else { None };
            drop(state);
            wake(waiting);
            return Poll::Ready(Some(Ok(chunk)));
        }
        match state.end.take() {
            None => {
                wait(&mut state.reading, context);
                Poll::Pending
            }
            Some(end) => {
                state.end = Some(Ok(()));
                Poll::Ready(end.err().map(Err))
            }
        }
    }

    /// Puts a chunk that came out back in front of all others, also where there is no room. An empty one is none.
    pub fn put_back(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let mut state = lock(&self.shared);
        state.bytes += weight(&chunk);
        state.chunks.push_front(chunk);
    }

    /// Whether the stream is complete and nothing is left to come out.
    pub fn is_end(&self) -> bool {
        let state = lock(&self.shared);
        state.chunks.is_empty() && matches!(state.end, Some(Ok(())))
    }
}

impl<E> Drop for Reader<E> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        state.reader_gone = true;
        let (chunks, waiting) = (std::mem::take(&mut state.chunks), state.writing.take());
        drop(state);
        drop(chunks);
        wake(waiting);
    }
}

/// How many bytes a chunk counts for.
pub fn weight(chunk: &Bytes) -> usize {
    chunk.len().max(LEAST)
}

fn wait(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}

fn lock<E>(shared: &Mutex<State<E>>) -> MutexGuard<'_, State<E>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E> fmt::Debug for Writer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("bytes", &lock(&self.shared).bytes)
            .finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for Reader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("bytes", &lock(&self.shared).bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wake::tests::{Count, waker, woken};

    /// Both ends of a stream of four short chunks, and how often somebody was woken.
    fn begin() -> (
        Writer<&'static str>,
        Reader<&'static str>,
        Arc<Count>,
        Waker,
    ) {
        let (writer, reader) = stream(4 * LEAST);
        let (count, waker) = waker();
        (writer, reader, count, waker)
    }

    #[test]
    fn chunks_come_out_in_order_and_then_the_end() {
        let (mut writer, mut reader, count, waker) = begin();
        let mut context = Context::from_waker(&waker);
        assert!(reader.poll_next(&mut context).is_pending());
        assert_eq!(writer.write(Bytes::from_static(b"a")), Ok(true));
        assert_eq!(woken(&count), 1);
        assert_eq!(writer.write(Bytes::new()), Ok(true));
        assert_eq!(writer.write(Bytes::from_static(b"b")), Ok(true));
        writer.end();
        assert!(!reader.is_end());
        for chunk in ["a", "b"] {
            assert_eq!(
                reader.poll_next(&mut context),
                Poll::Ready(Some(Ok(chunk.into())))
            );
        }
        assert!(reader.is_end());
        assert_eq!(reader.poll_next(&mut context), Poll::Ready(None));
        assert_eq!(reader.poll_next(&mut context), Poll::Ready(None));
    }

    #[test]
    fn a_full_stream_has_room_again_when_half_of_it_is_read() {
        let (mut writer, mut reader, count, waker) = begin();
        let mut context = Context::from_waker(&waker);
        for chunk in ["a", "b", "c"] {
            assert_eq!(writer.write(chunk.into()), Ok(true));
        }
        assert_eq!(writer.write("d".into()), Ok(false));
        assert!(writer.poll_ready(&mut context).is_pending());
        drop(reader.poll_next(&mut context));
        assert_eq!(woken(&count), 0);
        drop(reader.poll_next(&mut context));
        assert_eq!(woken(&count), 1);
        assert_eq!(writer.poll_ready(&mut context), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_chunk_that_is_put_back_comes_out_again_first() {
        let (mut writer, mut reader, _, waker) = begin();
        let mut context = Context::from_waker(&waker);
        for chunk in ["a", "b"] {
            writer.write(chunk.into()).unwrap();
        }
        writer.end();
        assert_eq!(
            reader.poll_next(&mut context),
            Poll::Ready(Some(Ok("a".into())))
        );
        reader.put_back("a".into());
        reader.put_back(Bytes::new());
        for chunk in ["a", "b"] {
            assert_eq!(
                reader.poll_next(&mut context),
                Poll::Ready(Some(Ok(chunk.into())))
            );
        }
        assert_eq!(reader.poll_next(&mut context), Poll::Ready(None));
    }

    #[test]
    fn one_chunk_beyond_the_limit_passes() {
        let (mut writer, mut reader, _, waker) = begin();
        let mut context = Context::from_waker(&waker);
        assert_eq!(writer.poll_ready(&mut context), Poll::Ready(Ok(())));
        let long = Bytes::from(vec![0; 5 * LEAST]);
        assert_eq!(writer.write(long.clone()), Ok(false));
        assert!(writer.poll_ready(&mut context).is_pending());
        assert_eq!(reader.poll_next(&mut context), Poll::Ready(Some(Ok(long))));
        assert_eq!(writer.poll_ready(&mut context), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_writer_that_fails_or_vanishes_is_told_once_after_its_chunks() {
        for (fails, broken) in [(true, Broken::Failed("why")), (false, Broken::Dropped)] {
            let (mut writer, mut reader, count, waker) = begin();
            let mut context = Context::from_waker(&waker);
            assert!(reader.poll_next(&mut context).is_pending());
            writer.write("a".into()).unwrap();
            woken(&count);
            drop(reader.poll_next(&mut context));
            assert!(reader.poll_next(&mut context).is_pending());
            if fails {
                writer.fail("why");
            } else {
                drop(writer);
            }
            assert_eq!(woken(&count), 1);
            assert_eq!(
                reader.poll_next(&mut context),
                Poll::Ready(Some(Err(broken)))
            );
            assert_eq!(reader.poll_next(&mut context), Poll::Ready(None));
        }
    }

    #[test]
    fn a_reader_that_goes_wakes_the_writer_and_frees_the_chunks() {
        let (mut writer, reader, count, waker) = begin();
        let mut context = Context::from_waker(&waker);
        let chunk = Bytes::from(vec![0; 8]);
        writer.write(chunk.clone()).unwrap();
        assert!(writer.poll_gone(&mut context).is_pending() && !writer.is_gone());
        drop(reader);
        assert_eq!(woken(&count), 1);
        assert!(chunk.is_unique());
        assert_eq!(writer.poll_gone(&mut context), Poll::Ready(()));
        assert_eq!(writer.poll_ready(&mut context), Poll::Ready(Err(Gone)));
        assert_eq!(writer.write(chunk), Err(Gone));
        assert!(writer.is_gone());
    }
}

//! `Ring`: the last calls of a kind, in memory that does not grow; `RecordedCall`: one of them, as plain data.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::seconds;
use crate::ended::{CallEnded, Ending, Times};

/// Number of calls kept.
const PLACES: usize = 50;
/// Maximum size of texts in bytes: some come from clients and from Python.
const LONGEST_TEXT: usize = 400;

/// A failed or slow call that has ended. Equal failed calls are one record.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::Request;
/// use httpy::Ending;
/// use tower::ServiceExt;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let fail = engine.handler("shop:fail")?;
/// for _ in 0..2 {
///     fail.clone().oneshot(Request::get("/").body(String::new())?).await?;
/// }
/// let failed = &engine.snapshot().failed[0];
/// assert_eq!((failed.times, failed.status, failed.ending), (2, 500, Ending::Exception));
/// assert_eq!(failed.message.as_deref(), Some("shop:fail raised ValueError: no such item"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecordedCall {
    /// When it ended; the last one, where there were several.
    #[serde(serialize_with = "seconds::since_1970")]
    pub time: SystemTime,
    /// How many there were that differ in nothing but their time.
    pub times: u64,
    /// The handler's target.
    pub target: String,
    /// The pattern of its route.
    pub route: Option<String>,
    /// Its method.
    pub method: Option<String>,
    /// What the client was answered.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// How long it waited for a worker.
    #[serde(serialize_with = "seconds::of")]
    pub queue: Duration,
    /// How long its worker waited for the interpreter.
    #[serde(serialize_with = "seconds::of")]
    pub attach: Duration,
    /// How long it took to build its arguments and to read its result.
    #[serde(serialize_with = "seconds::of")]
    pub convert: Duration,
    /// How long its handler took.
    #[serde(serialize_with = "seconds::of")]
    pub run: Duration,
    /// How long it took from its push into the queue to its answer. Durations are zero where they are not known.
    #[serde(serialize_with = "seconds::of")]
    pub total: Duration,
    /// What went wrong, the first line of it; at most 400 bytes.
    pub message: Option<String>,
}

/// The last calls. A place that is used again keeps its memory.
#[derive(Debug)]
pub(super) struct Ring {
    places: Vec<RecordedCall>,
    /// Equal ones share a place: a flood of one failure does not wash away the others.
    merges: bool,
}

impl Ring {
    pub(super) const fn new(merges: bool) -> Self {
        Self {
            places: Vec::new(),
            merges,
        }
    }

    pub(super) fn add(&mut self, ended: &CallEnded<'_>, now: SystemTime) {
        let same = if self.merges {
            self.places.iter_mut().find(|place| place.is_like(ended))
        } else {
            None
        };
        if let Some(place) = same {
            (place.time, place.times) = (now, place.times + 1);
            place.set_times(ended.times);
        } else if self.places.len() < PLACES {
            let mut place = RecordedCall::empty(now);
            place.set(ended, now);
            self.places.push(place);
        } else if let Some(oldest) = self.places.iter_mut().min_by_key(|place| place.time) {
            oldest.set(ended, now);
        }
    }

    /// All of them, the last one first.
    pub(super) fn calls(&self) -> Vec<RecordedCall> {
        let mut calls = self.places.clone();
        calls.sort_by_key(|call| std::cmp::Reverse(call.time));
        calls
    }
}

impl RecordedCall {
    const fn empty(time: SystemTime) -> Self {
        Self {
            time,
            times: 0,
            target: String::new(),
            route: None,
            method: None,
            status: 0,
            ending: Ending::Ok,
            queue: Duration::ZERO,
            attach: Duration::ZERO,
            convert: Duration::ZERO,
            run: Duration::ZERO,
            total: Duration::ZERO,
            message: None,
        }
    }

    fn set(&mut self, ended: &CallEnded<'_>, now: SystemTime) {
        (self.time, self.times) = (now, 1);
        (self.status, self.ending) = (ended.status().unwrap_or_default(), ended.ending());
        replace(&mut self.target, shortened(ended.target));
        replace_option(&mut self.route, ended.route().map(shortened));
        replace_option(&mut self.method, Some(method(ended)));
        replace_option(&mut self.message, message(ended));
        self.set_times(ended.times);
    }

    fn set_times(&mut self, times: Option<Times>) {
        let (parts, total) =
            times.map_or_else(Default::default, |times| (times.parts, times.total));
        (self.queue, self.attach, self.total) = (parts.queue, parts.attach, total);
        self.convert = parts.convert.unwrap_or_default();
        self.run = parts.run.unwrap_or_default();
    }

    fn is_like(&self, ended: &CallEnded<'_>) -> bool {
        self.ending == ended.ending()
            && Some(self.status) == ended.status()
            && self.message.as_deref() == message(ended)
            && self.route.as_deref() == ended.route().map(shortened)
            && self.method.as_deref() == Some(method(ended))
            && self.target == shortened(ended.target)
    }
}

fn method<'a>(ended: &CallEnded<'a>) -> &'a str {
    shortened(ended.call.method.as_str())
}

/// What went wrong.
fn message<'a>(ended: &CallEnded<'a>) -> Option<&'a str> {
    ended.error().map(|error| shortened(error.message()))
}

/// The first line, cut to [`LONGEST_TEXT`] bytes.
pub(super) fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    text.split(['\n', '\r']).next().unwrap_or_default()
}

fn replace(place: &mut String, text: &str) {
    place.clear();
    place.push_str(text);
}

fn replace_option(place: &mut Option<String>, text: Option<&str>) {
    match text {
        Some(text) => replace(place.get_or_insert_default(), text),
        None => *place = None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::ended::tests::{call, ended, failed};
    use crate::error::Kind;

    fn add(ring: &mut Ring, message: &str, total: Duration, now: SystemTime) {
        let (call, error) = (call(), Error::new(Kind::Exception, message));
        ring.add(&ended(&call, failed(&error), total), now);
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_last_ones_are_kept_and_the_last_comes_first() {
        let mut ring = Ring::new(false);
        let messages: Vec<String> = (0..PLACES + 3).map(|number| number.to_string()).collect();
        for (second, message) in (0..).zip(&messages) {
            add(&mut ring, message, Duration::ZERO, at(second));
        }
        let kept: Vec<_> = ring
            .calls()
            .into_iter()
            .filter_map(|call| call.message)
            .collect();
        let expected: Vec<_> = messages.into_iter().rev().take(PLACES).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn equal_failures_share_a_place_so_that_a_flood_leaves_the_others() {
        let mut ring = Ring::new(true);
        add(&mut ring, "rare", Duration::ZERO, at(0));
        for second in 1..=1000 {
            add(&mut ring, "often", Duration::from_secs(second), at(second));
        }
        let calls = ring.calls();
        assert_eq!(calls.len(), 2);
        let often = &calls[0];
        assert_eq!(
            (often.times, often.time, often.total),
            (1000, at(1000), Duration::from_secs(1000))
        );
        assert_eq!(
            (calls[1].times, calls[1].message.as_deref()),
            (1, Some("rare"))
        );
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters_and_to_its_first_line() {
        let mut ring = Ring::new(true);
        let long = "é".repeat(LONGEST_TEXT);
        for text in [long.as_str(), "one\ntwo"] {
            add(&mut ring, text, Duration::ZERO, at(0));
            add(&mut ring, text, Duration::ZERO, at(0));
        }
        let calls = ring.calls();
        assert_eq!(calls.len(), 2);
        assert!(calls.iter().all(|call| call.times == 2));
        let of = |number: usize| calls[number].message.as_deref().unwrap();
        assert_eq!((of(0).len(), of(1)), (LONGEST_TEXT, "one"));
    }
}

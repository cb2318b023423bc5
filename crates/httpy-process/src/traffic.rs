//! `Traffic`: what goes over one of a worker's two lanes, with the calls that were sent there and are not answered.
//!
//! The numbers of calls grow in the order in which their numbers are given. A large body goes ahead of its job in parts, so that
//! smaller jobs behind it are not kept; that job then begins after some with higher numbers.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use httpy_core::{Lane, Ticket};

use crate::call::Call;
use crate::channel::Channel;

/// The socket of one lane, and what was sent there.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) channel: Channel,
    /// The worker has not closed it.
    pub(crate) is_open: bool,
    /// The number of the last call.
    pub(crate) last: u64,
    pub(crate) calls: HashMap<u64, Call, Numbers>,
    /// So many of them have answered, and go on.
    pub(crate) past: usize,
    /// Bodies that go ahead of their jobs, by turns.
    pub(crate) ahead: VecDeque<(u64, Bytes)>,
    /// When it answered for the last time.
    pub(crate) answered: Instant,
}

/// Which of a worker's two lanes it is.
pub(crate) const fn index(lane: Lane) -> usize {
    match lane {
        Lane::Worker => 0,
        Lane::EventLoop => 1,
    }
}

/// Both.
pub(crate) const LANES: [Lane; 2] = [Lane::Worker, Lane::EventLoop];

/// Numbers in a row need no more mixing than this.
pub(crate) type Numbers = BuildHasherDefault<Number>;

/// The hash of one number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Traffic {
    pub(crate) fn new(channel: Channel, now: Instant) -> Self {
        Self {
            channel,
            is_open: true,
            last: 0,
            calls: HashMap::default(),
            past: 0,
            ahead: VecDeque::new(),
            answered: now,
        }
    }

    /// The number of one more call.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The number of the call of this ticket.
    pub(crate) fn number_of(&self, ticket: &Arc<Ticket>) -> Option<u64> {
        self.calls
            .iter()
            .find(|(_, call)| Arc::ptr_eq(&call.ticket, ticket))
            .map(|(number, _)| *number)
    }

    /// How many calls have begun by this mark.
    pub(crate) fn begun(&self, mark: u64) -> usize {
        self.calls.keys().filter(|number| **number <= mark).count()
    }
}

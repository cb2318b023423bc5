//! `Place`: what the worker of one seat does; `Places`: those of all seats, and how many are alike.

use std::mem;
use std::ops::Index;

use super::super::Seat;

/// What the worker of a seat does; the table in [`state`](super) says how each one ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Place {
    Free,
    LookingOn,
    HoldingOff,
    Coming,
    Idle,
    Working,
    /// Working, and overtaken by somebody who had to wait for the interpreter for a whole switch interval.
    Computing,
    Lost,
}

/// The place of each seat.
#[derive(Debug)]
pub(super) struct Places {
    all: Box<[Place]>,
    /// How many are `LookingOn`.
    pub(super) looking_on: usize,
    /// How many are `HoldingOff`.
    pub(super) holding_off: usize,
    /// How many are `Coming`.
    pub(super) coming: usize,
    /// How many are `Computing`.
    pub(super) computing: usize,
    /// How many are `Lost`.
    pub(super) lost: usize,
}

impl Places {
    /// So many free ones.
    pub(super) fn new(seats: usize) -> Self {
        let all = vec![Place::Free; seats].into();
        Self {
            all,
            looking_on: 0,
            holding_off: 0,
            coming: 0,
            computing: 0,
            lost: 0,
        }
    }

    /// By seat.
    pub(super) fn all(&self) -> &[Place] {
        &self.all
    }

    pub(super) fn put(&mut self, seat: Seat, place: Place) {
        let before = mem::replace(&mut self.all[seat.0], place);
        if let Some(count) = self.count(before) {
            *count -= 1;
        }
        if let Some(count) = self.count(place) {
            *count += 1;
        }
    }

    fn count(&mut self, place: Place) -> Option<&mut usize> {
        match place {
            Place::LookingOn => Some(&mut self.looking_on),
            Place::HoldingOff => Some(&mut self.holding_off),
            Place::Coming => Some(&mut self.coming),
            Place::Computing => Some(&mut self.computing),
            Place::Lost => Some(&mut self.lost),
            Place::Free | Place::Idle | Place::Working => None,
        }
    }
}

impl Index<Seat> for Places {
    type Output = Place;

    fn index(&self, seat: Seat) -> &Place {
        &self.all[seat.0]
    }
}

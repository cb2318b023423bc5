//! `Line`: who does what around a queue at one moment, as a copy to look at.

use super::Seat;
use super::state::{Place, State};

/// A queue and its workers at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How many jobs wait for a worker.
    pub jobs: usize,
    /// Whether one worker at a time takes jobs, as on a GIL build.
    pub exclusive: bool,
    /// Every seat that has a worker, by number.
    pub workers: Vec<(Seat, Standing)>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Sleeps.
    Idle,
    /// Takes the jobs, or waits for the next one with the interpreter in hand.
    Lead,
    /// Stands by: waits for the interpreter, or for the moment to queue for it.
    Standby,
    /// Is in a handler while another one leads.
    Working,
    /// Is in a handler that keeps the interpreter until it is taken from it.
    Computing,
    /// Is in a handler that does not end.
    Lost,
}

impl<J> State<J> {
    /// How it stands now.
    pub(super) fn view(&self) -> Line {
        let standing = |seat, place| match place {
            Place::Free => None,
            Place::Computing => Some(Standing::Computing),
            Place::Working if self.lead() == Some(seat) => Some(Standing::Lead),
            Place::Working => Some(Standing::Working),
            Place::Coming | Place::LookingOn | Place::HoldingOff => Some(Standing::Standby),
            Place::Idle => Some(Standing::Idle),
            Place::Lost => Some(Standing::Lost),
        };
        let seats = self
            .places()
            .iter()
            .enumerate()
            .map(|(seat, place)| (Seat(seat), *place));
        Line {
            jobs: self.jobs(),
            exclusive: self.is_exclusive(),
            workers: seats
                .filter_map(|(seat, place)| Some((seat, standing(seat, place)?)))
                .collect(),
        }
    }
}

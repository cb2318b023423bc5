//! What holds of a queue's state whenever its mutex is free; asked in every test.

use super::{MOST_STANDBYS, Place, State};

impl<J> State<J> {
    /// What holds whenever the mutex is free.
    pub(in super::super) fn check(&self) {
        let places = |place| {
            self.places
                .all()
                .iter()
                .filter(|other| **other == place)
                .count()
        };
        assert_eq!(
            [
                self.places.looking_on,
                self.places.holding_off,
                self.places.coming,
                self.places.computing,
                self.places.lost
            ],
            [
                Place::LookingOn,
                Place::HoldingOff,
                Place::Coming,
                Place::Computing,
                Place::Lost
            ]
            .map(places),
            "{:?}",
            self.places
        );
        assert_eq!(
            (self.idle.len(), self.free.len()),
            (places(Place::Idle), places(Place::Free)),
            "{:?}, idle {:?}, free {:?}",
            self.places,
            self.idle,
            self.free
        );
        assert!(
            !self.exclusive || self.places.coming <= MOST_STANDBYS,
            "{:?}",
            self.places
        );
        if let Some(lead) = self.lead {
            assert!(
                matches!(self.places[lead], Place::Working | Place::Computing),
                "{lead:?} {:?}",
                self.places
            );
        }
        let forgotten = !self.jobs.is_empty()
            && self.lead.is_none()
            && self.places.coming == 0
            && !self.idle.is_empty();
        assert!(
            !forgotten,
            "{} jobs wait, and no worker was called: {:?}",
            self.jobs.len(),
            self.places
        );
    }
}

//! Beside a crowd of handlers that compute, one that comes for the next job holds off.

use super::crowd::{MANY, MOST_HOLD_OFF};
use super::*;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(1);
const LINE: Duration = Duration::from_millis(20);

/// A crowd, the last of which leads and has waited for `waited`; and a worker that idles.
fn crowded(waited: Duration) -> (State<usize>, Seat, Seat) {
    let max = MANY + 2;
    let mut state = State::new(
        Seats {
            min: max,
            max,
            spare: 0,
        },
        true,
    );
    let mut seats = state.first_seats();
    let idle = seats.pop().unwrap();
    state.rest(idle);
    for (number, seat) in seats.iter().enumerate() {
        state.push(number).unwrap();
        state.places.put(*seat, Place::Coming);
        state.attached(
            *seat,
            InLine::of(if number == MANY { waited } else { INTERVAL }),
            INTERVAL,
        );
        assert!(state.arrive(*seat));
        assert_eq!(state.next_job(*seat).map(|next| next.0), Some(number));
        state.check();
    }
    (state, seats[MANY], idle)
}

fn comes(state: &mut State<usize>, idle: Seat) -> Place {
    assert!(matches!(state.appoint(), Appointed::Idle(seat) if seat == idle));
    state.check();
    state.places[idle]
}

#[test]
fn it_lines_up_after_a_multiple_of_what_the_last_one_has_waited() {
    for (waited, held_off) in [(LINE, LINE * 4), (Duration::from_secs(10), MOST_HOLD_OFF)] {
        let (mut state, _, idle) = crowded(waited);
        state.push(100).unwrap();
        state.push(101).unwrap();
        assert_eq!(comes(&mut state, idle), Place::HoldingOff);
        assert!(matches!(state.look_up(idle), Rest::HoldOff(time) if time == held_off));
        state.has_held_off(idle);
        assert!(matches!(state.look_up(idle), Rest::Attach));
        assert!(
            matches!(state.appoint(), Appointed::Nobody),
            "one is enough"
        );
    }
}

#[test]
fn it_lines_up_at_once_where_the_line_is_short() {
    let (mut state, _, idle) = crowded(INTERVAL * 15);
    state.push(100).unwrap();
    assert_eq!(comes(&mut state, idle), Place::Coming);

    let (mut state, lead, idle) = crowded(LINE);
    state.places.put(lead, Place::Coming);
    state.attached(lead, InLine::of(INTERVAL), INTERVAL);
    assert!(state.arrive(lead));
    state.push(100).unwrap();
    assert_eq!(
        comes(&mut state, idle),
        Place::Coming,
        "what was long is short by now"
    );
}

#[test]
fn it_lines_up_at_once_where_nobody_leads() {
    let (mut state, lead, idle) = crowded(LINE);
    state.push(100).unwrap();
    assert_eq!(comes(&mut state, idle), Place::HoldingOff);
    state.lose(lead);
    assert!(
        state.wants_another(),
        "who holds off is there for the lead only"
    );

    let (mut state, lead, idle) = crowded(LINE);
    assert!(state.arrive(lead));
    assert_eq!(state.next_job(lead), None);
    state.push(100).unwrap();
    assert!(matches!(state.appoint(), Appointed::Idle(_)));
    assert_eq!(
        (state.places[lead], state.places[idle]),
        (Place::Coming, Place::Idle),
        "no job has waited"
    );
}

#[test]
fn it_is_not_needed_where_the_lead_was_quicker_and_comes_at_once_at_the_end() {
    let (mut state, lead, idle) = crowded(LINE);
    state.push(100).unwrap();
    assert_eq!(comes(&mut state, idle), Place::HoldingOff);
    assert_eq!(state.next_job(lead).map(|next| next.0), Some(100));
    state.has_held_off(idle);
    assert_eq!(state.places[idle], Place::Idle);
    state.check();

    let (mut state, _, idle) = crowded(LINE);
    state.push(100).unwrap();
    assert_eq!(comes(&mut state, idle), Place::HoldingOff);
    state.close();
    assert!(matches!(state.look_up(idle), Rest::Attach));
}

#[test]
fn one_that_returns_takes_the_next_job_unless_there_is_a_crowd() {
    for (waited, takes) in [(INTERVAL, true), (LINE, false)] {
        let (mut state, lead, idle) = crowded(waited);
        let returned = Seat(0);
        assert_ne!(state.lead(), Some(returned));
        state.push(100).unwrap();
        comes(&mut state, idle);
        assert_eq!(state.arrive(returned), takes);
        assert_eq!(state.lead(), Some(if takes { returned } else { lead }));
        state.check();
    }
}

use super::Action::{Add, Complete, Kill, ShutDown, Start, Stop};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn id(number: u64) -> WorkerId {
    WorkerId(number)
}

fn state(processes: usize, max_age: Option<Duration>) -> State {
    State::new(
        Rules {
            processes,
            max_age,
            shortest_pause: SECOND / 10,
            drain_within: 10 * SECOND,
        },
        Jitter::new(),
    )
}

/// A state whose first workers are all ready.
fn ready(processes: usize, now: Instant) -> State {
    let mut state = state(processes, None);
    for action in state.turn(now) {
        let Start(id, _) = action else {
            panic!("{action:?}")
        };
        assert_eq!(state.ready(id, now), [Add(id)]);
    }
    state
}

#[test]
fn each_place_gets_a_worker() {
    let now = Instant::now();
    let mut state = state(2, None);
    assert_eq!(state.turn(now), [Start(id(1), 1), Start(id(2), 2)]);
    assert_eq!((state.turn(now), state.next()), (vec![], None));
    assert_eq!(state.ready(id(2), now), [Add(id(2))]);
    assert_eq!(
        (state.phase(id(1)), state.phase(id(2))),
        (Some(Phase::Starting), Some(Phase::Ready))
    );
}

#[test]
fn a_worker_that_dies_is_replaced_after_a_pause() {
    let now = Instant::now();
    let mut state = ready(2, now);
    assert_eq!(state.dead(id(1), true, now), Death::Unasked);
    assert_eq!(state.turn(now), []);
    let due = state.next().unwrap();
    assert!(due > now && due <= now + SECOND / 10, "{:?}", due - now);
    assert_eq!(state.turn(due), [Start(id(3), 1)]);
    assert_eq!((state.deaths(due), state.totals()), (1, (1, 0)));
    assert_eq!(state.deaths(due + MINUTE), 0);
}

#[test]
fn the_pause_doubles_while_workers_are_of_no_use_and_never_ends() {
    let mut now = Instant::now();
    let mut state = state(1, None);
    let mut pauses = Vec::new();
    for number in 1..=12 {
        assert_eq!(state.turn(now), [Start(id(number), 1)]);
        if number % 2 == 0 {
            state.ready(id(number), now);
        }
        assert_eq!(state.dead(id(number), false, now), Death::Unasked);
        let pause = state.pause(1, now);
        assert!(
            pauses
                .last()
                .is_none_or(|before| pause > *before || pause >= 27 * SECOND),
            "{pauses:?}"
        );
        pauses.push(pause);
        now = state.next().unwrap();
    }
    assert!(pauses[11] <= 30 * SECOND, "{pauses:?}");
}

#[test]
fn a_worker_that_was_of_use_sets_the_pause_back() {
    for (answered, lived) in [(true, SECOND), (false, MINUTE)] {
        let mut now = Instant::now();
        let mut state = state(1, None);
        for number in 1..=6 {
            assert_eq!(state.turn(now), [Start(id(number), 1)]);
            assert_eq!(state.dead(id(number), false, now), Death::Unasked);
            now = state.next().unwrap();
        }
        assert_eq!(state.turn(now), [Start(id(7), 1)]);
        state.ready(id(7), now);
        now += lived;
        assert_eq!(state.dead(id(7), answered, now), Death::Unasked);
        assert!(state.pause(1, now) <= SECOND / 10);
    }
}

#[test]
fn what_is_worn_out_goes_when_its_replacement_is_ready() {
    let now = Instant::now();
    let mut state = ready(1, now);
    state.wear(id(1));
    assert_eq!(state.turn(now), [Start(id(2), 1)]);
    assert_eq!(
        (state.turn(now), state.phase(id(1))),
        (vec![], Some(Phase::Ready))
    );
    assert_eq!(state.ready(id(2), now), [Add(id(2)), Stop(id(1))]);
    assert_eq!(state.dead(id(1), true, now), Death::Asked);
    assert_eq!((state.turn(now), state.totals()), (vec![], (0, 1)));
}

#[test]
fn one_at_a_time_is_replaced() {
    let now = Instant::now();
    let mut state = ready(3, now);
    for number in 1..=3 {
        state.wear(id(number));
    }
    assert_eq!(state.turn(now), [Start(id(4), 1)]);
    assert_eq!(state.turn(now), []);
    state.ready(id(4), now);
    assert_eq!(state.turn(now), [Start(id(5), 2)]);
}

#[test]
fn a_replacement_that_fails_is_tried_again_while_the_old_one_serves() {
    let now = Instant::now();
    let mut state = ready(1, now);
    state.wear(id(1));
    assert_eq!(state.turn(now), [Start(id(2), 1)]);
    assert_eq!(state.dead(id(2), false, now), Death::Unasked);
    assert_eq!(
        (state.turn(now), state.phase(id(1))),
        (vec![], Some(Phase::Ready))
    );
    assert_eq!(state.turn(state.next().unwrap()), [Start(id(3), 1)]);
}

#[test]
fn when_a_worn_worker_dies_its_replacement_takes_its_place() {
    let now = Instant::now();
    let mut state = ready(1, now);
    state.wear(id(1));
    assert_eq!(state.turn(now), [Start(id(2), 1)]);
    assert_eq!(state.dead(id(1), true, now), Death::Unasked);
    assert_eq!(state.turn(now + MINUTE), []);
    assert_eq!(state.ready(id(2), now + MINUTE), [Add(id(2))]);
}

#[test]
fn age_wears_out_a_little_before_the_limit() {
    let now = Instant::now();
    let mut state = state(1, Some(100 * SECOND));
    state.turn(now);
    state.ready(id(1), now);
    let due = state.next().unwrap();
    assert!(due >= now + 90 * SECOND && due <= now + 100 * SECOND);
    assert_eq!(state.turn(due.checked_sub(SECOND / 1000).unwrap()), []);
    assert_eq!(state.turn(due), [Start(id(2), 1)]);
    assert_eq!(state.next(), None);
}

#[test]
fn a_stuck_worker_is_killed_and_its_place_filled_before_it_is_gone() {
    let now = Instant::now();
    let mut state = ready(1, now);
    assert_eq!(state.stuck(id(1), true, now), [Kill(id(1))]);
    assert_eq!(state.count(Phase::Stuck), 1);
    assert_eq!(state.turn(state.next().unwrap()), [Start(id(2), 1)]);
    assert_eq!(state.dead(id(1), true, now), Death::Asked);
    assert_eq!(state.totals(), (1, 0));
}

#[test]
fn a_draining_worker_is_killed_when_it_takes_too_long() {
    let now = Instant::now();
    let mut state = ready(1, now);
    state.wear(id(1));
    state.turn(now);
    state.ready(id(2), now);
    let due = state.next().unwrap();
    assert_eq!(
        (due, state.turn(now + 9 * SECOND)),
        (now + 10 * SECOND, vec![])
    );
    assert_eq!(state.turn(due), [Kill(id(1))]);
    assert_eq!(state.dead(id(1), true, due), Death::Asked);
}

#[test]
fn a_new_generation_takes_over_when_all_of_it_are_ready() {
    let now = Instant::now();
    let mut state = ready(2, now);
    assert_eq!(state.reload(now), [Start(id(3), 1), Start(id(4), 2)]);
    assert_eq!(state.turn(now), []);
    assert_eq!(state.ready(id(4), now), []);
    assert_eq!(state.ready(id(3), now), [Complete(id(3))]);
    assert_eq!(state.count(Phase::Ready), 2);
    assert_eq!(
        state.swap(now),
        [Add(id(3)), Stop(id(1)), Add(id(4)), Stop(id(2))]
    );
    assert_eq!(
        (state.count(Phase::Ready), state.count(Phase::Draining)),
        (2, 2)
    );
    for number in [1, 2] {
        assert_eq!(state.dead(id(number), true, now), Death::Asked);
    }
    assert_eq!((state.turn(now), state.totals()), (vec![], (0, 0)));
}

#[test]
fn a_new_generation_that_fails_leaves_the_old_one_alone() {
    let now = Instant::now();
    let mut state = ready(2, now);
    state.reload(now);
    state.ready(id(3), now);
    assert_eq!(state.dead(id(4), false, now), Death::OfNew);
    assert_eq!(state.abandon(), [Kill(id(3))]);
    assert_eq!(state.dead(id(3), false, now), Death::Asked);
    assert_eq!(
        (state.turn(now), state.count(Phase::Ready), state.totals()),
        (vec![], 2, (0, 0))
    );
    assert_eq!(state.reload(now), [Start(id(5), 1), Start(id(6), 2)]);
}

#[test]
fn while_a_new_generation_starts_the_old_one_is_cared_for() {
    let now = Instant::now();
    let mut state = ready(2, now);
    state.reload(now);
    assert_eq!(state.dead(id(1), true, now), Death::Unasked);
    assert_eq!(state.turn(state.next().unwrap()), [Start(id(5), 1)]);
    state.ready(id(3), now);
    assert_eq!(state.ready(id(4), now), [Complete(id(3))]);
    // The one that still starts is of no use any more.
    assert_eq!(
        state.swap(now),
        [Add(id(3)), Add(id(4)), Stop(id(2)), Kill(id(5))]
    );
    assert_eq!(state.turn(now + MINUTE), [Kill(id(2))]);
}

#[test]
fn at_the_end_those_that_drain_have_no_more_time_than_the_others() {
    let now = Instant::now();
    let mut state = ready(1, now);
    state.wear(id(1));
    assert_eq!(state.turn(now), [Start(id(2), 1)]);
    assert_eq!(state.ready(id(2), now), [Add(id(2)), Stop(id(1))]);
    assert_eq!(state.close(now), [ShutDown(id(1)), ShutDown(id(2))]);
}

#[test]
fn at_the_end_all_workers_shut_down_and_none_is_started() {
    let now = Instant::now();
    let mut state = ready(2, now);
    state.dead(id(2), true, now);
    state.turn(state.next().unwrap());
    assert_eq!(state.close(now), [ShutDown(id(1)), Kill(id(3))]);
    assert_eq!(state.dead(id(3), false, now), Death::Asked);
    assert_eq!(state.kill_all(), [Kill(id(1))]);
    assert_eq!(state.dead(id(1), true, now), Death::Asked);
    assert_eq!(
        (state.phase(id(1)), state.turn(now + MINUTE), state.next()),
        (None, vec![], None)
    );
}

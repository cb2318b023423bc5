//! The stages of a call, and what each side finds in them.

use std::sync::Barrier;
use std::thread;

use bytes::Bytes;
use http::{Method, Uri};

use super::*;
use crate::Upload;

const SEAT: Seat = Seat(70_000);
const CHUNK: Duration = Duration::from_secs(2);
const ABANDONED: Duration = Duration::from_secs(50);

pub(crate) fn waiting() -> Ticket {
    let call = Call::new(Method::GET, Uri::from_static("/"));
    let now = Instant::now();
    let freight = Freight {
        body: Upload::Whole(Bytes::from_static(b"body")),
        ..Freight::default()
    };
    let clocks = Clocks {
        deadline: now + Duration::from_secs(3),
        chunk_timeout: CHUNK,
        abandon_after: ABANDONED,
    };
    Ticket::new(call, now, clocks, freight)
}

fn running() -> Ticket {
    let ticket = waiting();
    assert!(ticket.take(SEAT));
    ticket
}

fn body(ticket: &Ticket) -> Bytes {
    match ticket.unload().body {
        Upload::Whole(body) => body,
        Upload::Stream(_) => panic!("not what was loaded"),
    }
}

fn interrupted() -> Ticket {
    let ticket = running();
    assert_eq!(ticket.interrupt(), Interruption::Asked);
    assert_eq!(ticket.strikes(false), Some(true));
    ticket
}

#[test]
fn a_taken_call_cannot_be_withdrawn_and_tells_its_seat_while_it_runs() {
    let ticket = waiting();
    assert_eq!(ticket.seat(), None);
    assert!(ticket.take(SEAT));
    assert!(ticket.is_taken() && !ticket.is_done());
    assert_eq!(ticket.seat(), Some(SEAT));
    assert!(!ticket.withdraw());
    assert!(!ticket.take(SEAT));
    assert_eq!(ticket.finish(), Finish::Free);
    assert!(ticket.is_taken() && ticket.is_done());
    assert_eq!(ticket.seat(), None);
    let limit = ticket.limit();
    assert_eq!(limit.to_string(), "did not answer within 3s");
}

#[test]
fn a_withdrawn_call_never_runs() {
    let ticket = waiting();
    assert!(ticket.withdraw());
    assert!(!ticket.take(SEAT) && !ticket.withdraw());
    assert!(!ticket.is_taken() && !ticket.is_done());
    assert!(body(&ticket).is_empty(), "its freight is given up at once");
}

#[test]
fn the_freight_of_a_taken_call_is_the_workers_once() {
    let ticket = running();
    assert!(!ticket.withdraw());
    assert_eq!(body(&ticket), "body");
    assert!(body(&ticket).is_empty());
}

#[test]
fn a_call_that_was_put_back_waits_with_its_freight_and_is_taken_or_withdrawn_once_more() {
    for withdraws in [false, true] {
        let ticket = running();
        let freight = ticket.unload();
        assert!(ticket.put_back(freight));
        assert!(!ticket.is_taken() && ticket.seat().is_none());
        if withdraws {
            assert!(ticket.withdraw() && body(&ticket).is_empty());
        } else {
            assert!(ticket.take(Seat(7)));
            assert_eq!(
                (ticket.seat(), &body(&ticket)[..]),
                (Some(Seat(7)), &b"body"[..])
            );
        }
    }
}

#[test]
fn a_call_whose_client_has_gone_or_that_has_ended_is_not_put_back() {
    let (gone, ended) = (running(), running());
    gone.set_gone(gone.pushed);
    assert_eq!(ended.finish(), Finish::Free);
    for ticket in [&gone, &ended] {
        let freight = ticket.unload();
        assert!(!ticket.put_back(freight));
        assert!(body(ticket).is_empty(), "its freight is given up");
    }
    assert_eq!(gone.finish(), Finish::Free);
}

#[test]
fn whoever_comes_first_a_call_that_is_put_back_and_left_keeps_no_freight() {
    for _ in 0..2_000 {
        let (ticket, start) = (running(), Barrier::new(2));
        let freight = ticket.unload();
        let (back, withdrawn) = thread::scope(|scope| {
            let caller = scope.spawn(|| {
                start.wait();
                let withdrawn = ticket.withdraw();
                if !withdrawn {
                    ticket.set_gone(ticket.pushed);
                }
                withdrawn
            });
            start.wait();
            (ticket.put_back(freight), caller.join().unwrap())
        });
        assert!(back || !withdrawn);
        // One that waits is looked at again, by a queue that finds it closed; its freight is not lost meanwhile.
        assert_eq!(body(&ticket).is_empty(), withdrawn || !back);
    }
}

#[test]
fn only_a_call_that_runs_is_interrupted_or_lost() {
    for ticket in [waiting(), running()] {
        ticket.withdraw();
        ticket.finish();
        assert_eq!(ticket.interrupt(), Interruption::Over);
        assert_eq!(ticket.strikes(false), None);
        assert!(!ticket.lose());
        ticket.shield();
        assert!(!ticket.unshield());
    }
}

#[test]
fn an_interruption_strikes_once_and_only_where_it_was_asked_for() {
    let ticket = running();
    assert_eq!(ticket.strikes(false), None);
    assert_eq!(ticket.interrupt(), Interruption::Asked);
    assert_eq!(ticket.strikes(true), Some(true), "it only looked");
    assert_eq!(ticket.strikes(false), Some(true));
    assert_eq!(ticket.strikes(false), None);
    assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
    assert_eq!(ticket.interrupt(), Interruption::Over);
}

#[test]
fn a_call_that_ends_before_it_could_be_cut_was_to_be_interrupted() {
    let ticket = running();
    ticket.interrupt();
    assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
    assert_eq!(ticket.strikes(false), None);
}

#[test]
fn an_interrupted_call_can_be_interrupted_again_and_lost() {
    let ticket = interrupted();
    assert_eq!(ticket.interrupt(), Interruption::Asked);
    assert_eq!(ticket.strikes(false), Some(true));
    assert!(ticket.lose());
    assert_eq!(ticket.finish(), Finish::Interrupted { lost: true });
}

#[test]
fn a_head_that_is_answered_leaves_each_chunk_its_own_time() {
    let ticket = running();
    let deadline = ticket.clocks.deadline;
    assert_eq!(ticket.due(), Some(deadline));
    ticket.begin_chunks(true, deadline);
    assert!(ticket.is_streaming());
    assert_eq!(
        ticket.limit().to_string(),
        "did not yield a chunk within 2s"
    );
    assert_eq!(ticket.due(), Some(deadline + CHUNK));
    ticket.begin_chunk(false, deadline);
    assert_eq!(ticket.due(), None);
    ticket.begin_chunk(true, deadline + CHUNK);
    assert_eq!(ticket.due(), Some(deadline + CHUNK * 2));
    assert_eq!((ticket.seat(), ticket.finish()), (Some(SEAT), Finish::Free));
}

#[test]
fn a_body_whose_client_has_left_has_one_time_to_end_whatever_it_sends() {
    for limited in [true, false] {
        let ticket = running();
        let now = ticket.clocks.deadline;
        ticket.begin_chunks(limited, now);
        ticket.set_gone(now);
        assert_eq!(ticket.due(), Some(now + ABANDONED));
        ticket.begin_chunk(limited, now + CHUNK);
        ticket.set_gone(now + CHUNK);
        assert_eq!(ticket.due(), Some(now + ABANDONED));
        assert_eq!(
            ticket.limit().to_string(),
            "did not end within 50s after its client left"
        );
    }
}

#[test]
fn a_chunk_that_comes_as_the_client_leaves_gives_the_body_no_more_time() {
    for limited in [true, false].repeat(1_000) {
        let (ticket, start) = (running(), Barrier::new(2));
        let now = ticket.clocks.deadline;
        ticket.begin_chunks(limited, now);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                ticket.set_gone(now);
            });
            start.wait();
            ticket.begin_chunk(limited, now + CHUNK);
        });
        assert_eq!(ticket.due(), Some(now + ABANDONED));
    }
}

#[test]
fn a_client_that_leaves_before_the_head_leaves_the_body_its_time_from_there_on() {
    let ticket = running();
    let deadline = ticket.clocks.deadline;
    ticket.set_gone(ticket.pushed);
    assert_eq!(ticket.due(), Some(deadline), "the head is still to come");
    ticket.begin_chunks(false, deadline);
    assert_eq!(ticket.due(), Some(deadline + ABANDONED));
}

#[test]
fn a_chunk_that_is_late_when_the_client_leaves_stays_late() {
    let ticket = running();
    let now = ticket.clocks.deadline;
    ticket.begin_chunks(true, now);
    ticket.set_gone(now + CHUNK);
    assert_eq!(ticket.due(), Some(now + CHUNK));
}

#[test]
fn only_a_call_that_runs_hears_that_its_client_has_gone() {
    let ticket = waiting();
    let now = ticket.pushed;
    ticket.set_gone(now);
    assert!(!ticket.is_gone() && ticket.take(SEAT));
    ticket.set_gone(now);
    assert!(ticket.is_gone());
    assert_eq!((ticket.seat(), ticket.finish()), (Some(SEAT), Finish::Free));
}

#[test]
fn a_shield_holds_the_interruption_off_until_the_outermost_is_left() {
    let ticket = running();
    assert!(!ticket.is_shielded());
    ticket.shield();
    ticket.shield();
    assert_eq!(ticket.interrupt(), Interruption::Shielded);
    assert_eq!(ticket.strikes(false), Some(false));
    assert!(!ticket.unshield(), "one is still open");
    assert!(ticket.is_shielded());
    assert!(ticket.unshield());
    assert!(!ticket.is_shielded());
    assert_eq!(
        ticket.seat(),
        Some(SEAT),
        "the count of shields does not run into it"
    );
    assert!(
        !ticket.unshield(),
        "it strikes once, and there is none to be left"
    );
    assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
}

#[test]
fn the_end_waits_for_a_call_until_it_has_ended_or_its_time_is_up() {
    let calls = Arc::<UnderWay>::default();
    let counted = || {
        let ticket = waiting();
        ticket.count_among(&calls);
        assert_eq!(calls.count(), 1);
        ticket
    };
    let ways: [fn(&Ticket); 4] = [
        |ticket| assert!(ticket.withdraw()),
        |ticket| assert!(ticket.take(SEAT) && ticket.finish() == Finish::Free),
        |ticket| assert!(ticket.take(SEAT) && ticket.lose()),
        Ticket::give_up_waiting,
    ];
    for leave in ways {
        let ticket = counted();
        leave(&ticket);
        assert_eq!(calls.count(), 0);
    }
    drop(counted());
    assert_eq!(calls.count(), 0);
    // One that was never counted.
    waiting().give_up_waiting();
}

#[test]
fn a_call_that_ends_in_its_shield_was_interrupted_all_the_same() {
    let ticket = running();
    ticket.shield();
    ticket.interrupt();
    assert_eq!(ticket.finish(), Finish::Interrupted { lost: false });
}

#[test]
fn a_shield_that_is_entered_before_the_interruption_strikes_holds_it_off() {
    let ticket = running();
    assert_eq!(ticket.interrupt(), Interruption::Asked);
    ticket.shield();
    assert_eq!(ticket.strikes(false), Some(false));
    assert!(ticket.unshield());
    assert_eq!(ticket.strikes(false), None);
}

#[test]
fn a_debugger_stops_the_clock_only_where_it_is_allowed_to() {
    let (ticket, debugged) = (running(), running());
    debugged.allow_debugger();
    assert!(!ticket.stop_clock() && !ticket.is_stopped());
    assert!(debugged.stop_clock() && debugged.is_stopped());
    debugged.begin_chunks(true, debugged.pushed);
    debugged.set_gone(debugged.pushed);
    assert_eq!(debugged.due(), None);
    for ticket in [&ticket, &debugged] {
        ticket.interrupt();
    }
    assert_eq!(ticket.strikes(false), Some(true));
    assert_eq!(debugged.strikes(false), None);
}

#[test]
fn shields_without_end_leave_the_seat_alone() {
    let ticket = running();
    ticket.word.fetch_or(SHIELDS, Ordering::Relaxed);
    ticket.shield();
    assert_eq!(ticket.seat(), Some(SEAT));
}

#[test]
fn a_call_that_is_answered_has_no_limit_whether_its_caller_leaves_before_or_after() {
    let now = Instant::now();
    for leaves_first in [false, true] {
        let ticket = running();
        ticket.begin_chunks(true, now);
        if leaves_first {
            ticket.set_gone(now);
            assert_eq!(ticket.due(), Some(now + ABANDONED));
        }
        assert!(!ticket.is_answered());
        ticket.set_answered();
        ticket.set_gone(now);
        assert!(ticket.is_answered());
        assert_eq!((ticket.is_gone(), ticket.due()), (leaves_first, None));
        assert_eq!(ticket.finish(), Finish::Free);
    }
}

#[test]
fn a_caller_that_leaves_while_its_call_is_answered_leaves_no_limit() {
    for _ in 0..1000 {
        let (ticket, barrier) = (running(), Barrier::new(2));
        ticket.begin_chunks(true, Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                ticket.set_gone(Instant::now());
            });
            barrier.wait();
            ticket.set_answered();
        });
        assert_eq!(ticket.due(), None);
    }
}

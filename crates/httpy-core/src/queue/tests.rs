//! The queue's rules, one worker at a time, and all of them at once.

use std::cell::Cell;
use std::sync::Mutex;

use super::*;

const LONG: Duration = Duration::from_secs(3600);
const INTERVAL: Duration = Duration::from_millis(1);

fn queue<J>(min: usize, max: usize, retire_after: Duration, exclusive: bool) -> Queue<J> {
    Queue::new(Seats { min, max, spare: 1 }, retire_after, exclusive)
}

fn job<J: std::fmt::Debug>(take: Take<J>) -> (J, Option<Seat>) {
    match take {
        Take::Job { job, start, .. } => (job, start),
        Take::Wait => panic!("expected a job"),
    }
}

#[test]
fn one_worker_leads_and_one_stands_by_however_many_jobs_wait() {
    let queue = queue(0, 4, LONG, true);
    let first = queue.push(1).unwrap().expect("nobody is there yet");
    assert_eq!(
        queue.push(2).unwrap(),
        None,
        "the first is still on its way"
    );
    let (one, second) = job(queue.take(first, || {}));
    assert_eq!(one, 1);
    let second = second.expect("a job waits and the lead is in a handler");
    assert_eq!(queue.push(3).unwrap(), None, "one stands by already");

    // The standby gets the interpreter: it leads, and the next one stands by.
    let (two, third) = job(queue.take(second, || {}));
    assert_eq!(two, 2);
    assert_eq!(job(queue.take(third.unwrap(), || {})), (3, None));
    // No job waits: the former lead goes to sleep when its handler is over.
    assert!(matches!(queue.take(first, || {}), Take::Wait));
    assert_eq!(queue.lock().alive(), 3);
}

#[test]
fn the_interpreter_is_awaited_while_somebody_stands_in_line_for_it() {
    let queue = queue(0, 4, LONG, true);
    assert_eq!(queue.awaited(), None);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    assert_eq!(queue.awaited(), Some(0));
    let second = job(queue.take(first, || {})).1.unwrap();
    assert_eq!(
        queue.awaited(),
        Some(1),
        "the lead is in a handler, and the other job waits"
    );
    job(queue.take(second, || {}));
    assert_eq!(queue.awaited(), None);
}

#[test]
fn the_line_tells_who_does_what() {
    let queue = queue(0, 4, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    queue.push(3).unwrap();
    let second = job(queue.take(first, || {})).1.unwrap();
    let workers = vec![(first, Standing::Lead), (second, Standing::Standby)];
    assert_eq!(
        queue.line(),
        Line {
            jobs: 2,
            exclusive: true,
            workers
        }
    );

    queue.attached(second, InLine::of(INTERVAL), INTERVAL);
    job(queue.take(second, || {}));
    let of = |seat: Seat| {
        queue
            .line()
            .workers
            .into_iter()
            .find(|(other, _)| *other == seat)
            .map(|found| found.1)
    };
    assert_eq!(
        (of(first), of(second)),
        (Some(Standing::Computing), Some(Standing::Lead))
    );
    assert!(matches!(queue.lose(first, || true), Lost::Replaced(_)));
    assert_eq!(of(first), Some(Standing::Lost));
    assert!(matches!(
        queue.take(second, || {}),
        Take::Job { job: 3, .. }
    ));
    assert!(matches!(queue.take(second, || {}), Take::Wait));
    assert_eq!((of(second), queue.line().jobs), (Some(Standing::Idle), 0));
}

#[test]
fn a_worker_that_returns_takes_the_next_job_as_it_has_the_interpreter() {
    let queue = queue(0, 2, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    let second = job(queue.take(first, || {})).1.unwrap();
    job(queue.take(second, || {}));
    assert_eq!(queue.push(3).unwrap(), None, "both are in handlers");

    assert_eq!(job(queue.take(first, || {})).0, 3);
    assert!(
        matches!(queue.take(second, || {}), Take::Wait),
        "the first leads now, and no job is left"
    );
}

#[test]
fn a_worker_that_returns_leads_when_nobody_does() {
    let queue = queue(0, 2, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    let second = job(queue.take(first, || {})).1.unwrap();
    job(queue.take(second, || {}));
    assert!(
        matches!(queue.take(second, || {}), Take::Wait),
        "nothing is left, nobody leads"
    );
    assert_eq!(queue.push(3).unwrap(), None, "the second is called");
    assert_eq!(
        job(queue.take(first, || {})),
        (3, None),
        "the first was here before it"
    );
}

#[test]
fn who_comes_too_late_does_not_trouble_the_interpreter() {
    let queue = queue(2, 2, LONG, true);
    let seats = queue.first_seats();
    assert!(matches!(queue.take(seats[1], || {}), Take::Wait));
    assert_eq!(queue.push(1).unwrap(), None, "the second is called");
    assert_eq!(
        job(queue.take(seats[0], || {})).0,
        1,
        "the one that is here takes it"
    );
    std::thread::scope(|scope| {
        let late = scope.spawn(|| queue.wait(seats[1], || {}));
        queue.close();
        assert_eq!(
            late.join().unwrap(),
            Wait::Retire,
            "not called to attach for nothing"
        );
    });
}

#[test]
fn an_idle_worker_is_called_before_a_new_one_is_started() {
    let queue = queue(0, 2, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    job(queue.take(first, || {}));
    assert!(matches!(queue.take(first, || {}), Take::Wait));
    assert_eq!(queue.push(2).unwrap(), None);
    assert_eq!(queue.wait(first, || {}), Wait::Attach);
    assert_eq!(job(queue.take(first, || {})).0, 2);
}

#[test]
fn without_a_gil_every_worker_takes_jobs() {
    let queue = queue(0, 2, LONG, false);
    let first = queue.push(1).unwrap().unwrap();
    let second = queue.push(2).unwrap().unwrap();
    assert_eq!(
        job(queue.take(first, || {})),
        (1, None),
        "the second is on its way for the other job"
    );
    assert_eq!(job(queue.take(second, || {})), (2, None));
    assert_eq!(queue.push(3).unwrap(), None);
    assert_eq!(job(queue.take(first, || {})), (3, None));
}

#[test]
fn an_idle_worker_above_the_minimum_retires() {
    let queue = queue(1, 2, Duration::ZERO, true);
    assert_eq!(queue.first_seats().len(), 1);
    let second = queue.push(1).unwrap().unwrap();
    job(queue.take(second, || {}));
    assert!(matches!(queue.take(second, || {}), Take::Wait));
    assert_eq!(queue.wait(second, || {}), Wait::Retire);
    assert_eq!(queue.lock().alive(), 1);
}

#[test]
fn a_closed_queue_refuses_new_jobs_and_finishes_the_old_ones() {
    let queue = queue(0, 1, LONG, true);
    let seat = queue.push(1).unwrap().unwrap();
    queue.close();
    assert_eq!(queue.push(2), Err(2));
    assert_eq!(job(queue.take(seat, || {})).0, 1);
    assert!(matches!(queue.take(seat, || {}), Take::Wait));
    assert_eq!(queue.wait(seat, || {}), Wait::Retire);
}

#[test]
fn the_part_of_a_worker_that_could_not_start_goes_to_another() {
    let queue = queue(0, 2, LONG, true);
    let lost = queue.push(1).unwrap().unwrap();
    queue.vacate(lost);
    let next = queue.call_again().expect("the job still waits");
    assert_eq!(job(queue.take(next, || {})).0, 1);
}

#[test]
fn an_idle_worker_takes_the_part_of_one_that_could_not_start() {
    let queue = queue(1, 2, LONG, true);
    let (idle, lost) = (queue.first_seats()[0], queue.push(1).unwrap().unwrap());
    assert!(
        matches!(
            queue.take(idle, || {}),
            Take::Job {
                job: 1,
                start: None,
                ..
            }
        ),
        "nobody leads yet"
    );
    assert!(matches!(queue.take(idle, || {}), Take::Wait));
    assert_eq!(queue.push(2).unwrap(), None, "the first is on its way");
    queue.vacate(lost);
    assert_eq!(queue.wait(idle, || {}), Wait::Attach);
    assert_eq!(job(queue.take(idle, || {})).0, 2);
}

#[test]
fn a_lead_steps_down_where_another_stands_by() {
    let queue = queue(0, 2, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    let (_, second) = job(queue.take(first, || {}));
    let second = second.expect("a job waits");
    assert!(queue.step_down(first, Instant::now()));
    assert_eq!(job(queue.take(second, || {})), (2, None));
    assert!(
        !queue.step_down(second, Instant::now()),
        "no job waits, nobody stands by"
    );
    queue.push(3).unwrap();
    assert!(!queue.step_down(first, Instant::now()), "it does not lead");
    assert_eq!(queue.wait(first, || {}), Wait::Attach, "it stands by now");
}

#[test]
fn while_handlers_are_quick_the_standby_looks_on_until_the_lead_stays_in_one() {
    let queue = queue(2, 2, LONG, true);
    let seats = queue.first_seats();
    assert!(matches!(queue.take(seats[0], || {}), Take::Wait));
    let now = Instant::now();
    assert!(!queue.step_down(seats[1], now), "a while begins");
    for number in 0..400 {
        queue.push(number).unwrap();
        assert_eq!(job(queue.take(seats[1], || {})).0, number);
    }
    assert!(
        matches!(queue.lock().look_up(seats[0]), Rest::Sleep),
        "it was called, and the other one was quicker"
    );
    assert!(
        !queue.step_down(seats[1], now + Duration::from_millis(20)),
        "50 µs for each"
    );
    queue.push(400).unwrap();
    queue.push(401).unwrap();
    assert!(
        !queue.step_down(seats[1], now),
        "who looks on stands in no line"
    );
    assert_eq!(job(queue.take(seats[1], || {})).0, 400, "the lead goes on");
    assert_eq!(
        queue.wait(seats[0], || {}),
        Wait::Attach,
        "the lead stays where it is"
    );
    queue.attached(seats[0], InLine::of(Duration::ZERO), INTERVAL);
    assert_eq!(job(queue.take(seats[0], || {})).0, 401);

    assert!(
        matches!(queue.take(seats[1], || {}), Take::Wait),
        "overtaken"
    );
    queue.push(402).unwrap();
    assert_eq!(
        queue.wait(seats[1], || {}),
        Wait::Attach,
        "a handler has let go of the interpreter: no looking on for now"
    );
}

#[test]
fn answers_are_kept_back_only_while_somebody_looks_on() {
    let queue = queue(2, 2, LONG, true);
    let (seats, times) = (queue.first_seats(), Cell::new(0));
    let let_out = || times.set(times.get() + 1);
    assert!(matches!(queue.take(seats[0], let_out), Take::Wait));
    assert_eq!(
        times.take(),
        1,
        "whoever finds no job lets out what there is"
    );
    let now = Instant::now();
    queue.step_down(seats[1], now);
    for number in 0..400 {
        queue.push(number).unwrap();
        job(queue.take(seats[1], let_out));
    }
    assert_eq!(
        times.take(),
        400,
        "nobody looks on, and the next handler may take long"
    );

    assert!(matches!(queue.lock().look_up(seats[0]), Rest::Sleep));
    queue.step_down(seats[1], now + Duration::from_millis(20));
    queue.push(400).unwrap();
    queue.push(401).unwrap();
    job(queue.take(seats[1], let_out));
    assert_eq!(times.get(), 0, "handlers are quick, and somebody looks on");
    assert_eq!(queue.wait(seats[0], let_out), Wait::Attach);
    assert_eq!(times.take(), 1, "the handler takes long after all");
}

#[test]
fn one_more_stands_by_for_a_handler_that_computes() {
    let queue = queue(0, 4, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    let second = job(queue.take(first, || {})).1.unwrap();
    queue.attached(second, InLine::of(INTERVAL), INTERVAL);
    assert_eq!(job(queue.take(second, || {})), (2, None));

    assert!(queue.push(3).unwrap().is_some());
    assert!(
        queue.push(4).unwrap().is_some(),
        "the first computes: two stand by"
    );
    assert_eq!(queue.push(5).unwrap(), None, "two are enough");
    assert_eq!(queue.lock().alive(), 4);
    assert_eq!(
        job(queue.take(first, || {})),
        (3, None),
        "it has the interpreter"
    );
}

#[test]
fn a_lost_worker_is_replaced_and_a_surplus_one_retires() {
    let queue = queue(1, 1, LONG, true);
    let first = queue.first_seats()[0];
    queue.push(1).unwrap();
    job(queue.take(first, || {}));
    assert_eq!(
        queue.push(2).unwrap(),
        None,
        "the only worker is in a handler"
    );
    assert_eq!(queue.lose(first, || false), Lost::Returned);
    let Lost::Replaced(Some(second)) = queue.lose(first, || true) else {
        panic!("a job waits")
    };
    assert_eq!(queue.lost(), 1);
    assert_eq!(job(queue.take(second, || {})).0, 2);
    assert_eq!(
        (queue.lose(second, || true), queue.lost()),
        (Lost::Spent, 2),
        "only one may be replaced"
    );
    assert_eq!(
        queue.push(3).unwrap(),
        None,
        "nobody is left, and nobody may be started"
    );

    assert_eq!(job(queue.take(first, || {})).0, 3, "it came back");
    assert_eq!(queue.lost(), 1);
    assert!(
        matches!(queue.take(second, || {}), Take::Wait),
        "the first leads"
    );
    assert_eq!(
        (queue.wait(second, || {}), queue.lost()),
        (Wait::Retire, 0),
        "there is one too many"
    );
    assert_eq!(queue.lock().alive(), 1);
}

#[test]
fn threads_take_every_job_once() {
    let queue = queue(0, 3, LONG, true);
    let taken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        fn start<'s>(
            scope: &'s std::thread::Scope<'s, '_>,
            queue: &'s Queue<u32>,
            taken: &'s Mutex<Vec<u32>>,
            seat: Seat,
        ) {
            scope.spawn(move || {
                loop {
                    match queue.take(seat, || {}) {
                        Take::Job {
                            job, start: new, ..
                        } => {
                            if let Some(new) = new {
                                start(scope, queue, taken, new);
                            }
                            taken.lock().unwrap().push(job);
                        }
                        Take::Wait if queue.wait(seat, || {}) == Wait::Retire => break,
                        Take::Wait => {}
                    }
                }
            });
        }
        for number in 0..1000 {
            if let Some(seat) = queue.push(number).unwrap() {
                start(scope, &queue, &taken, seat);
            }
        }
        queue.close();
    });
    let mut taken = taken.into_inner().unwrap();
    taken.sort_unstable();
    assert_eq!(taken, (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_job_that_a_returning_worker_takes_has_waited_for_the_interpreter_as_long_as_others_have() {
    let queue = queue(2, 2, LONG, true);
    let seats = queue.first_seats();
    for (number, seat) in seats.iter().enumerate() {
        queue.push(number).unwrap();
        job(queue.take(*seat, || {}));
    }
    // Both are in handlers. One of them keeps the interpreter, and the other one waits for it.
    let long = Duration::from_secs(6);
    queue.push(2).unwrap();
    let begun = Instant::now().checked_sub(long).unwrap();
    queue.lock().attaches(seats[1], begun);
    match queue.take(seats[0], || {}) {
        Take::Job { job: 2, attach, .. } => assert!(attach >= long, "{attach:?}"),
        other => panic!("{other:?}"),
    }
}

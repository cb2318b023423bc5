//! The queue's rules, one worker at a time, and all of them at once.

use super::*;

const LONG: Duration = Duration::from_secs(3600);

fn job<J: std::fmt::Debug>(take: Take<J>) -> (J, Option<Seat>) {
    match take {
        Take::Job(job, start) => (job, start),
        Take::Wait => panic!("expected a job"),
    }
}

#[test]
fn one_worker_leads_and_one_stands_by_however_many_jobs_wait() {
    let queue = Queue::new(0, 4, 0, LONG, true);
    let first = queue.push(1).unwrap().expect("nobody is there yet");
    assert_eq!(queue.push(2).unwrap(), None, "the first is still on its way");
    let (one, second) = job(queue.take(first));
    assert_eq!(one, 1);
    let second = second.expect("a job waits and the lead is in a handler");
    assert_eq!(queue.push(3).unwrap(), None, "one stands by already");

    // The standby gets the interpreter: it leads, and the former lead goes to sleep.
    let (two, third) = job(queue.take(second));
    assert_eq!(two, 2);
    assert!(third.is_some());
    assert!(matches!(queue.take(first), Take::Wait));
    assert_eq!(queue.workers(), 3);
}

#[test]
fn a_worker_that_returns_stands_by_when_all_others_were_busy() {
    let queue = Queue::new(0, 2, 0, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    let second = job(queue.take(first)).1.unwrap();
    job(queue.take(second));
    assert_eq!(queue.push(3).unwrap(), None, "both are in handlers");

    assert!(matches!(queue.take(first), Take::Wait));
    assert_eq!(queue.wait(first), Wait::Attach, "it was appointed as it returned");
    assert_eq!(job(queue.take(first)).0, 3);
    assert!(matches!(queue.take(second), Take::Wait), "the first leads now");
}

#[test]
fn a_worker_that_returns_leads_when_nobody_does() {
    let queue = Queue::new(0, 2, 0, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    queue.push(2).unwrap();
    let second = job(queue.take(first)).1.unwrap();
    job(queue.take(second));
    assert!(matches!(queue.take(second), Take::Wait), "nothing is left, nobody leads");
    assert_eq!(queue.push(3).unwrap(), None, "the second is called");
    assert_eq!(job(queue.take(first)), (3, None), "the first was here before it");
}

#[test]
fn who_comes_too_late_does_not_trouble_the_interpreter() {
    let queue = Queue::new(2, 2, 0, LONG, true);
    let seats = queue.first_seats();
    for seat in &seats {
        assert!(matches!(queue.take(*seat), Take::Wait));
    }
    queue.push(1).unwrap();
    assert_eq!(job(queue.take(seats[0])).0, 1, "the one that is here takes it");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| queue.wait(seats[1]));
        queue.close();
        assert_eq!(late.join().unwrap(), Wait::Retire, "not called to attach for nothing");
    });
}

#[test]
fn an_idle_worker_is_called_before_a_new_one_is_started() {
    let queue = Queue::new(0, 2, 0, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    job(queue.take(first));
    assert!(matches!(queue.take(first), Take::Wait));
    assert_eq!(queue.push(2).unwrap(), None);
    assert_eq!(queue.wait(first), Wait::Attach);
    assert_eq!(job(queue.take(first)).0, 2);
}

#[test]
fn without_a_gil_every_worker_takes_jobs() {
    let queue = Queue::new(0, 2, 0, LONG, false);
    let first = queue.push(1).unwrap().unwrap();
    let second = queue.push(2).unwrap().unwrap();
    assert_eq!(job(queue.take(first)), (1, None), "the second is on its way for the other job");
    assert_eq!(job(queue.take(second)), (2, None));
    assert_eq!(queue.push(3).unwrap(), None);
    assert_eq!(job(queue.take(first)), (3, None));
}

#[test]
fn an_idle_worker_above_the_minimum_retires() {
    let queue = Queue::new(1, 2, 0, Duration::ZERO, true);
    assert_eq!(queue.first_seats().len(), 1);
    let second = queue.push(1).unwrap().unwrap();
    job(queue.take(second));
    assert!(matches!(queue.take(second), Take::Wait));
    assert_eq!(queue.wait(second), Wait::Retire);
    assert_eq!(queue.workers(), 1);
}

#[test]
fn a_closed_queue_refuses_new_jobs_and_finishes_the_old_ones() {
    let queue = Queue::new(0, 1, 0, LONG, true);
    let seat = queue.push(1).unwrap().unwrap();
    queue.close();
    assert_eq!(queue.push(2), Err(2));
    assert_eq!(job(queue.take(seat)).0, 1);
    assert!(matches!(queue.take(seat), Take::Wait));
    assert_eq!(queue.wait(seat), Wait::Retire);
}

#[test]
fn the_part_of_a_worker_that_could_not_start_goes_to_another() {
    let queue = Queue::new(0, 2, 0, LONG, true);
    let lost = queue.push(1).unwrap().unwrap();
    queue.vacate(lost);
    let next = queue.call_again().expect("the job still waits");
    assert_eq!(job(queue.take(next)).0, 1);
}

#[test]
fn an_idle_worker_takes_the_part_of_one_that_could_not_start() {
    let queue = Queue::new(1, 2, 0, LONG, true);
    let (idle, lost) = (queue.first_seats()[0], queue.push(1).unwrap().unwrap());
    assert!(matches!(queue.take(idle), Take::Job(1, None)), "nobody leads yet");
    assert!(matches!(queue.take(idle), Take::Wait));
    assert_eq!(queue.push(2).unwrap(), None, "the first is on its way");
    queue.vacate(lost);
    assert_eq!(queue.wait(idle), Wait::Attach);
    assert_eq!(job(queue.take(idle)).0, 2);
}

#[test]
fn threads_take_every_job_once() {
    let queue = Queue::new(0, 3, 0, LONG, true);
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
                    match queue.take(seat) {
                        Take::Job(job, new) => {
                            if let Some(new) = new {
                                start(scope, queue, taken, new);
                            }
                            taken.lock().unwrap().push(job);
                        }
                        Take::Wait if queue.wait(seat) == Wait::Retire => break,
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
fn a_lost_worker_is_replaced_while_the_budget_lasts_and_regains_its_place_when_it_comes_back() {
    let queue = Queue::new(0, 1, 1, LONG, true);
    let first = queue.push(1).unwrap().unwrap();
    job(queue.take(first));
    assert_eq!(queue.push(2).unwrap(), None, "there may be one worker");
    let Lost::Replaced(Some(second)) = queue.lose(first) else { panic!("expected a seat for the job that waits") };
    assert_eq!((queue.lose(first), queue.lost()), (Lost::Replaced(None), 1));
    assert_eq!(job(queue.take(second)), (2, None));
    assert_eq!((queue.lose(second), queue.lost()), (Lost::Spent, 2));
    assert_eq!(queue.push(3).unwrap(), None, "nobody is left and nobody may be started");

    assert_eq!(job(queue.take(first)).0, 3, "it is back");
    assert_eq!(queue.lost(), 1);
    assert!(matches!(queue.take(second), Take::Wait));
    assert_eq!(queue.wait(second), Wait::Retire, "there is one too many now");
    assert_eq!((queue.lost(), queue.workers()), (0, 1));
}

//! The queue between the two sides, without Python: what it costs to put a job in and to take it out.

#![expect(
    clippy::expect_used,
    reason = "a measurement that cannot be made must end"
)]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use httpy_core::{Queue, Seat, Seats, Take, Wait};
use tokio::sync::oneshot;

const ONE: Seats = Seats {
    min: 1,
    max: 1,
    spare: 0,
};
const LONG: Duration = Duration::from_secs(3600);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("queue");
    group.bench_function("push and take by a lead", |bencher| {
        let queue = Queue::new(ONE, LONG, true);
        let seat = queue.first_seats()[0];
        // One job stays in the queue all the time, so that the lead never stops leading.
        queue.push(0).expect("open");
        bencher.iter(|| {
            queue.push(1).expect("open");
            queue.take(seat, || {})
        });
    });
    group.bench_function("there and back between threads", |bencher| {
        let queue = Arc::new(Queue::<oneshot::Sender<()>>::new(ONE, LONG, true));
        let seat = queue.first_seats()[0];
        let worker = thread::spawn({
            let queue = Arc::clone(&queue);
            move || answer(&queue, seat)
        });
        bencher.iter(|| {
            let (answer, answered) = oneshot::channel();
            queue.push(answer).expect("open");
            answered.blocking_recv()
        });
        queue.close();
        worker.join().expect("the worker ends");
    });
    group.finish();
    criterion.final_summary();
}

/// What a worker does, without an interpreter.
fn answer(queue: &Queue<oneshot::Sender<()>>, seat: Seat) {
    loop {
        match queue.take(seat, || {}) {
            // Fails only when the measurement is over.
            Take::Job { job, .. } => drop(job.send(())),
            Take::Wait if queue.wait(seat, || {}) == Wait::Retire => return,
            Take::Wait => {}
        }
    }
}

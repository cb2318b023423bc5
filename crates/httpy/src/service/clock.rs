//! `Clock`: wakes the futures of calls at their time, or when the engine is forced to stop; one timer for all of a runtime.
//!
//! A timer of tokio's for each call would be set and taken back a hundred thousand times a second, and whenever none is
//! left, the next one wakes a thread that sleeps: tokio has to tell it that there is something to wait for. Nearly every
//! call ends long before its time. The one timer here is set to the first time of all that wait, and is left as it is when
//! that one ends early: it fires too early then, once, and is set again if calls still wait.
//!
//! Each runtime has a clock, driven by a task there: no call depends on a runtime that may never run again.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep, sleep_until};

/// The clocks of an engine, one for each runtime on which it is called.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    all: Mutex<Vec<(Id, Arc<Clock>)>>,
}

impl Clocks {
    /// A place on the clock of the current runtime, from which the task of `waker` is woken at `at`.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, and on one without a timer.
    pub(super) fn register(&self, at: Instant, waker: &Waker) -> Registered {
        let runtime = Handle::current();
        let mut all = lock(&self.all);
        let known = all.iter().find(|(id, _)| *id == runtime.id());
        if let Some((clock, place)) =
            known.and_then(|(_, clock)| Some((clock, clock.enter(at, waker)?)))
        {
            return Registered {
                clock: Arc::clone(clock),
                place,
                at,
            };
        }
        // Panics here, where it is of use, and not in the task.
        let sleep = Box::pin(sleep_until(at));
        let clock = Arc::new(Clock::default());
        let place = clock.enter(at, waker).unwrap_or_default();
        all.retain(|(_, clock)| !lock(&clock.state).ended);
        all.push((runtime.id(), Arc::clone(&clock)));
        drop(all);
        runtime.spawn(Driver {
            clock: Arc::downgrade(&clock),
            sleep,
        });
        Registered { clock, place, at }
    }

    /// Wakes everyone who waits.
    pub(crate) fn ring(&self) {
        let clocks: Vec<_> = lock(&self.all)
            .iter()
            .map(|(_, clock)| Arc::clone(clock))
            .collect();
        for clock in clocks {
            clock.ring();
        }
    }
}

/// A place on a clock, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    clock: Arc<Clock>,
    place: usize,
    at: Instant,
}

impl Registered {
    /// Whether it is time; else the task of `waker` is woken then.
    pub(super) fn poll(&mut self, clocks: &Clocks, waker: &Waker) -> bool {
        if Instant::now() >= self.at {
            return true;
        }
        if !self.clock.renew(self.place, waker) {
            *self = clocks.register(self.at, waker);
        }
        false
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.clock.leave(self.place);
    }
}

#[derive(Debug, Default)]
struct Clock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    places: Vec<Option<(Instant, Waker)>>,
    free: Vec<usize>,
    /// When the driver looks next, if at all.
    wakes: Option<Instant>,
    driver: Option<Waker>,
    /// The driver's runtime has gone.
    ended: bool,
}

impl Clock {
    /// A place, given up with [`leave`](Self::leave). `None` if the runtime has gone.
    fn enter(&self, at: Instant, waker: &Waker) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        let place = state.free.pop().unwrap_or(state.places.len());
        let waits = Some((at, waker.clone()));
        match state.places.get_mut(place) {
            Some(free) => *free = waits,
            None => state.places.push(waits),
        }
        if state.wakes.is_none_or(|wakes| at < wakes) {
            state.wakes = Some(at);
            let driver = state.driver.take();
            // Not under the lock: a waker runs code of its own.
            drop(state);
            wake(driver);
        }
        Some(place)
    }

    /// False if the runtime has gone, so that nothing would wake the call.
    fn renew(&self, place: usize, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        let lives = !state.ended;
        if let Some(Some((_, entry))) = state.places.get_mut(place)
            && !entry.will_wake(waker)
        {
            let before = mem::replace(entry, waker.clone());
            drop(state);
            drop(before);
        }
        lives
    }

    fn leave(&self, place: usize) {
        let mut state = lock(&self.state);
        let entry = state.places[place].take();
        state.free.push(place);
        drop(state);
        drop(entry);
    }

    fn ring(&self) {
        let wakers: Vec<_> = lock(&self.state)
            .places
            .iter()
            .flatten()
            .map(|(_, waker)| waker.clone())
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes those whose time has come; when the next one's does.
    fn look(&self, driver: &Waker) -> Option<Instant> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let due: Vec<_> = state
            .places
            .iter()
            .flatten()
            .filter(|(at, _)| *at <= now)
            .map(|(_, waker)| waker.clone())
            .collect();
        state.wakes = state
            .places
            .iter()
            .flatten()
            .map(|(at, _)| *at)
            .filter(|at| *at > now)
            .min();
        state.driver = Some(driver.clone());
        let wakes = state.wakes;
        drop(state);
        due.into_iter().for_each(Waker::wake);
        wakes
    }
}

/// The task that keeps a clock's time, for as long as the clock and the runtime live.
struct Driver {
    clock: Weak<Clock>,
    sleep: Pin<Box<Sleep>>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(clock) = self.clock.upgrade() else {
            return Poll::Ready(());
        };
        while let Some(wakes) = clock.look(context.waker()) {
            self.sleep.as_mut().reset(wakes);
            ready!(self.sleep.as_mut().poll(context));
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.upgrade() {
            lock(&clock.state).ended = true;
            // Whoever is polled on another runtime from now on finds a place there.
            clock.ring();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // So that the driver finds it gone.
        let driver = lock(&self.state).driver.take();
        wake(driver);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tokio::time::sleep;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waker() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn woken(count: &Count) -> usize {
        count.0.swap(0, Ordering::Relaxed)
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    /// A runtime whose time passes when nothing else can be done.
    fn runtime() -> Runtime {
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_woken_at_its_time_also_when_a_later_one_came_first() {
        let clocks = Clocks::default();
        let ((late, late_waker), (early, early_waker)) = (waker(), waker());
        let mut later = clocks.register(after(10), &late_waker);
        let mut earlier = clocks.register(after(5), &early_waker);
        sleep(Duration::from_secs(4)).await;
        assert!(!later.poll(&clocks, &late_waker) && !earlier.poll(&clocks, &early_waker));
        sleep(Duration::from_millis(1_010)).await;
        assert_eq!((woken(&late), woken(&early)), (0, 1));
        assert!(!later.poll(&clocks, &late_waker) && earlier.poll(&clocks, &early_waker));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(woken(&late), 1, "set anew for the one that was left");
        assert!(later.poll(&clocks, &late_waker));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_polled_last_is_woken_and_who_has_left_is_not() {
        let clocks = Clocks::default();
        let ((first, first_waker), (last, last_waker)) = (waker(), waker());
        let mut stays = clocks.register(after(5), &first_waker);
        let leaves = clocks.register(after(5), &first_waker);
        assert!(!stays.poll(&clocks, &last_waker));
        drop(leaves);
        sleep(Duration::from_secs(6)).await;
        assert_eq!((woken(&first), woken(&last)), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_woken_when_it_is_rung() {
        let clocks = Clocks::default();
        let (count, waker) = waker();
        let _registered = [5, 6].map(|seconds| clocks.register(after(seconds), &waker));
        clocks.ring();
        assert_eq!(woken(&count), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_and_one_place_serve_calls_that_follow_each_other() {
        let clocks = Clocks::default();
        let before = Handle::current().metrics().num_alive_tasks();
        for _ in 0..3 {
            drop(clocks.register(after(5), Waker::noop()));
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before + 1);
        assert_eq!(lock(&lock(&clocks.all)[0].1.state).places.len(), 1);
        drop(clocks);
        // The task is woken to find its clock gone.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
    }

    #[test]
    fn a_runtime_that_goes_leaves_nobody_waiting_for_it() {
        let (clocks, (count, waker)) = (Clocks::default(), waker());
        let (first, second) = (runtime(), runtime());
        let at = first.block_on(async { after(5) });
        let mut registered = first.block_on(async { clocks.register(at, &waker) });
        drop(first);
        assert_eq!(woken(&count), 1);
        second.block_on(async {
            let at = after(5);
            registered.at = at;
            assert!(!registered.poll(&clocks, &waker));
            sleep(Duration::from_secs(6)).await;
        });
        assert_eq!(woken(&count), 1);
        assert_eq!(lock(&clocks.all).len(), 1, "the other one is forgotten");
    }

    #[test]
    fn nobody_depends_on_a_runtime_that_is_not_run() {
        let (clocks, (count, waker)) = (Clocks::default(), waker());
        let (idle, busy) = (runtime(), runtime());
        let _idle = idle.block_on(async { clocks.register(after(1), Waker::noop()) });
        busy.block_on(async {
            let _registered = clocks.register(after(1), &waker);
            sleep(Duration::from_secs(2)).await;
        });
        assert_eq!(woken(&count), 1);
    }
}

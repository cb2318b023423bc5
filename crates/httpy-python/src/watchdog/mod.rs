//! `Watchdog`: looks at the workers and the event loop from outside, on two threads.
//!
//! [`clock`] knows when a call is overdue, when its worker or event loop is lost, and since when the interpreter is held. It
//! never attaches, so no Python code can block it: counts, replacements and their log lines are always in time.
//! [`inspector`] attaches, and may wait for the interpreter. It does what the clock asks for, interrupts calls and finds out
//! what blocks the event loop; and it reads stacks ([`stack`](crate::stack)), but interruptions come first.
//!
//! A client's 504 does not need them: it comes from the response future's timer. Both threads sleep while no call is overdue,
//! no call is on the event loop, and no stack is asked for.

mod calls;
mod clock;
mod inspector;

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use httpy_core::{Notice, Ticket};

use self::calls::{Action, Calls, Stuck};
pub(crate) use self::inspector::serve_clock;
use crate::event_loop::EventLoop;
use crate::pool::Crew;
use crate::stack::{Request, Requests};

/// Time between two looks whether a waiting worker has got the interpreter.
const LOOK: Duration = Duration::from_millis(20);

/// What the two threads share with those who ask them for something.
pub(crate) struct Watchdog {
    state: Mutex<State>,
    clock: Condvar,
    inspector: Condvar,
    /// The clock looks at the event loop from time to time, or is about to.
    watches_loop: AtomicBool,
}

struct State {
    /// The calls on workers that nothing waits for.
    calls: Calls,
    /// The event loops that the inspector is to look at.
    blocked: Vec<Arc<EventLoop>>,
    stacks: Requests,
    /// What the clock sleeps until. `None` while it sleeps without a limit.
    wakes: Option<Instant>,
    /// Whether the clock is to look at the event loop now.
    woken: bool,
    closed: bool,
    /// The clock has ended: nothing is asked for any more.
    ended: bool,
}

/// What the inspector is up for.
enum Task {
    /// What the clock asks for.
    Clock,
    Stacks(Request),
}

impl Watchdog {
    pub(crate) fn new(seats: usize, lost_after: Duration) -> Self {
        let state = State {
            calls: Calls::new(seats, lost_after),
            blocked: Vec::new(),
            stacks: Requests::default(),
            wakes: None,
            woken: false,
            closed: false,
            ended: false,
        };
        Self {
            state: Mutex::new(state),
            clock: Condvar::new(),
            inspector: Condvar::new(),
            watches_loop: AtomicBool::new(false),
        }
    }

    /// Starts the two threads.
    ///
    /// # Errors
    ///
    /// When the operating system gives none.
    pub(crate) fn start(crew: &Arc<Crew>) -> io::Result<()> {
        let also = Arc::clone(crew);
        thread::Builder::new()
            .name("httpy-watchdog".to_owned())
            .spawn(move || clock::run(&also))?;
        let also = Arc::clone(crew);
        let builder = thread::Builder::new()
            .name("httpy-inspector".to_owned())
            .stack_size(crew.options().stack_size);
        builder.spawn(move || inspector::run(&also))?;
        Ok(())
    }

    /// Watches a call of the handler `target` on a worker, which nothing waits for. False if it does not run any more. If it
    /// takes the place of a call that is over, what is still to be logged of that is returned.
    pub(crate) fn watch(
        &self,
        target: String,
        ticket: &Arc<Ticket>,
        answered: bool,
    ) -> (bool, Option<Notice>) {
        let mut state = self.lock();
        let (from, before) = state.calls.watch(target, ticket, answered);
        if let Some(from) = from
            && state.wakes.is_none_or(|wakes| from < wakes)
        {
            state.wakes = Some(from);
            self.clock.notify_one();
        }
        (from.is_some(), before)
    }

    /// A call was pushed to the event loop, and is counted there.
    pub(crate) fn watch_loop(&self) {
        // After the count: the clock says that it sleeps before it looks at the count.
        if !self.watches_loop.load(Ordering::SeqCst) {
            self.wake_for_loop();
        }
    }

    /// Has the clock look at the event loop now: a client was answered with 504, perhaps by a call that blocks the loop.
    pub(crate) fn wake_for_loop(&self) {
        self.lock().woken = true;
        self.watches_loop.store(true, Ordering::SeqCst);
        self.clock.notify_one();
    }

    /// The clock's side: it does not look at the event loop any more. False if the loop `has_calls` after that was said.
    pub(crate) fn unwatch_loop(&self, has_calls: impl FnOnce() -> bool) -> bool {
        self.watches_loop.store(false, Ordering::SeqCst);
        let has_calls = has_calls();
        if has_calls {
            self.watches_loop.store(true, Ordering::SeqCst);
        }
        !has_calls
    }

    /// The clock's side: has the inspector look at a blocked event loop.
    pub(crate) fn examine(&self, event_loop: &Arc<EventLoop>) {
        let mut state = self.lock();
        // Otherwise it has not come to it.
        if !state.blocked.iter().any(|it| Arc::ptr_eq(it, event_loop)) {
            state.blocked.push(Arc::clone(event_loop));
            self.inspector.notify_one();
        }
    }

    /// Has the inspector read stacks. What `ask` would keep in the requests is dropped if the threads have ended.
    pub(crate) fn request_stacks(&self, ask: impl FnOnce(&mut Requests)) {
        let mut state = self.lock();
        if !state.ended {
            ask(&mut state.stacks);
            self.inspector.notify_one();
        }
    }

    /// Time since which the interpreter is wanted for an overdue call and not available.
    pub(crate) fn held_for(&self) -> Option<Duration> {
        self.lock().calls.asked().map(|asked| asked.elapsed())
    }

    /// Ends the threads, after the calls that are watched now.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.clock.notify_one();
    }

    /// The clock's side: sleeps until something is to be done, about the event loop at `loop_wakes`. `None` when nothing will
    /// be any more.
    fn wait(&self, loop_wakes: Option<Instant>) -> Option<Vec<Action>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let mut actions = state.calls.look(now);
            if state.calls.asked() == Some(now) {
                self.inspector.notify_one();
            }
            if state.woken || loop_wakes.is_some_and(|wakes| wakes <= now) {
                let woken = mem::take(&mut state.woken);
                actions.push(Action::LookAtLoop { woken });
            }
            if !actions.is_empty() {
                return Some(actions);
            }
            if state.closed && !state.calls.awaits() {
                state.ended = true;
                self.inspector.notify_one();
                return None;
            }
            let wakes = state.calls.next_look().into_iter().chain(loop_wakes).min();
            state.wakes = wakes;
            let left = wakes.map(|wakes| wakes.saturating_duration_since(now));
            state = wait(&self.clock, state, left);
        }
    }

    /// The inspector's side: sleeps, detached, until there is something to do. `awaited` is how many jobs were taken so far,
    /// while a worker waits for the interpreter. `None` when there will be nothing any more.
    fn wait_until_asked(&self, awaited: impl Fn() -> Option<u64>) -> Option<Task> {
        let mut state = self.lock();
        let mut line = None;
        loop {
            if state.calls.asked().is_some() || !state.blocked.is_empty() {
                return Some(Task::Clock);
            }
            // CPython wakes all threads that wait for the interpreter once per switch interval; a worker that waits is enough
            // to notice when it is available.
            let taken = awaited().filter(|taken| line.is_none_or(|line| line == *taken));
            if taken.is_none()
                && let Some(request) = state.stacks.next()
            {
                return Some(Task::Stacks(request));
            }
            line = taken;
            let waits = !state.stacks.is_empty();
            if state.ended && !waits {
                return None;
            }
            state = wait(&self.inspector, state, waits.then_some(LOOK));
        }
    }

    /// The inspector's side, attached: the calls to interrupt, and the event loops to look at.
    fn take_asked(&self) -> (Vec<Stuck>, Vec<Arc<EventLoop>>) {
        let mut state = self.lock();
        if state.calls.asked().is_some() {
            // It sleeps with another time in mind, and has to learn of calls that are over.
            self.clock.notify_one();
        }
        (state.calls.take_asked(), mem::take(&mut state.blocked))
    }

    /// The inspector's side: these calls were interrupted just now.
    fn interrupted<'a>(&self, calls: impl Iterator<Item = &'a Stuck>) {
        self.lock().calls.interrupted(calls);
        self.clock.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(
    bell: &Condvar,
    state: MutexGuard<'a, State>,
    left: Option<Duration>,
) -> MutexGuard<'a, State> {
    match left {
        None => bell.wait(state).unwrap_or_else(PoisonError::into_inner),
        Some(left) => {
            let waited = bell.wait_timeout(state, left);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};
    use httpy_core::{Call, Clocks, Freight, Seat};
    use tokio::sync::oneshot;

    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn an_interruption_comes_before_stacks_that_were_asked_for_earlier() {
        let watchdog = Watchdog::new(1, NO_TIME);
        let (sender, _receiver) = oneshot::channel();
        watchdog.request_stacks(|requests| requests.ask(sender));
        let (call, now) = (
            Call::new(Method::GET, Uri::from_static("/")),
            Instant::now(),
        );
        let clocks = Clocks {
            deadline: now,
            chunk_timeout: NO_TIME,
            abandon_after: NO_TIME,
        };
        let ticket = Arc::new(Ticket::new(call, now, clocks, Freight::default()));
        assert!(ticket.take(Seat(0)));
        assert!(watchdog.watch(String::new(), &ticket, true).0);
        // As the clock does.
        assert!(watchdog.lock().calls.look(Instant::now()).is_empty());
        // A worker waits for the interpreter, which delays the stacks only.
        let task = watchdog.wait_until_asked(|| Some(1));
        assert!(matches!(task, Some(Task::Clock)));
        assert_eq!(watchdog.take_asked().0.len(), 1);
        let task = watchdog.wait_until_asked(|| None);
        assert!(matches!(task, Some(Task::Stacks(_))));
    }

    #[test]
    fn stacks_wait_while_a_worker_waits_for_the_interpreter_in_vain() {
        let watchdog = Watchdog::new(1, NO_TIME);
        let (sender, _receiver) = oneshot::channel();
        watchdog.request_stacks(|requests| requests.ask(sender));
        let looks = std::cell::Cell::new(0);
        let awaited = || {
            looks.set(looks.get() + 1);
            // In the third look it has got it, and has taken another job.
            Some(if looks.get() < 3 { 7 } else { 8 })
        };
        let task = watchdog.wait_until_asked(awaited);
        assert!(matches!(task, Some(Task::Stacks(_))));
        assert_eq!(looks.get(), 3);
    }

    #[test]
    fn what_is_asked_for_after_the_end_is_dropped() {
        let watchdog = Watchdog::new(1, NO_TIME);
        watchdog.close();
        assert!(watchdog.wait(None).is_none());
        let (sender, mut receiver) = oneshot::channel();
        watchdog.request_stacks(|requests| requests.ask(sender));
        assert!(watchdog.wait_until_asked(|| None).is_none());
        assert!(matches!(
            receiver.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        ));
    }
}

//! The end: `stop_on` while the server still serves, `grace_elapsed` when it does not stop by itself, `shutdown` after it, and
//! `shutdown_signal`.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use httpy_core::{ExitLimits, ExitReport};
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::PyEngine;
use crate::Error;

/// Time for the last answers to be written before the connections are abandoned.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Time for each part of the end: what handlers have shielded; the shutdown function with the event loops; Python's threads.
const PART: Duration = Duration::from_secs(5);
/// Time for all of it, before the process goes on without the rest.
const EXIT: Duration = Duration::from_secs(10);

/// The exit code after a second signal, as a shell reports an interrupt.
const FORCED: i32 = 130;

/// The signal that [`shutdown_signal`] has seen: of the process, as signals are.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

impl PyEngine {
    /// A future for axum's [`with_graceful_shutdown`], for programs that do not use [`serve`](Self::serve).
    ///
    /// When `signal` resolves, [`readiness`](Self::readiness) answers 503, and a line of the log says how many calls are left.
    /// The future resolves after the [drain](crate::PyEngineBuilder::drain); from then on new calls are answered with 503.
    /// `grace` after the signal, calls that are still pending are answered with 503 too, so that the server ends, which
    /// otherwise waits for them without limit.
    ///
    /// Handlers whose clients have left have the grace period as well: [`shutdown`](Self::shutdown) waits for them. Handlers
    /// that run beyond it go on until their deadline, or end with the process. A native route that never answers, a client
    /// that never reads its response, and one that stops in the middle of a request's head still hold the server:
    /// [`grace_elapsed`](Self::grace_elapsed) ends these.
    ///
    /// With several engines the signal goes through one after the other, each with its drain:
    /// `b.stop_on(a.stop_on(signal, grace), grace)`.
    ///
    /// # Panics
    ///
    /// The future must run on a tokio runtime with its timer.
    ///
    /// [`with_graceful_shutdown`]: https://docs.rs/axum/0.8/axum/serve/struct.Serve.html#method.with_graceful_shutdown
    pub fn stop_on<F>(
        &self,
        signal: F,
        grace: Duration,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future + Send + 'static,
    {
        let engine = self.clone();
        async move {
            let shared = Arc::clone(&engine.inner.shared);
            engine.announce(None);
            drop(engine);
            signal.await;
            let (begin, interrupted) = (Instant::now(), was_interrupted());
            let ends = begin + grace;
            shared.gate.drain(ends);
            tracing::info!(target: "httpy", "{}", stopping(shared.under_way.count(), grace));
            let also = Arc::clone(&shared);
            tokio::spawn(async move {
                sleep_until(ends).await;
                also.gate.end();
            });
            if !interrupted {
                sleep(shared.drain.min(grace / 2)).await;
            }
            shared.gate.close();
        }
    }

    /// Resolves 0.5 s after the grace period of [`stop_on`](Self::stop_on), for programs that do not use
    /// [`serve`](Self::serve).
    ///
    /// The last answers are written by then. Connections that are still open wait for a client or a native route, which is
    /// logged. Race it against the server, so that it is dropped when the server ends by itself:
    ///
    /// ```no_run
    /// # async fn serve(engine: httpy::PyEngine, listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// # let grace = std::time::Duration::from_secs(10);
    /// let stop = engine.stop_on(httpy::shutdown_signal(), grace);
    /// tokio::select! {
    ///     served = axum::serve(listener, app).with_graceful_shutdown(stop) => served?,
    ///     () = engine.grace_elapsed() => {} // connections that are still open are closed with the runtime
    /// }
    /// engine.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`shutdown`](Self::shutdown) alone does not resolve it: a host may end an engine and keep serving. Of several engines take
    /// the one whose `stop_on` is outermost: its grace period begins last.
    ///
    /// Dropping the runtime, as `#[tokio::main]` does at the end, waits without a limit for what the host itself has given to
    /// `spawn_blocking`; httpy leaves nothing there.
    ///
    /// # Panics
    ///
    /// The future must run on a tokio runtime with its timer.
    pub fn grace_elapsed(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.inner.shared);
        async move {
            shared.gate.ended().await;
            sleep(LAST_ANSWERS).await;
            tracing::warn!(target: "httpy", "connections are still open after the grace period, and are closed");
        }
    }

    /// Ends the engine, after serving; [`serve`](Self::serve) does it.
    ///
    /// New calls are answered with 503. Handlers that still run have what is left of the grace period of
    /// [`stop_on`](Self::stop_on), whether their clients wait or not; without one, pending calls are answered with 503 at once.
    /// Code in a `httpy_rs.shield()` has 5 s more. Then the
    /// [shutdown function](crate::PyEngineBuilder::shutdown_function) is called. After the last engine of the process, tasks
    /// that are left on the event loops are cancelled (5 s together).
    ///
    /// Worker processes end here. The interpreter of this process ends with the process, however `main` returns or
    /// `std::process::exit` is called: threads that are no daemons are waited for (5 s), `atexit` runs, open files are
    /// flushed. So another engine can be built after this, in tests for example. Modules stay imported: what a shutdown
    /// function has closed, the next init function has to open.
    ///
    /// After the grace period, both together take 10 s at most, whatever Python code does: the log names what is left over.
    /// Idempotent; every call returns when the engine has ended.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not stop what Python has begun; the next call waits for the rest.
    pub async fn shutdown(&self) {
        let shared = &self.inner.shared;
        shared.gate.close();
        // Also for handlers that no connection waits for any more, which is why the server has ended before.
        let grace = shared.gate.grace_left();
        if !grace.is_zero() {
            // Fails at the end of the grace period.
            let _ = timeout(grace, shared.under_way.idle()).await;
        }
        shared.gate.force();
        let grace = shared.gate.grace_left();
        let mut ended = self.inner.ended.get_or_init(|| self.end(grace)).clone();
        if !matches!(
            timeout(grace + EXIT, ended.wait_for(|ended| *ended)).await,
            Ok(Ok(_))
        ) {
            tracing::warn!(target: "httpy", "Python did not end within {EXIT:?}: the process continues without it");
        }
    }

    /// Leaves the interpreter, and ends its event loops when this was the last engine; true arrives when that is done. What
    /// is shielded still has `grace`.
    fn end(&self, grace: Duration) -> watch::Receiver<bool> {
        let left = self.inner.shared.under_way.count();
        if left > 0 {
            tracing::warn!(target: "httpy", calls = left, "the engine ends before calls that still run");
        }
        let (sender, receiver) = watch::channel(false);
        let sender = Arc::new(sender);
        let (name, done) = (
            self.inner.config.engine.shutdown_function.clone(),
            Arc::clone(&sender),
        );
        let limits = ExitLimits {
            shielded: grace + PART,
            rest: PART,
        };
        let report = move |report| {
            log(name.as_deref().unwrap_or_default(), report);
            done.send_replace(true);
        };
        if !self
            .inner
            .shared
            .executor
            .shut_down(limits, Box::new(report))
        {
            sender.send_replace(true);
        }
        receiver
    }
}

fn log(function: &str, mut report: ExitReport) {
    if let Some(exception) = report.shutdown.take() {
        crate::log::failure(function, None, &Error::raised(function, exception));
    }
    crate::log::exit_report(report);
}

/// What is said when the end begins: `stopping: 1 call left, up to 10 s; Ctrl-C again ends at once`.
fn stopping(left: usize, grace: Duration) -> String {
    let grace = if grace.subsec_nanos() == 0 {
        format!("{} s", grace.as_secs())
    } else {
        format!("{grace:?}")
    };
    let again = match SIGNAL.load(Ordering::Relaxed) {
        SIGINT => "; Ctrl-C again ends at once",
        SIGTERM => "; a second signal ends at once",
        _ => "",
    };
    format!("stopping: {} left, up to {grace}{again}", calls(left))
}

fn calls(count: usize) -> String {
    match count {
        0 => "no calls".to_owned(),
        1 => "1 call".to_owned(),
        count => format!("{count} calls"),
    }
}

/// Whether Ctrl-C was the signal.
fn was_interrupted() -> bool {
    SIGNAL.load(Ordering::Relaxed) == SIGINT
}

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM; [`PyEngine::serve`] uses it. After that a second one, of either, ends the
/// process at once, with exit code 130.
///
/// The signals are watched from this call on, not from the first poll. If they cannot be watched, that is logged, and the
/// future never resolves.
///
/// # Panics
///
/// When called outside of a tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let watched = watch_signals();
    async move {
        match watched {
            Ok((mut interrupt, mut terminate)) => {
                let signal = tokio::select! {
                    _ = interrupt.recv() => SIGINT,
                    _ = terminate.recv() => SIGTERM,
                };
                SIGNAL.store(signal, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::error!(target: "httpy", %error, "signals cannot be watched: stop the process by other means");
                std::future::pending::<()>().await;
            }
        }
    }
}

fn watch_signals() -> io::Result<(Signal, Signal)> {
    let watched = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Actions run in the order of their registration, in the signal handler itself: the first signal passes by the
        // condition and sets it, and the second needs no thread of ours to be alive.
        signal_hook::flag::register_conditional_shutdown(signal, FORCED, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(watched)
}

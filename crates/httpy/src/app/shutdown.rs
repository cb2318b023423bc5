//! The end: `stop_on` while the server still serves, `forced` when it does not stop by itself, `shutdown` after it,
//! `shutdown_signal` for all.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use httpy_core::ExitReport;
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::PyApp;
use crate::Error;

/// The last answers get so long to be written, before the connections are left behind.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The shutdown function with the event loops gets so long, and then Python's own threads.
const THREADS: Duration = Duration::from_secs(5);
/// And with them the functions that are registered for the exit, before the process goes on without them.
const EXIT: Duration = Duration::from_secs(10);

/// The exit code after a second signal, as a shell reports an interrupt.
const FORCED: i32 = 130;

impl PyApp {
    /// A future for [`with_graceful_shutdown`]: it resolves when `signal` does, and from then on new calls are answered
    /// with 503, and [`readiness`](Self::readiness) says why. After `grace` every call that is still pending is answered with
    /// 503 too, so that `serve` returns, which otherwise waits for them without limit.
    ///
    /// Handlers that are running then go on, until their deadline or with the process. What no handler is behind is not seen
    /// from here, and still holds `serve`: a native route that never answers, a client that never reads its response, one
    /// that stops in the middle of a request's head. [`forced`](Self::forced) ends these.
    ///
    /// With several apps the signal goes through one after the other: `b.stop_on(a.stop_on(signal, grace), grace)`.
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
        let shared = Arc::clone(&self.inner.shared);
        async move {
            signal.await;
            shared.gate.close();
            tokio::spawn(async move {
                sleep(grace).await;
                shared.gate.end();
            });
        }
    }

    /// Resolves 0.5 s after the grace period of [`stop_on`](Self::stop_on) has ended: the last 503s are written by then, and
    /// what is still open is held by nobody but a client or a native route, which is logged. To be raced against the server,
    /// so that it is dropped when the server ends by itself:
    ///
    /// ```no_run
    /// # async fn serve(python: httpy::PyApp, listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
    /// # let grace = std::time::Duration::from_secs(10);
    /// let stop = python.stop_on(httpy::shutdown_signal(), grace);
    /// tokio::select! {
    ///     served = axum::serve(listener, app).with_graceful_shutdown(stop) => served?,
    ///     () = python.forced() => {} // connections that are still open are closed with the runtime
    /// }
    /// python.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`shutdown`](Self::shutdown) alone does not resolve it: a host may end an app and serve on. With several apps any of
    /// them will do, as their grace periods begin together: take the one with the longest.
    ///
    /// Dropping the runtime, as `#[tokio::main]` does at the end, waits for what the host itself has given to
    /// `spawn_blocking`, without a limit; httpy leaves nothing there.
    ///
    /// # Panics
    ///
    /// The future must run on a tokio runtime with its timer.
    pub fn forced(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.inner.shared);
        async move {
            shared.gate.ended().await;
            sleep(LAST_ANSWERS).await;
            tracing::warn!(target: "httpy", "connections are still open after the grace period: they are left behind");
        }
    }

    /// Ends the app, after serving: new calls are answered with 503, pending ones too, and the
    /// [shutdown function](crate::PyAppBuilder::shutdown_function) is called. When it was the last app of the process, Python
    /// ends as a program does: tasks that are left on the event loops are cancelled (5 s with the shutdown function), threads
    /// that are no daemons are waited for (5 s), `atexit` runs, stdout and stderr are flushed. After that no app can be built
    /// any more.
    ///
    /// Takes 10 s at most, whatever Python code does: what is left over then is named in the log. Idempotent; every call
    /// returns when Python has ended.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not stop what Python has begun; the next call waits for the rest.
    pub async fn shutdown(&self) {
        let shared = &self.inner.shared;
        shared.gate.close();
        shared.gate.force();
        let mut ended = self.inner.ended.get_or_init(|| self.end()).clone();
        if !matches!(
            timeout(EXIT, ended.wait_for(|ended| *ended)).await,
            Ok(Ok(_))
        ) {
            tracing::warn!(target: "httpy", "Python did not end within {EXIT:?}: the process goes on without it");
        }
    }

    /// Leaves the interpreter, and has it end when this was the last app; true arrives when that is done.
    fn end(&self) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        let sender = Arc::new(sender);
        let (name, done) = (
            self.inner.config.shutdown_function.clone(),
            Arc::clone(&sender),
        );
        let report = move |report| {
            log(name.as_deref().unwrap_or_default(), report);
            done.send_replace(true);
        };
        if !self
            .inner
            .shared
            .executor
            .shut_down(THREADS, Box::new(report))
        {
            sender.send_replace(true);
        }
        receiver
    }
}

fn log(function: &str, report: ExitReport) {
    if let Some(exception) = report.shutdown {
        crate::log::failure(function, None, &Error::raised(function, exception));
    }
    for thread in report.threads {
        tracing::warn!(target: "httpy", thread, "a thread that Python code started still runs at the exit");
    }
    for error in report.errors {
        tracing::error!(target: "httpy", "an exit function raised\n{}", error.trim_end());
    }
}

/// Resolves at the first SIGINT (Ctrl-C) or SIGTERM. From then on a second one, of either, ends the process at once, with
/// exit code 130: whoever asks twice does not want to wait.
///
/// The signals are watched from this call on, not from the first poll. When they cannot be watched, that is logged, and the
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
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
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

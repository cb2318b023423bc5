//! `Notice`: what the operator is to hear of deadlines and of the workers behind them, as plain data on its way to the
//! log. The host's subscriber is never called attached, so that whoever has something to say says it afterwards.

use std::fmt;
use std::time::Duration;

use super::ProcessNotice;
use crate::{Exception, Lane, Limit, Subject, Timings};

/// One line of the log; `Display` is its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A call whose deadline has passed is interrupted.
    Overdue {
        /// What it does.
        call: Overdue,
        /// Its Python frames, as a traceback prints them; empty when no Python code runs in it.
        stack: String,
        /// It is in a shield, and is interrupted as it leaves it.
        shielded: bool,
    },
    /// A call was answered with 504, or its response broken off, and ended by itself before it could be interrupted.
    Late {
        /// The handler's target.
        target: String,
        /// Its request.
        subject: Subject,
        /// How long the call was allowed to take.
        limit: Limit,
    },
    /// A client took nothing of a streamed response for too long: it breaks off.
    Stalled {
        /// The handler's target.
        target: String,
        /// Its request.
        subject: Subject,
        /// For how long.
        limit: Duration,
    },
    /// A call takes long; it goes on.
    Slow {
        /// What it does.
        call: Slow,
        /// Its Python frames; none where it has ended meanwhile, or still waits.
        stack: Option<String>,
    },
    /// A worker does not come back from its call, and counts as lost.
    Lost {
        /// The number of the worker, as in its thread's name.
        worker: usize,
        /// What keeps it.
        call: Overdue,
        /// How many more lost workers would be replaced; none when this one already is not.
        left: Option<usize>,
    },
    /// As many workers are replaced as may be.
    Spent {
        /// How many.
        replacements: usize,
        /// How many are lost.
        lost: usize,
    },
    /// Calls wait, and the system gives no thread for one more worker: they are left to those that there are.
    NoThread {
        /// What the system says.
        error: String,
    },
    /// A lost worker has come back.
    Returned {
        /// The number of the worker.
        worker: usize,
        /// What kept it.
        call: Overdue,
    },
    /// A call on an event loop whose deadline has passed is cancelled.
    Cancelled {
        /// What it does.
        call: Overdue,
        /// Where it waits, as a traceback prints it; none where too many were asked for at once.
        stack: Option<String>,
    },
    /// A call goes on though it was cancelled a while ago.
    Uncancelled {
        /// What it does.
        call: Overdue,
    },
    /// An event loop does not come round, because something on it does not wait.
    Blocked {
        /// The loop's thread.
        name: String,
        /// For how long.
        blocked_for: Duration,
        /// The call that blocks it; none where it is a task that a handler left behind, or a callback.
        call: Option<Overdue>,
        /// The Python frames of its thread, as a traceback prints them.
        stack: String,
    },
    /// An event loop does not come back, and is lost.
    LostLoop {
        /// The loop's thread.
        name: String,
        /// The call that keeps it; none where it is a task that a handler left behind, or a callback.
        call: Option<Overdue>,
        /// How many more lost workers and loops would be replaced; none when this one already is not.
        left: Option<usize>,
        /// Why none could be started in its place, where one was tried.
        error: Option<String>,
    },
    /// A lost event loop has come back, and has ended.
    EndedLoop {
        /// The loop's thread.
        name: String,
    },
    /// Tasks of an event loop did not end when they were cancelled at the loop's end, and were left behind.
    Left {
        /// Their names.
        tasks: Vec<String>,
    },
    /// An event loop could not be run, or not be closed: app code has broken `asyncio`.
    LoopFailed {
        /// The loop's thread.
        name: String,
        /// What was raised.
        exception: Exception,
    },
    /// Something has become of a worker process.
    Process(ProcessNotice),
    /// Calls cannot be interrupted, because other code does not give the interpreter up.
    Held {
        /// For how long.
        held_for: Duration,
        /// The overdue calls, with their frames where those could be read.
        calls: Vec<(Overdue, Option<String>)>,
    },
}

/// A call past its deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The handler's target.
    pub target: String,
    /// Its request.
    pub subject: Subject,
    /// How long the call was allowed to take.
    pub limit: Limit,
    /// How long ago it was put into the queue.
    pub elapsed: Duration,
}

/// A call that takes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// The handler's target.
    pub target: String,
    /// Its request.
    pub subject: Subject,
    /// How long ago it was put into the queue when that was noticed.
    pub elapsed: Duration,
    /// What runs it.
    pub lane: Lane,
    /// Whether it was taken by then.
    pub taken: bool,
    /// How long it had waited by then, and for what.
    pub timings: Timings,
    /// How many like it were suppressed since the last one that was logged.
    pub suppressed: u64,
}

impl Notice {
    /// The target of the handler that the notice is about, and the request, where it is one.
    pub fn call(&self) -> Option<(&str, Option<&Subject>)> {
        let (target, subject) = match self {
            Self::Overdue { call, .. }
            | Self::Cancelled { call, .. }
            | Self::Uncancelled { call }
            | Self::Blocked {
                call: Some(call), ..
            }
            | Self::Lost { call, .. }
            | Self::LostLoop {
                call: Some(call), ..
            }
            | Self::Returned { call, .. } => (&call.target, &call.subject),
            Self::Late {
                target, subject, ..
            }
            | Self::Stalled {
                target, subject, ..
            } => (target, subject),
            Self::Slow { call, .. } => (&call.target, &call.subject),
            Self::Blocked { call: None, .. }
            | Self::LostLoop { call: None, .. }
            | Self::EndedLoop { .. }
            | Self::Left { .. }
            | Self::LoopFailed { .. }
            | Self::Spent { .. }
            | Self::NoThread { .. }
            | Self::Held { .. } => return None,
            Self::Process(notice) => return notice.call(),
        };
        Some((target, Some(subject)))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overdue {
                call,
                stack,
                shielded,
            } => {
                write!(f, "{} {}", call.target, call.limit)?;
                let what = if *shielded {
                    "it is interrupted when it leaves its shield"
                } else {
                    "it is interrupted"
                };
                write!(f, "; {what}, after {:.1?}", call.elapsed)?;
                route(f, &call.subject)?;
                frames(f, Some(stack))
            }
            Self::Cancelled { call, stack } => {
                let Overdue {
                    target,
                    limit,
                    elapsed,
                    ..
                } = call;
                write!(f, "{target} {limit}; it is cancelled, after {elapsed:.1?}")?;
                route(f, &call.subject)?;
                stack
                    .as_ref()
                    .map_or(Ok(()), |stack| frames(f, Some(stack)))
            }
            Self::Uncancelled { call } => {
                write!(
                    f,
                    "{} continues although it was cancelled, after {:.1?}",
                    call.target, call.elapsed
                )?;
                route(f, &call.subject)?;
                f.write_str(": it counts as in flight until it ends")
            }
            Self::Blocked {
                name,
                blocked_for,
                call,
                stack,
            } => {
                write!(
                    f,
                    "{name} has been blocked for {blocked_for:.1?}, and with it every async handler on it, by "
                )?;
                match call {
                    Some(call) => {
                        write!(f, "{}, after {:.1?}", call.target, call.elapsed)?;
                        route(f, &call.subject)?;
                    }
                    None => f.write_str("a background task")?,
                }
                frames(f, Some(stack))
            }
            Self::LostLoop {
                name,
                call,
                left,
                error,
            } => {
                write!(f, "{name} is lost: ")?;
                match call {
                    Some(call) => {
                        write!(f, "{} has kept it for {:.1?}", call.target, call.elapsed)?;
                        route(f, &call.subject)?;
                    }
                    None => f.write_str("a background task has kept it")?,
                }
                match (left, error) {
                    (Some(left), _) => write!(f, "; replaced, {left} replacements left"),
                    (None, None) => f.write_str("; not replaced"),
                    (None, Some(error)) => {
                        write!(f, "; not replaced, as none could be started: {error}")
                    }
                }
            }
            Self::EndedLoop { name } => {
                write!(f, "{name}, which was lost, has ended")
            }
            Self::Left { tasks } => write!(
                f,
                "tasks were left behind at the end of their event loop, as they did not end when they were cancelled: {}",
                tasks.join(", ")
            ),
            Self::LoopFailed { name, exception } => {
                write!(
                    f,
                    "{name} has failed: {exception}\n{}",
                    exception.traceback().trim_end()
                )
            }
            Self::Late { target, limit, .. } => write!(f, "{target} {limit}"),
            Self::Slow { call, stack } => {
                let Slow {
                    target,
                    lane,
                    elapsed,
                    timings: Timings { queue, attach, .. },
                    ..
                } = call;
                write!(f, "{target} has taken {elapsed:.1?}")?;
                route(f, &call.subject)?;
                if !call.taken {
                    let what = if *lane == Lane::Worker {
                        "a worker"
                    } else {
                        "its event loop"
                    };
                    return write!(
                        f,
                        ", and still waits for {what}: its handler was not called yet"
                    );
                }
                let run = elapsed.saturating_sub(*queue + *attach);
                match lane {
                    Lane::Worker => {
                        write!(
                            f,
                            ": {queue:.1?} in the queue, {attach:.1?} waiting for the interpreter, "
                        )?;
                    }
                    // The loop does not measure its wait for the interpreter.
                    Lane::EventLoop => {
                        write!(f, ": {queue:.1?} until its first step on the event loop, ")?;
                    }
                }
                write!(f, "{run:.1?} in its handler")?;
                match stack {
                    Some(stack) => frames(f, Some(stack)),
                    None => f.write_str("; it has ended before its stack was read"),
                }
            }
            Self::Stalled { target, limit, .. } => {
                write!(
                    f,
                    "the client of {target} has read nothing for {limit:?}: its response is aborted"
                )
            }
            Self::Lost { worker, call, left } => {
                let Overdue {
                    target, elapsed, ..
                } = call;
                write!(
                    f,
                    "worker {worker} is lost: {target} has been in its call for {elapsed:.1?}"
                )?;
                route(f, &call.subject)?;
                match left {
                    Some(left) => write!(f, "; replaced, {left} replacements left"),
                    None => write!(f, "; not replaced"),
                }
            }
            Self::Spent { replacements, lost } => write!(
                f,
                "{lost} workers are lost, and all {replacements} replacements are spent: there are fewer workers until \
                 some come back; only a restart of the process ends handlers that never return"
            ),
            Self::NoThread { error } => write!(
                f,
                "no thread for one more worker, though calls wait: {error}"
            ),
            Self::Returned { worker, call } => {
                write!(
                    f,
                    "worker {worker} is back: {} ended after {:.1?}",
                    call.target, call.elapsed
                )
            }
            Self::Process(notice) => notice.fmt(f),
            Self::Held { held_for, calls } => {
                write!(
                    f,
                    "the interpreter has been held for {held_for:.1?}, so overdue handlers cannot be interrupted: probably by C code \
                     that does not detach"
                )?;
                for (call, stack) in calls {
                    write!(f, "\noverdue: {}, after {:.1?}", call.target, call.elapsed)?;
                    write!(f, ", {}", call.subject.method)?;
                    route(f, &call.subject)?;
                    frames(f, stack.as_deref())?;
                }
                Ok(())
            }
        }
    }
}

fn route(f: &mut fmt::Formatter<'_>, subject: &Subject) -> fmt::Result {
    subject
        .route
        .as_ref()
        .map_or(Ok(()), |route| write!(f, ", route {route}"))
}

fn frames(f: &mut fmt::Formatter<'_>, stack: Option<&str>) -> fmt::Result {
    match stack.map(str::trim_end) {
        None => write!(f, "\n  <its stack could not be read>"),
        Some("") => write!(f, "\n  <no Python code runs in it>"),
        Some(stack) => write!(f, "\nStack (most recent call last):\n{stack}"),
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;
    use crate::Clock;

    fn call() -> Overdue {
        Overdue {
            target: "worker:handle".to_owned(),
            subject: Subject {
                method: Method::GET,
                route: Some("/slow/{id}".to_owned()),
                uri: Uri::from_static("/slow/7"),
            },
            limit: Limit {
                clock: Clock::Head,
                time: Duration::from_secs(1),
            },
            elapsed: Duration::from_millis(6040),
        }
    }

    #[test]
    fn each_says_what_happened_in_one_sentence() {
        let stack = "  File \"w.py\", line 3, in handle\n".to_owned();
        let overdue = Notice::Overdue {
            call: call(),
            stack,
            shielded: false,
        };
        assert_eq!(
            overdue.to_string(),
            "worker:handle did not answer within 1s; it is interrupted, after 6.0s, route /slow/{id}\n\
             Stack (most recent call last):\n  File \"w.py\", line 3, in handle"
        );
        let lost = Notice::Lost {
            worker: 3,
            call: call(),
            left: Some(15),
        };
        assert_eq!(
            lost.to_string(),
            "worker 3 is lost: worker:handle has been in its call for 6.0s, route /slow/{id}; replaced, 15 replacements left"
        );
        let held = Notice::Held {
            held_for: Duration::from_secs(1),
            calls: vec![(call(), None)],
        };
        assert_eq!(
            held.to_string(),
            "the interpreter has been held for 1.0s, so overdue handlers cannot be interrupted: probably by C code that does \
             not detach\n\
             overdue: worker:handle, after 6.0s, GET, route /slow/{id}\n  <its stack could not be read>"
        );
        let subject = call().subject;
        assert_eq!(lost.call(), Some(("worker:handle", Some(&subject))));
        assert_eq!(held.call(), None);
    }
}

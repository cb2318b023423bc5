//! `ProcessNotice`: what the operator is to hear of worker processes.

use std::fmt;
use std::time::Duration;

use crate::Subject;

/// So many of the calls that a worker was in are named.
const MOST_RUNNING: usize = 8;

/// One line of the log about a worker process; `Display` is its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessNotice {
    /// A worker process has died, or had to be killed.
    Died {
        /// Its name.
        worker: String,
        /// The number of its process.
        process: u32,
        /// How, as half a sentence: `was killed by SIGSEGV`.
        how: String,
        /// The calls that it was in, of which the text has some.
        running: Vec<Running>,
        /// The last lines of its standard error.
        said: Vec<String>,
        /// When another one takes its place; none when that one is there already, or none will.
        again_in: Option<Duration>,
    },
    /// A worker process takes long to start.
    Slow {
        /// Its name.
        worker: String,
        /// The number of its process.
        process: u32,
        /// How long it has taken until now.
        elapsed: Duration,
        /// How long it may take.
        limit: Duration,
    },
    /// A worker process did not come up.
    Unready {
        /// Its name.
        worker: String,
        /// Why, as one sentence, and what it has printed last or what was raised.
        problem: String,
        /// When the next one is tried.
        again_in: Duration,
    },
    /// As many worker processes have died as may: the app is not ready.
    Restless {
        /// How many have died within a minute.
        deaths: usize,
        /// From how many on that is so.
        replacements: usize,
    },
    /// A worker process is replaced, because it has served for long enough.
    Recycled {
        /// Its name.
        worker: String,
        /// The number of its process.
        process: u32,
        /// Why, as half a sentence: `has answered 10000 calls`.
        why: String,
    },
}

/// A call that a worker process was in when it died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The handler's target.
    pub target: String,
    /// Its request.
    pub subject: Subject,
    /// How long ago it was put into the queue.
    pub elapsed: Duration,
}

impl ProcessNotice {
    /// The target of a handler that the worker was in, where one is known, and the request, where it was the only one.
    pub fn call(&self) -> Option<(&str, Option<&Subject>)> {
        match self {
            Self::Died { running, .. } => {
                let (first, others) = running.split_first()?;
                let subject = others.is_empty().then_some(&first.subject);
                Some((&first.target, subject))
            }
            Self::Slow { .. }
            | Self::Unready { .. }
            | Self::Restless { .. }
            | Self::Recycled { .. } => None,
        }
    }

    /// The name of the worker; empty where it is about several.
    pub fn worker(&self) -> &str {
        match self {
            Self::Died { worker, .. }
            | Self::Slow { worker, .. }
            | Self::Unready { worker, .. }
            | Self::Recycled { worker, .. } => worker,
            Self::Restless { .. } => "",
        }
    }
}

impl fmt::Display for ProcessNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died {
                worker,
                process,
                how,
                running,
                said,
                again_in,
            } => {
                write!(f, "{worker} (process {process}) {how}")?;
                if let Some(pause) = again_in {
                    write!(f, "; another one is started in {pause:.1?}")?;
                }
                for Running {
                    target,
                    subject,
                    elapsed,
                } in running.iter().take(MOST_RUNNING)
                {
                    write!(
                        f,
                        "\nit was in: {target}, after {elapsed:.1?}, {}",
                        subject.method
                    )?;
                    subject
                        .route
                        .as_ref()
                        .map_or(Ok(()), |route| write!(f, ", route {route}"))?;
                }
                if let more @ 1.. = running.len().saturating_sub(MOST_RUNNING) {
                    write!(f, "\nand in {more} more")?;
                }
                lines(f, said)
            }
            Self::Slow {
                worker,
                process,
                elapsed,
                limit,
            } => write!(
                f,
                "{worker} (process {process}) is still starting after {elapsed:.0?}; it is killed after {limit:.0?} (start_limit)"
            ),
            Self::Unready {
                worker,
                problem,
                again_in,
            } => {
                write!(
                    f,
                    "{worker} did not start, and is started again in {again_in:.1?}: {problem}"
                )
            }
            Self::Restless {
                deaths,
                replacements,
            } => write!(
                f,
                "{deaths} worker processes have died within a minute (limit: {replacements}): the engine is not ready until \
                 there are fewer"
            ),
            Self::Recycled {
                worker,
                process,
                why,
            } => {
                write!(f, "{worker} (process {process}) {why}: it is replaced")
            }
        }
    }
}

fn lines(f: &mut fmt::Formatter<'_>, said: &[String]) -> fmt::Result {
    if !said.is_empty() {
        f.write_str("\nits last output:")?;
    }
    said.iter().try_for_each(|line| write!(f, "\n  {line}"))
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;

    #[test]
    fn a_death_says_how_in_what_and_with_which_last_words() {
        let call = Running {
            target: "worker:handle".to_owned(),
            subject: Subject {
                method: Method::GET,
                route: Some("/slow/{id}".to_owned()),
                uri: Uri::from_static("/slow/7"),
            },
            elapsed: Duration::from_millis(1500),
        };
        let mut died = ProcessNotice::Died {
            worker: "httpy-process-2".to_owned(),
            process: 4711,
            how: "was killed by SIGSEGV".to_owned(),
            running: vec![call],
            said: vec!["Fatal Python error: Segmentation fault".to_owned()],
            again_in: Some(Duration::from_millis(95)),
        };
        assert_eq!(
            died.to_string(),
            "httpy-process-2 (process 4711) was killed by SIGSEGV; another one is started in 95.0ms\n\
             it was in: worker:handle, after 1.5s, GET, route /slow/{id}\n\
             its last output:\n  Fatal Python error: Segmentation fault"
        );
        let subject = Subject {
            method: Method::GET,
            route: Some("/slow/{id}".to_owned()),
            uri: Uri::from_static("/slow/7"),
        };
        assert_eq!(died.call(), Some(("worker:handle", Some(&subject))));
        assert_eq!(died.worker(), "httpy-process-2");
        if let ProcessNotice::Died { running, .. } = &mut died {
            *running = vec![running[0].clone(); MOST_RUNNING + 3];
        }
        assert_eq!(died.call(), Some(("worker:handle", None)));
        let text = died.to_string();
        assert_eq!(
            text.matches("\nit was in: worker:handle").count(),
            MOST_RUNNING
        );
        assert!(text.contains("\nand in 3 more\nits last output:"), "{text}");
        if let ProcessNotice::Died {
            running,
            said,
            again_in,
            ..
        } = &mut died
        {
            (*running, *said, *again_in) = (Vec::new(), Vec::new(), None);
        }
        assert_eq!(
            (died.to_string().as_str(), died.call()),
            ("httpy-process-2 (process 4711) was killed by SIGSEGV", None)
        );
    }
}

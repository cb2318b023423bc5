//! `NotReady`: why an engine should get no requests or be restarted, judged from its workers' health. How that is answered is
//! `probe`'s and the status page's.

use std::fmt;
use std::time::Duration;

use httpy_core::Health;
use serde::Serialize;

use crate::status::seconds;

/// Time for which the interpreter may be held before the engine is unready: its calls only wait.
const HELD: Duration = Duration::from_secs(1);
/// Time after the deadline of every call that may hold the interpreter; after this, liveness fails.
const HELD_FOR_GOOD: Duration = Duration::from_secs(60);

/// A reason why no requests should be sent to an engine.
///
/// Serialised, it is an object with the name as `reason`. `Display` is the line that [`PyEngine::readiness`] answers with.
///
/// ```
/// use httpy::NotReady;
///
/// let reason = NotReady::ReplacementsSpent { replacements: 16 };
/// let json = serde_json::to_string(&reason).unwrap();
/// assert_eq!(json, r#"{"reason":"replacements_spent","replacements":16}"#);
/// assert_eq!(reason.to_string(), "16 of 16 replacements for lost workers are spent");
/// ```
///
/// [`PyEngine::readiness`]: crate::PyEngine::readiness
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotReady {
    /// The engine is shutting down.
    ShuttingDown,
    /// No worker process is ready: they are starting, or are started again after they have died.
    Starting,
    /// As many workers are lost as are replaced at the same time.
    ReplacementsSpent {
        /// Maximum number of lost workers that are replaced at the same time.
        replacements: usize,
    },
    /// Every worker is lost, and so is every replacement. Only a restart helps: liveness fails too.
    WorkersLost {
        /// Maximum number of lost workers that are replaced at the same time.
        replacements: usize,
    },
    /// Python code has held the interpreter for more than 1 s, so that no other thread can attach.
    InterpreterHeld {
        /// Time for which it has been held.
        #[serde(serialize_with = "seconds::of")]
        held_for: Duration,
    },
}

impl NotReady {
    /// Why no requests should be sent to an engine.
    pub(super) fn of(is_stopping: bool, health: &Health) -> Vec<Self> {
        let stops = is_stopping.then_some(Self::ShuttingDown);
        let starting = health.starting.then_some(Self::Starting);
        let (spent, held) = (Self::spent(health), Self::held(HELD, health));
        let reasons = [stops, starting, spent, held];
        reasons.into_iter().flatten().collect()
    }

    /// Why an engine whose calls have `deadline` cannot recover.
    pub(super) fn for_good(deadline: Duration, health: &Health) -> Vec<Self> {
        let lost = Self::spent(health).filter(|spent| matches!(spent, Self::WorkersLost { .. }));
        let held = Self::held(deadline.saturating_add(HELD_FOR_GOOD), health);
        [lost, held].into_iter().flatten().collect()
    }

    fn spent(health: &Health) -> Option<Self> {
        let Health {
            workers_max,
            lost,
            replacements,
            ..
        } = *health;
        if lost >= workers_max.saturating_add(replacements) {
            return Some(Self::WorkersLost { replacements });
        }
        (lost > 0 && lost >= replacements).then_some(Self::ReplacementsSpent { replacements })
    }

    fn held(limit: Duration, health: &Health) -> Option<Self> {
        let held_for = health.held_for.filter(|held_for| *held_for > limit)?;
        Some(Self::InterpreterHeld { held_for })
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShuttingDown => f.write_str("shutting down"),
            Self::Starting => f.write_str("no worker process is ready: they are starting"),
            Self::ReplacementsSpent { replacements } => write!(
                f,
                "{replacements} of {replacements} replacements for lost workers are spent"
            ),
            Self::WorkersLost { replacements } => write!(
                f,
                "all workers are lost, and {replacements} of {replacements} replacements are spent"
            ),
            Self::InterpreterHeld { held_for } => {
                let seconds = held_for.as_secs();
                write!(f, "Python code has held the interpreter for {seconds} s")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: Health = Health {
        workers_max: 4,
        lost: 0,
        replacements: 16,
        starting: false,
        held_for: None,
    };
    const DEADLINE: Duration = Duration::from_secs(30);

    fn lost(lost: usize) -> Health {
        Health { lost, ..HEALTHY }
    }

    fn held(seconds: u64) -> Health {
        Health {
            held_for: Some(Duration::from_secs(seconds)),
            ..HEALTHY
        }
    }

    fn held_for(seconds: u64) -> NotReady {
        NotReady::InterpreterHeld {
            held_for: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_healthy_app_is_ready_and_alive_also_where_nothing_would_be_replaced() {
        for health in [
            HEALTHY,
            Health {
                replacements: 0,
                ..HEALTHY
            },
        ] {
            assert_eq!(NotReady::of(false, &health), []);
            assert_eq!(NotReady::for_good(DEADLINE, &health), []);
        }
    }

    #[test]
    fn it_is_not_ready_once_the_last_replacement_is_spent() {
        assert_eq!(NotReady::of(false, &lost(15)), []);
        for health in [lost(16), lost(19)] {
            let spent = NotReady::ReplacementsSpent { replacements: 16 };
            assert_eq!(NotReady::of(false, &health), [spent]);
        }
    }

    #[test]
    fn it_is_alive_until_the_last_worker_is_lost() {
        assert_eq!(NotReady::for_good(DEADLINE, &lost(19)), []);
        let all = NotReady::WorkersLost { replacements: 16 };
        assert_eq!(NotReady::for_good(DEADLINE, &lost(20)), [all]);
        assert_eq!(NotReady::of(false, &lost(20)), [all]);
    }

    #[test]
    fn a_held_interpreter_makes_it_unready_after_1_s_and_dead_60_s_after_the_deadline() {
        assert_eq!(NotReady::of(false, &held(1)), []);
        assert_eq!(NotReady::of(false, &held(12)), [held_for(12)]);
        assert_eq!(NotReady::for_good(DEADLINE, &held(90)), []);
        assert_eq!(NotReady::for_good(DEADLINE, &held(91)), [held_for(91)]);
    }

    #[test]
    fn without_a_worker_it_is_not_ready_and_alive() {
        let health = Health {
            starting: true,
            ..HEALTHY
        };
        assert_eq!(NotReady::of(false, &health), [NotReady::Starting]);
        assert_eq!(NotReady::for_good(DEADLINE, &health), []);
    }

    #[test]
    fn all_reasons_are_given() {
        let health = Health {
            lost: 16,
            starting: true,
            ..held(2)
        };
        assert_eq!(NotReady::of(true, &health).len(), 4);
    }

    #[test]
    fn each_reason_is_one_line_of_text() {
        let texts = [
            (NotReady::ShuttingDown, "shutting down"),
            (
                NotReady::Starting,
                "no worker process is ready: they are starting",
            ),
            (
                NotReady::ReplacementsSpent { replacements: 16 },
                "16 of 16 replacements for lost workers are spent",
            ),
            (
                NotReady::WorkersLost { replacements: 16 },
                "all workers are lost, and 16 of 16 replacements are spent",
            ),
            (
                held_for(12),
                "Python code has held the interpreter for 12 s",
            ),
        ];
        for (reason, text) in texts {
            assert_eq!(reason.to_string(), text);
        }
    }
}

//! Which levels the host's log takes of Python, as a number that Python compares before it formats anything.
//!
//! One callsite per level, which are never used for an event: tracing tells each of them whether somebody wants it, also
//! whenever that changes, so that nobody has to ask. They are told while tracing holds its locks.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::subscriber::Interest;
use tracing_core::{Kind, Level, Metadata, dispatcher};

/// Above every level that Python code uses.
const OFF: i64 = 1_000_000;
/// What Python shows where nobody has configured anything.
const WARNING: i64 = 30;

type Bell = dyn Fn() + Send + Sync;

/// Who is to hear that a level's interest has changed. Nothing is logged under its lock.
static BELLS: Mutex<Vec<Weak<Bell>>> = Mutex::new(Vec::new());

/// Receives changes until it is dropped.
pub struct Watch(#[expect(dead_code, reason = "it lives as long as this does")] Arc<Bell>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

struct Site {
    metadata: &'static Metadata<'static>,
    wanted: AtomicBool,
}

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let wanted = !interest.is_never();
        if self.wanted.swap(wanted, Ordering::AcqRel) != wanted {
            let bells: Vec<_> = bells().iter().filter_map(Weak::upgrade).collect();
            for ring in &*bells {
                ring();
            }
        }
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata
    }
}

macro_rules! site {
    ($level:ident) => {{
        static SITE: Site = Site {
            metadata: &METADATA,
            wanted: AtomicBool::new(false),
        };
        static METADATA: Metadata<'static> = Metadata::new(
            "level of Python's log",
            "python",
            Level::$level,
            None,
            None,
            None,
            FieldSet::new(&["message", "logger"], Identifier(&SITE)),
            Kind::EVENT,
        );
        &SITE
    }};
}

/// Python's number for each level, the finest first.
static SITES: [(i64, &Site); 5] = [
    (1, site!(TRACE)),
    (10, site!(DEBUG)),
    (20, site!(INFO)),
    (30, site!(WARN)),
    (40, site!(ERROR)),
];

fn bells() -> MutexGuard<'static, Vec<Weak<Bell>>> {
    BELLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `ring` called whenever the filters of the host's log have changed, until the watch is dropped: while tracing holds its
/// locks, so it must neither wait nor log. Runs the subscriber's code, so never call this attached.
pub fn watch(ring: impl Fn() + Send + Sync + 'static) -> Watch {
    static REGISTERED: Once = Once::new();
    let bell: Arc<Bell> = Arc::new(ring);
    let mut bells = bells();
    bells.retain(|bell| bell.strong_count() > 0);
    bells.push(Arc::downgrade(&bell));
    drop(bells);
    REGISTERED.call_once(|| SITES.iter().for_each(|(_, site)| callsite::register(*site)));
    Watch(bell)
}

/// Python's number for the finest level that is wanted. Without any subscriber it is Python's own default, since what is
/// logged goes to stderr then, as in any Python program.
pub fn python_level() -> i64 {
    let wanted = SITES
        .iter()
        .find(|(_, site)| site.wanted.load(Ordering::Acquire));
    match wanted {
        Some((level, _)) => *level,
        None if is_listened_to() => OFF,
        None => WARNING,
    }
}

/// Whether there is a subscriber. Calls no code of it.
pub fn is_listened_to() -> bool {
    dispatcher::has_been_set()
}

//! Which levels the host's log takes of Python, as a number that Python compares before it formats anything.
//!
//! One callsite per level, which are never used for an event: tracing tells each of them whether somebody wants it, also
//! whenever that changes, so that nobody has to ask. They are told while tracing holds its locks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::callsite::{self, Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::subscriber::Interest;
use tracing_core::{Kind, Level, Metadata, dispatcher};

/// Above every level that Python code uses.
const OFF: i64 = 1_000_000;
/// What Python shows where nobody has configured anything.
const WARNING: i64 = 30;

/// Called when a level's interest has changed; never waits, logs nothing.
static BELL: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

struct Site {
    metadata: &'static Metadata<'static>,
    wanted: AtomicBool,
}

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let wanted = !interest.is_never();
        if self.wanted.swap(wanted, Ordering::AcqRel) != wanted
            && let Some(ring) = BELL.get()
        {
            ring();
        }
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata
    }
}

macro_rules! site {
    ($level:ident) => {{
        static SITE: Site = Site { metadata: &METADATA, wanted: AtomicBool::new(false) };
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
static SITES: [(i64, &Site); 5] =
    [(1, site!(TRACE)), (10, site!(DEBUG)), (20, site!(INFO)), (30, site!(WARN)), (40, site!(ERROR))];

/// Watches the filters of the host's log from now on; the level that is wanted now. Runs the subscriber's code, so never
/// call it attached.
pub(super) fn watch(ring: impl Fn() + Send + Sync + 'static) -> i64 {
    if BELL.set(Box::new(ring)).is_ok() {
        for (_, site) in SITES {
            callsite::register(site);
        }
    }
    python_level()
}

/// Python's number for the finest level that is wanted. Without any subscriber it is Python's own default, since what is
/// logged goes to stderr then, as in any Python program.
pub(super) fn python_level() -> i64 {
    let wanted = SITES.iter().find(|(_, site)| site.wanted.load(Ordering::Acquire));
    match wanted {
        Some((level, _)) => *level,
        None if is_listened_to() => OFF,
        None => WARNING,
    }
}

/// Whether there is a subscriber. Asks nobody.
pub(super) fn is_listened_to() -> bool {
    dispatcher::has_been_set()
}

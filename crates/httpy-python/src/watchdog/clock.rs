//! The thread `httpy-watchdog`: keeps all times, and never attaches.

use std::sync::Arc;
use std::time::Duration;

use httpy_core::{Lost, Notice};

use super::calls::{Action, Stuck};
use crate::event_loop::Watch;
use crate::pool::Crew;

/// Keeps the time until the pool is closed and nothing is overdue any more.
pub(super) fn run(crew: &Arc<Crew>) {
    let (mut watch, mut loop_wakes) = (Watch::default(), None);
    while let Some(actions) = crew.watchdog.wait(loop_wakes) {
        for action in actions {
            match action {
                Action::Tell(notice) => crew.notify(&notice),
                Action::Lose(stuck) => lose(crew, stuck),
                Action::Held(held_for, stuck) => tell_held(crew, held_for, stuck),
                Action::LookAtLoop { woken } => loop_wakes = watch.look(crew, woken),
            }
        }
    }
    watch.give_up_start();
}

fn lose(crew: &Arc<Crew>, stuck: Stuck) {
    let lost = crew.queue.lose(stuck.seat, || stuck.ticket.lose());
    if lost == Lost::Returned {
        return;
    }
    let (replacements, gone) = (crew.options().replacements, crew.queue.lost());
    let left = matches!(lost, Lost::Replaced(_)).then(|| replacements.saturating_sub(gone));
    if let Lost::Replaced(Some(seat)) = lost {
        Crew::start_or_log(crew, seat);
    }
    crew.notify(&Notice::Lost {
        worker: stuck.seat.number(),
        call: stuck.call,
        left,
    });
    if left.is_none_or(|left| left == 0) {
        crew.notify(&Notice::Spent {
            replacements,
            lost: gone,
        });
    }
}

fn tell_held(crew: &Crew, held_for: Duration, stuck: Vec<Stuck>) {
    let calls = stuck.into_iter().map(|stuck| {
        let dump = crew.interpreter.dump();
        let stack = dump.and_then(|dump| {
            dump.read(|ask| crew.desks.with_thread(stuck.seat, ask).unwrap_or_default())
        });
        (stuck.call, stack)
    });
    let notice = Notice::Held {
        held_for,
        calls: calls.collect(),
    };
    crew.notify(&notice);
}

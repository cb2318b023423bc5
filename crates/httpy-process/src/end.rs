//! What becomes of a worker's calls when its connection is at its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use httpy_core::{Fault, Outcome, Running};

use crate::after::After;
use crate::call::Progress;
use crate::handover::{Ended, Handler, Reason};
use crate::reply::{end, end_stream};
use crate::traffic::{LANES, index};
use crate::worker::{Life, Worker};

impl Worker {
    /// Ends all calls: what had begun is answered, what had not goes to others. Tells the supervisor.
    pub(crate) fn close(mut self, reason: Reason, handlers: &[Arc<Handler>], after: &mut After) {
        let mut running = Vec::new();
        let is_expected = self.life == Life::Ends && matches!(reason, Reason::Closed);
        for lane in LANES {
            let mark = self.mark(lane);
            let mut calls: Vec<_> = self.lanes[index(lane)].calls.drain().collect();
            calls.sort_unstable_by_key(|(number, _)| *number);
            for (number, mut call) in calls {
                if number > mark && matches!(call.progress, Progress::Open(_)) {
                    after.back.extend(call.put_back());
                    continue;
                }
                let target = handlers
                    .get(call.target.index)
                    .map_or_else(String::new, |it| it.target.clone());
                running.push(Running {
                    target,
                    subject: call.ticket.call.subject(),
                    elapsed: call.ticket.pushed.elapsed(),
                });
                // It has had its time: whoever still waits is answered, and nobody else need hear of it.
                call.interrupted |= is_expected;
                let text = format!(
                    "its worker process, {} ({}), {}",
                    self.name,
                    self.pid,
                    died(&reason)
                );
                if matches!(call.progress, Progress::Open(_)) {
                    end(call, Outcome::Crashed(text), after);
                } else {
                    end_stream(call, Some(Fault::Crashed(text)), None, after);
                }
            }
        }
        self.tally.under_way.store(0, Ordering::Relaxed);
        after.asks.extend(self.asks.into_values());
        // Fails where the supervisor has ended.
        drop(self.ended.send(Ended { reason, running }));
    }
}

fn died(reason: &Reason) -> &'static str {
    match reason {
        Reason::Closed => "died",
        Reason::Broken(_) => "was killed, as it sent an invalid message",
        Reason::Stuck => "was killed, as a call in it did not end after its deadline",
    }
}

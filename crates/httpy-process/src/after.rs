//! `After`: what comes of a round of reading and is done when everything that can be written is on its way: whoever waits for
//! an answer is woken then, all of them in a row.

use std::sync::Arc;
use std::time::Duration;

use httpy_core::{Answer, Late, Notice, Outcome, Subject, TargetId};

use crate::ask::Ask;
use crate::call::Waiting;
use crate::handover::Handler;
use crate::line::Lines;

/// What comes of a round.
#[derive(Debug, Default)]
pub(crate) struct After {
    answers: Vec<Answered>,
    /// What is to be logged, as it is in no answer.
    pub(crate) late: Vec<(TargetId, Late)>,
    /// Whose clients took nothing for so long that their responses break off.
    pub(crate) stalled: Vec<(TargetId, Subject, Duration)>,
    /// Jobs that were sent, never began, and wait again.
    pub(crate) back: Vec<Waiting>,
    /// What workers were asked that have died.
    pub(crate) asks: Vec<Ask>,
}

#[derive(Debug)]
struct Answered {
    target: TargetId,
    answer: Answer,
    outcome: Outcome,
    /// It is not logged when nobody waits for it.
    silent: bool,
}

impl After {
    /// A call is to be answered. One that is `silent` is not logged when nobody waits for it.
    pub(crate) fn answer(
        &mut self,
        target: TargetId,
        answer: Answer,
        outcome: Outcome,
        silent: bool,
    ) {
        self.answers.push(Answered {
            target,
            answer,
            outcome,
            silent,
        });
    }

    /// Gives the answers, and logs what nobody waited for.
    pub(crate) fn finish(
        &mut self,
        handlers: &[Arc<Handler>],
        lines: &Lines,
        listener: fn(&str, Late),
    ) {
        for Answered {
            target,
            answer,
            outcome,
            silent,
        } in self.answers.drain(..)
        {
            if let Err(late) = answer.send(outcome)
                && !silent
            {
                self.late.push((target, *late));
            }
        }
        for (target, subject, limit) in self.stalled.drain(..) {
            if let Some(handler) = handlers.get(target.index) {
                lines.say(Notice::Stalled {
                    target: handler.target.clone(),
                    subject,
                    limit,
                });
            }
        }
        for (target, late) in self.late.drain(..) {
            if let Some(handler) = handlers.get(target.index)
                && !late.outcome.is_reply()
            {
                // Elsewhere: it runs the host's code.
                let handler = Arc::clone(handler);
                lines.later(move || listener(&handler.target, late));
            }
        }
    }
}

//! The pool's roster. Read without the interpreter, so also while every worker is stuck.

use httpy_core::{Line, Member, Roster, Work};

use crate::pool::Pool;
use crate::worker;

impl Pool {
    /// Who does what now. One worker is read after the other, while they go on; the event loop is woken, so that the next
    /// roster has its lag. Never waits for the interpreter.
    pub fn roster(&self) -> Roster {
        let crew = &self.crew;
        let Line {
            jobs,
            exclusive,
            workers,
        } = crew.queue.line();
        let members = workers.into_iter().map(|(seat, standing)| Member {
            number: seat.number(),
            name: worker::name(seat),
            standing,
            work: crew.desks.look(seat).map(|(target, ticket)| Work {
                target: crew.name(target),
                ticket,
            }),
        });
        Roster {
            jobs,
            has_gil: exclusive,
            members: members.collect(),
            loops: crew.async_lane.member(crew).into_iter().collect(),
        }
    }
}

//! `Pace`: how fast jobs are taken: whether handlers are quick, and whether jobs come in rows.

use std::time::{Duration, Instant};

/// Whether handlers are quick is judged over so long.
const WHILE: Duration = Duration::from_millis(20);
/// Quick handlers take no longer than this, the time between two jobs included.
const QUICK: Duration = Duration::from_micros(50);
/// So many jobs that are there at once are a row.
const ROW: u64 = 8;

/// Counts the jobs that are taken.
#[derive(Debug, Default)]
pub(super) struct Pace {
    taken: u64,
    /// How many were taken when there was last none.
    row_began: u64,
    quick: bool,
    /// When it was last judged, and how many were taken by then.
    judged: Option<(Instant, u64)>,
}

impl Pace {
    /// One more job was taken.
    pub(super) fn took(&mut self) {
        self.taken += 1;
    }

    /// How many jobs were ever taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// No job is left: whether those that there were made a row.
    pub(super) fn end_row(&mut self) -> bool {
        let began = std::mem::replace(&mut self.row_began, self.taken);
        self.taken - began >= ROW
    }

    /// Whether many jobs were taken in the last while, and no handler has let go of the interpreter.
    pub(super) fn is_quick(&self) -> bool {
        self.quick
    }

    /// Judges anew when a while has passed.
    pub(super) fn judge(&mut self, now: Instant) {
        let (since, taken) = *self.judged.get_or_insert((now, self.taken));
        let time = now.saturating_duration_since(since);
        if time >= WHILE {
            let jobs = u32::try_from(self.taken - taken).unwrap_or(u32::MAX);
            self.quick = jobs > 0 && time / jobs <= QUICK;
            self.judged = Some((now, self.taken));
        }
    }

    /// A handler has let go of the interpreter: the while begins anew.
    pub(super) fn let_go(&mut self) {
        self.quick = false;
        self.judged = None;
    }

    /// Handlers are quick from now on, until it is judged anew.
    #[cfg(all(test, httpy_model))]
    pub(super) fn set_quick(&mut self) {
        self.quick = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_make_a_row_when_enough_were_there_at_once() {
        let mut pace = Pace::default();
        for (jobs, row) in [(ROW - 1, false), (ROW, true), (1, false), (0, false)] {
            (0..jobs).for_each(|_| pace.took());
            assert_eq!(pace.end_row(), row, "{jobs}");
        }
    }

    #[test]
    fn handlers_are_quick_after_a_while_of_many_jobs_and_until_one_lets_go() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        pace.judge(begun);
        (0..400).for_each(|_| pace.took());
        pace.judge(begun + WHILE / 2);
        assert!(!pace.is_quick(), "too early to tell");
        pace.judge(begun + WHILE);
        assert!(pace.is_quick());
        pace.let_go();
        assert!(!pace.is_quick());
        pace.judge(begun + WHILE * 2);
        (0..399).for_each(|_| pace.took());
        pace.judge(begun + WHILE * 3);
        assert!(!pace.is_quick(), "a little longer than 50 µs each");
    }
}

//! `Gatherings`: answers of several workers to one question, until all have come.

use std::collections::HashMap;
use std::mem;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use httpy_core::{Figures, Stack};
use tokio::sync::oneshot;

/// So many may wait for stacks; one more gets none.
const MOST_WAITING: usize = 64;

/// So many runs of the garbage collector are kept until somebody asks.
const MOST_UNTOLD: usize = 4096;

/// What is being gathered.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {
    last: u64,
    stacks: HashMap<u64, Gathering<Vec<Stack>, oneshot::Sender<Vec<Stack>>>>,
    figures: HashMap<u64, Gathering<Figures, Option<SyncSender<Figures>>>>,
    /// Runs of the garbage collector that were told to nobody.
    untold: Vec<(u32, Duration)>,
}

#[derive(Debug)]
struct Gathering<T, S> {
    /// So many have not answered.
    left: usize,
    there: T,
    sender: S,
}

impl Gatherings {
    /// Stacks of so many workers are to come, under the number that comes back; none when nobody is to be asked.
    pub(crate) fn stacks(
        &mut self,
        workers: usize,
        sender: oneshot::Sender<Vec<Stack>>,
    ) -> Option<u64> {
        self.stacks
            .retain(|_, gathering| !gathering.sender.is_closed());
        if workers == 0 {
            drop(sender.send(Vec::new()));
            return None;
        }
        if self.stacks.len() >= MOST_WAITING {
            return None;
        }
        self.last += 1;
        self.stacks.insert(
            self.last,
            Gathering {
                left: workers,
                there: Vec::new(),
                sender,
            },
        );
        Some(self.last)
    }

    /// Figures of so many workers are to come, under the number that comes back. Where nobody waits for them, the runs of the
    /// garbage collector are kept for the next one who does.
    pub(crate) fn figures(
        &mut self,
        workers: usize,
        sender: Option<SyncSender<Figures>>,
    ) -> Option<u64> {
        if workers == 0 || self.figures.len() >= MOST_WAITING {
            return None;
        }
        self.last += 1;
        let mut there = Figures::default();
        if sender.is_some() {
            there.gc_pauses = mem::take(&mut self.untold);
        }
        self.figures.insert(
            self.last,
            Gathering {
                left: workers,
                there,
                sender,
            },
        );
        Some(self.last)
    }

    /// A worker has answered, or died.
    pub(crate) fn add_stacks(&mut self, number: u64, stacks: Vec<Stack>) {
        let Some(gathering) = self.stacks.get_mut(&number) else {
            return;
        };
        gathering.there.extend(stacks);
        gathering.left -= 1;
        if gathering.left == 0
            && let Some(Gathering { there, sender, .. }) = self.stacks.remove(&number)
        {
            // Fails where nobody waits any more.
            drop(sender.send(there));
        }
    }

    /// A worker has answered, or died.
    pub(crate) fn add_figures(&mut self, number: u64, figures: Option<Figures>) {
        let Some(gathering) = self.figures.get_mut(&number) else {
            return;
        };
        if let Some(Figures {
            allocated_blocks,
            gc_pauses,
        }) = figures
        {
            gathering.there.allocated_blocks = gathering
                .there
                .allocated_blocks
                .saturating_add(allocated_blocks);
            gathering.there.gc_pauses.extend(gc_pauses);
        }
        gathering.left -= 1;
        if gathering.left == 0
            && let Some(Gathering { there, sender, .. }) = self.figures.remove(&number)
        {
            match sender {
                // Fails where nobody waits any more.
                Some(sender) => drop(sender.try_send(there)),
                None => {
                    let room = MOST_UNTOLD.saturating_sub(self.untold.len());
                    self.untold.extend(there.gc_pauses.into_iter().take(room));
                }
            }
        }
    }
}

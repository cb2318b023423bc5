//! `Command`: what the server asks of a worker process on its control socket.

use super::Writer;
use crate::{ExitLimits, Kind, Lane, UploadFault};

/// What a worker is to do.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// Answer.
    Ask {
        /// What the answer is known by.
        seq: u64,
        /// What is asked.
        question: Question<'a>,
    },
    /// Something about one job.
    Job {
        /// Its lane.
        lane: Lane,
        /// Which one.
        id: u64,
        /// What is said of it.
        order: Order<'a>,
    },
    /// Import the module of this handler: another worker loads it first, and this one next.
    Prepare(&'a str),
    /// No reply of the sync lane has come for a while: send what is kept back, and let another thread lead.
    Relieve,
    /// Finish what has begun, take nothing more, and exit.
    Stop,
    /// From this level of Python's on, records of `logging` are wanted.
    LogLevel(i64),
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// Load this target: a [`TargetId`](crate::TargetId) is answered.
    Load(Kind, &'a str),
    /// Load this init function and run it: each route with its methods is answered, in order.
    Init(&'a str),
    /// Load this shutdown function.
    LoadShutdown(&'a str),
    /// Wait for what handlers have shielded, run the shutdown functions, and exit.
    ShutDown(ExitLimits),
    /// What the doctor finds.
    Examine,
    /// Where each job is: its lane, its number and its stack are answered.
    Stacks,
    /// How the interpreter and the event loop are.
    Figures,
    /// Whether the event loop comes round: answered when it does.
    Round,
    /// What keeps the event loop from coming round.
    Blocked,
}

/// A message about a job.
#[derive(Clone, Copy, Debug)]
pub enum Order<'a> {
    /// Nobody waits for it any more.
    Cancel,
    /// The client of an application's call has left.
    Left,
    /// Its time is over.
    Interrupt,
    /// So many bytes of its streamed reply have been taken.
    Credit(u64),
    /// A piece of its streamed request.
    Upload(Feed<'a>),
}

/// A piece of a streamed request.
#[derive(Clone, Copy, Debug)]
pub enum Feed<'a> {
    /// A chunk; no more than [`PART`](super::PART).
    Chunk(&'a [u8]),
    /// There are no more.
    End,
    /// Nor will there be all of it.
    Fault(&'a UploadFault),
}

impl Command<'_> {
    /// Writes the message.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match *self {
            Self::Ask { seq, question } => question.write(writer, seq),
            Self::Job { lane, id, order } => order.write(writer, lane, id),
            Self::Prepare(target) => {
                head(writer, "prepare", 2);
                writer.str(target);
            }
            Self::Relieve => head(writer, "relieve", 1),
            Self::Stop => head(writer, "stop", 1),
            Self::LogLevel(level) => {
                head(writer, "log_level", 2);
                writer.int(level);
            }
        }
    }
}

impl Question<'_> {
    fn write(self, writer: &mut Writer<'_>, seq: u64) {
        let (word, items) = match self {
            Self::Load(..) => ("load", 4),
            Self::Init(_) => ("init", 3),
            Self::LoadShutdown(_) => ("load_shutdown", 3),
            Self::ShutDown(_) => ("shut_down", 4),
            Self::Examine => ("examine", 2),
            Self::Stacks => ("stacks", 2),
            Self::Figures => ("figures", 2),
            Self::Round => ("round", 2),
            Self::Blocked => ("blocked", 2),
        };
        head(writer, word, items);
        writer.count(seq);
        match self {
            Self::Load(kind, target) => {
                writer.str(kind.word());
                writer.str(target);
            }
            Self::Init(target) | Self::LoadShutdown(target) => {
                writer.str(target);
            }
            Self::ShutDown(ExitLimits { shielded, rest }) => {
                writer.float(rest.as_secs_f64());
                writer.float(shielded.as_secs_f64());
            }
            Self::Examine | Self::Stacks | Self::Figures | Self::Round | Self::Blocked => {}
        }
    }
}

impl Order<'_> {
    fn write(self, writer: &mut Writer<'_>, lane: Lane, id: u64) {
        let (word, items) = match self {
            Self::Cancel => ("cancel", 3),
            Self::Left => ("left", 3),
            Self::Interrupt => ("interrupt", 3),
            Self::Credit(_) => ("credit", 4),
            Self::Upload(_) => ("upload", 4),
        };
        head(writer, word, items);
        writer.str(lane.word());
        writer.count(id);
        match self {
            Self::Credit(bytes) => writer.count(bytes),
            Self::Upload(feed) => feed.write(writer),
            Self::Cancel | Self::Left | Self::Interrupt => {}
        }
    }
}

impl Feed<'_> {
    fn write(self, writer: &mut Writer<'_>) {
        match self {
            Self::Chunk(chunk) => writer.bytes(chunk),
            Self::End => writer.none(),
            Self::Fault(fault) => {
                writer.tuple(2);
                writer.int(fault.status.into());
                writer.str(&fault.text);
            }
        }
    }
}

fn head(writer: &mut Writer<'_>, word: &str, items: u32) {
    writer.tuple(items);
    writer.str(word);
}

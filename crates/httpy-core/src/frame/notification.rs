//! `Notification`: what a worker process says on its control socket.

use serde::Deserialize;

use super::Unread;
use crate::log::Record;
use crate::{Lane, LoadError};

/// What a worker reports about itself, or answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification<'a> {
    /// The first one.
    Hello {
        /// The version of the protocol.
        protocol: u64,
        /// What runs it.
        facts: Facts,
    },
    /// All handlers that it was started with are loaded.
    Ready,
    /// What was asked for was done.
    Ok {
        /// Which question.
        seq: u64,
        /// The answer.
        #[serde(borrow)]
        answer: Unread<'a>,
    },
    /// What was asked for was not done.
    Error {
        /// Which question.
        seq: u64,
        /// Why.
        error: LoadError,
    },
    /// Something was logged.
    Log(Box<LogRecord>),
    /// So many bytes of a job's streamed request were read.
    Read {
        /// The job's lane.
        lane: Lane,
        /// The job.
        id: u64,
        /// How many.
        bytes: u64,
    },
}

/// What runs a worker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Facts {
    /// The process.
    pub pid: u32,
    /// Python's version: `3.11.7`.
    pub version: String,
    /// Whether one thread at a time runs Python code.
    pub gil: bool,
    /// The program.
    pub executable: String,
    /// `sys.prefix`
    pub prefix: String,
    /// What looks wrong there, in one sentence.
    pub warning: Option<String>,
}

/// A record of Python's `logging`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LogRecord {
    /// The lane of the job that logged it.
    pub lane: Option<Lane>,
    /// The job that logged it.
    pub id: Option<u64>,
    /// What it says.
    pub record: Record,
}

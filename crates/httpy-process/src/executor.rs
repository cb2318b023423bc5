//! `Processes`: the worker processes of one app, as the HTTP side sees them. Everything is done on a thread of its own,
//! `httpy-processes`; what is asked here is left for it, and some of that waited for.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use httpy_core::frame::LogRecord;
use httpy_core::{
    Execute, ExitReport, Facts, Figures, Health, Job, Lane, Listener, LoadError, Loaded, LoopFigures, Roster, Slow, Stack,
    StartError, TargetId, Ticket,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::ask::internal;
use crate::deed::Deed;
use crate::dispatch::Dispatch;
use crate::failure::Failure;
use crate::handover::Handlers;
use crate::hub::Hub;
use crate::line::Lines;
use crate::options::ProcessOptions;
use crate::record;
use crate::supervisor::{Setup, Supervisor};

/// So many orders of the supervisor wait for the dispatch.
const ORDERS: usize = 64;

/// The thread is waited for so long where it only has to look around.
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// The worker processes of one app.
pub struct Processes {
    hub: Arc<Hub>,
    supervisor: Mutex<Option<Arc<Supervisor>>>,
    runtime: Handle,
    reports: Arc<Mutex<ExitReport>>,
    options: Arc<ProcessOptions>,
    facts: Facts,
    ended: AtomicBool,
}

//! The border of httpy: the plain data that crosses between its HTTP side and its Python side, the contract's rules, and
//! the queue between the two.
//!
//! Nothing here knows PyO3 or axum. [`Call`] goes down, [`Outcome`] comes up, a [`Job`] carries both, and the
//! [`Queue`] hands jobs to workers.

#![forbid(unsafe_code)]

mod answer;
mod call;
mod clocks;
mod content;
mod contract;
mod exception;
mod executor;
mod fields;
pub mod frame;
mod header;
mod interface;
mod job;
pub mod log;
mod message;
mod outcome;
mod queue;
mod scope;
mod stream;
mod ticket;
mod timing;
mod under_way;
pub mod view;
mod wake;

pub use answer::{Answer, Kept, Late, Outbox, Question};
pub use call::{Call, Details, Subject};
pub use clocks::{Clock, Clocks, Limit};
pub use content::{Chunks, Content, Fault, Heartbeat, STREAM_BYTES, Upload, UploadFault};
pub use contract::{ContractFailure, MAX_HEADER_LINES, Rule, Warning, allows_body, check_status};
pub use exception::{Exception, Frame, Link, Relation};
pub use executor::{
    Abandoned, Accept, Execute, ExitLimits, ExitReport, Facts, Figures, Health, InitRoutes,
    Listener, LoadError, LoadErrorKind, LoopMember, Member, Notice, Overdue, ProcessNotice, Roster,
    Running, Slow, Stack, StackOf, StartError, Swapped, Work,
};
pub use fields::Fields;
pub use header::{Headers, KNOWN, Name};
pub use interface::{BodyMode, Interface, Kind, Lane};
pub use job::{Freight, Job, Permits, TargetId};
pub use message::{Message, Messages, NotAMessage};
pub use outcome::{BodyKind, Outcome, RawReply, Reply, Returned};
pub use queue::{InLine, Line, Lost, Queue, Seat, Seats, Standing, Take, Wait};
pub use scope::{Visit, scope, version};
pub use stream::{Broken, Gone, Reader, Writer, stream, weight};
pub use ticket::{Finish, Interruption, Ticket};
pub use timing::{Step, Timings};
pub use under_way::UnderWay;
pub use view::View;

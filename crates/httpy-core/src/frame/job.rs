//! `JobMessage`: a call as a worker process gets it, written without a detour.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use super::{Batch, PART, TooLong, Writer};
use crate::{Call, Details, Fields, Headers, KNOWN, Kind, Name, Visit, scope, version};

/// One call for a worker process.
#[derive(Clone, Copy, Debug)]
pub struct JobMessage<'a> {
    /// Its number on its lane, from 1 on, one more than that of the job before.
    pub id: u64,
    /// Which of the worker's handlers.
    pub handler: usize,
    /// How it is called.
    pub kind: Kind,
    /// What is asked.
    pub call: &'a Call,
    /// The request's body.
    pub body: JobBody<'a>,
    /// How long until its deadline.
    pub left: Duration,
    /// Whether the reply is to say when it came how far.
    pub wants_timings: bool,
    /// How long a chunk of a streamed body may take.
    pub chunk_timeout: Duration,
}

/// A request's body in its job.
#[derive(Clone, Copy, Debug)]
pub enum JobBody<'a> {
    /// All of it, for a handler that wants `str`; no more than [`PART`].
    Text(&'a [u8]),
    /// All of it, for a handler that wants `bytes`; no more than [`PART`].
    Bytes(&'a [u8]),
    /// Its parts went ahead.
    Ahead,
    /// It is streamed.
    Stream,
}

/// From so many fields on, finding those of the same name one by one would take too long.
const FEW: usize = 16;

impl JobMessage<'_> {
    /// Writes the message.
    pub fn write(&self, writer: &mut Writer<'_>) {
        let Self { call, .. } = self;
        // Of a usual request nothing has to grow more than once.
        writer.reserve(2048);
        writer.tuple(9);
        writer.count(self.id);
        writer.count(self.handler as u64);
        writer.str(call.method.as_str());
        writer.text(call.path());
        match self.kind {
            Kind::Handler => {
                fields(writer, &call.params);
                fields(writer, &call.query);
                headers(writer, &call.headers);
            }
            Kind::Asgi | Kind::Wsgi => {
                writer.dict();
                let Ok(()) = scope(call, &mut Scope(writer));
                writer.end_dict();
                writer.none();
                writer.none();
            }
        }
        match self.body {
            JobBody::Text(body) => writer.text(body),
            JobBody::Bytes(body) => writer.bytes(body),
            JobBody::Ahead => writer.none(),
            JobBody::Stream => writer.bool(true),
        }
        self.details(writer, &call.details);
    }

    /// The place in a distributed trace that is not among the headers that are sent.
    fn trace(&self) -> Option<Cow<'_, str>> {
        let Call {
            details, headers, ..
        } = self.call;
        let own = || headers.known("Traceparent").next();
        match &details.trace {
            Some(trace) => Some(trace.into()),
            None if self.kind.is_app() => own().map(String::from_utf8_lossy),
            None => None,
        }
    }

    fn details(&self, writer: &mut Writer<'_>, details: &Details) {
        writer.tuple(10);
        match details.target.path_and_query() {
            Some(target) => writer.str(target.as_str()),
            None => writer.str(&details.target.to_string()),
        }
        writer.optional(details.route.as_deref());
        match details.client {
            Some(client) => {
                writer.tuple(2);
                writer.str(&client.ip().to_string());
                writer.int(client.port().into());
            }
            None => writer.none(),
        }
        writer.str(details.scheme.as_str());
        writer.str(version(details.version));
        writer.float(self.left.as_secs_f64());
        writer.optional(details.extras.as_deref());
        writer.optional(self.trace().as_deref());
        writer.bool(self.wants_timings);
        writer.float(self.chunk_timeout.as_secs_f64());
    }
}

/// Writes the part of a body that goes ahead of job `id`.
///
/// # Errors
///
/// [`TooLong`] when it is longer than [`PART`].
pub fn write_part(batch: &mut Batch, id: u64, part: &[u8]) -> Result<(), TooLong> {
    if part.len() > PART {
        return Err(TooLong { bytes: part.len() });
    }
    batch.add(|writer| {
        writer.tuple(2);
        writer.count(id);
        writer.bytes(part);
    })
}

/// Writes the items of a dict.
struct Scope<'r, 'a>(&'r mut Writer<'a>);

impl Visit for Scope<'_, '_> {
    type Error = Infallible;

    fn text(&mut self, name: &'static str, value: &str) -> Result<(), Infallible> {
        self.0.str(name);
        self.0.str(value);
        Ok(())
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) -> Result<(), Infallible> {
        self.0.str(name);
        self.0.bytes(value);
        Ok(())
    }

    fn address(
        &mut self,
        name: &'static str,
        address: Option<(&str, u16)>,
    ) -> Result<(), Infallible> {
        self.0.str(name);
        match address {
            Some((host, port)) => {
                self.0.tuple(2);
                self.0.str(host);
                self.0.int(port.into());
            }
            None => self.0.none(),
        }
        Ok(())
    }

    fn headers(&mut self, name: &'static str, headers: &Headers) -> Result<(), Infallible> {
        let Self(writer) = self;
        writer.str(name);
        let list = writer.open_list();
        let (mut last, mut count) = (Vec::new(), 0);
        for (name, value) in headers.iter() {
            match name {
                Name::Known(index) => {
                    last = KNOWN
                        .get(index)
                        .copied()
                        .unwrap_or_default()
                        .as_bytes()
                        .to_vec();
                }
                Name::Other(name) => last = name.to_vec(),
                Name::Same => {}
            }
            last.make_ascii_lowercase();
            writer.tuple(2);
            writer.bytes(&last);
            writer.bytes(value);
            count += 1;
        }
        writer.close_list(list, count);
        Ok(())
    }

    fn table(
        &mut self,
        name: &'static str,
        items: &[(&'static str, &'static str)],
    ) -> Result<(), Infallible> {
        self.0.str(name);
        self.0.dict();
        for (name, value) in items {
            self.0.str(name);
            self.0.str(value);
        }
        self.0.end_dict();
        Ok(())
    }
}

/// Names to the lists of their values, in the order in which each name came first.
fn fields(writer: &mut Writer<'_>, fields: &Fields) {
    writer.dict();
    if fields.len() <= FEW {
        few(writer, fields);
    } else {
        many(writer, fields);
    }
    writer.end_dict();
}

fn few(writer: &mut Writer<'_>, fields: &Fields) {
    for (index, (name, _)) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|(before, _)| before == name) {
            continue;
        }
        writer.text(name);
        let list = writer.open_list();
        let mut count = 0;
        for (_, value) in fields
            .iter()
            .skip(index)
            .filter(|(other, _)| *other == name)
        {
            writer.text(value);
            count += 1;
        }
        writer.close_list(list, count);
    }
}

/// As many as a client likes to send, without a step for each pair of them.
fn many(writer: &mut Writer<'_>, fields: &Fields) {
    let mut sorted: Vec<_> = fields.iter().enumerate().collect();
    sorted.sort_by_key(|(index, (name, _))| (*name, *index));
    let mut groups: Vec<_> = sorted
        .chunk_by(|(_, (one, _)), (_, (other, _))| one == other)
        .collect();
    groups.sort_by_key(|group| group.first().map(|(index, _)| *index));
    for group in groups {
        let Some((_, (name, _))) = group.first() else {
            continue;
        };
        writer.text(name);
        let list = writer.open_list();
        for (_, (_, value)) in group {
            writer.text(value);
        }
        writer.close_list(list, group.len());
    }
}

fn headers(writer: &mut Writer<'_>, headers: &Headers) {
    writer.dict();
    let mut values = None;
    for (name, value) in headers.iter() {
        if name != Name::Same {
            if let Some((list, count)) = values.take() {
                writer.close_list(list, count);
            }
            match name {
                Name::Known(index) => writer.str(KNOWN.get(index).copied().unwrap_or_default()),
                Name::Other(name) => writer.latin1(name),
                Name::Same => {}
            }
            values = Some((writer.open_list(), 0));
        }
        if let Some((_, count)) = &mut values {
            writer.latin1(value);
            *count += 1;
        }
    }
    if let Some((list, count)) = values {
        writer.close_list(list, count);
    }
    writer.end_dict();
}

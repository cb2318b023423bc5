//! `Load`: sends the mix over many connections, counts the answers, samples the server's memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use crate::Failure;
use crate::connection::Connection;
use crate::mix::{Kind, REFUSED, WORKERS};

/// What is kept of answers that are wrong.
const MISMATCHES: usize = 20;

pub(crate) struct Load {
    address: String,
    pid: u32,
    sample_every: u64,
    /// Handlers that hold come here and go on when their connection is closed.
    gate: TcpListener,
    gate_port: u16,
    /// One overload at a time.
    alone: Mutex<()>,
    sent: Cell<u64>,
    answers: RefCell<BTreeMap<(Kind, u16), u64>>,
    mismatches: RefCell<Vec<String>>,
    samples: RefCell<Vec<(u64, u64, u64)>>,
}

impl Load {
    pub(crate) async fn new(address: String, pid: u32, sample_every: u64) -> io::Result<Self> {
        let gate = TcpListener::bind("127.0.0.1:0").await?;
        let gate_port = gate.local_addr()?.port();
        Ok(Self {
            address,
            pid,
            sample_every,
            gate,
            gate_port,
            alone: Mutex::default(),
            sent: Cell::default(),
            answers: RefCell::default(),
            mismatches: RefCell::default(),
            samples: RefCell::default(),
        })
    }

    /// Sends the requests of these numbers and waits for their answers.
    pub(crate) async fn run(
        self: &Rc<Self>,
        numbers: Range<u64>,
        connections: usize,
    ) -> Result<(), Failure> {
        let numbers = Rc::new(RefCell::new(numbers));
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let (load, numbers) = (Rc::clone(self), Rc::clone(&numbers));
                spawn_local(async move { load.one_connection(&numbers).await })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    }

    async fn one_connection(&self, numbers: &RefCell<Range<u64>>) -> io::Result<()> {
        let mut connection = Connection::open(&self.address).await?;
        let mut requests: BTreeMap<Kind, (Vec<u8>, Vec<u8>)> = BTreeMap::new();
        loop {
            let Some(number) = numbers.borrow_mut().next() else {
                return Ok(());
            };
            let kind = Kind::of(number);
            if kind == Kind::Overload {
                self.overload().await?;
                continue;
            }
            let (request, echo) = requests
                .entry(kind)
                .or_insert_with(|| (kind.request(self.gate_port), kind.echo()));
            if kind.expected() == [0] {
                connection.send(request).await?;
                self.count(kind, 0, true)?;
                connection = Connection::open(&self.address).await?;
                continue;
            }
            let whole = match connection.exchange(request).await {
                Ok((status, body)) => {
                    self.count(kind, status, echo.is_empty() || body == echo)?;
                    status != 413
                }
                Err(error) => {
                    self.mismatch(format!("{}: {error}", kind.name()));
                    self.count(kind, 0, true)?;
                    false
                }
            };
            // A server that has not read the whole request closes the connection.
            if !whole {
                connection = Connection::open(&self.address).await?;
            }
        }
    }

    /// Fills the workers and the only place of a queue, and sends more.
    async fn overload(&self) -> io::Result<()> {
        let _alone = self.alone.lock().await;
        let hold = Kind::Held.request(self.gate_port);
        let mut holding =
            try_join_all((0..WORKERS).map(|_| Connection::open(&self.address))).await?;
        let mut held = Vec::new();
        let holding =
            try_join_all(holding.iter_mut().map(async |connection| {
                connection.exchange(&hold).await.map(|(status, _)| status)
            }));
        let crowd = async {
            for _ in 0..WORKERS {
                held.push(self.gate.accept().await?);
            }
            let request = Kind::Refused.request(self.gate_port);
            let mut crowd =
                try_join_all((0..=REFUSED).map(|_| Connection::open(&self.address))).await?;
            let mut answers: FuturesUnordered<_> = crowd
                .iter_mut()
                .map(async |connection| {
                    connection
                        .exchange(&request)
                        .await
                        .map(|(status, _)| status)
                })
                .collect();
            // One of them has the place and is answered when a worker is free.
            for number in 0..=REFUSED {
                if number == REFUSED {
                    held.clear();
                }
                let kind = if number == REFUSED {
                    Kind::Queued
                } else {
                    Kind::Refused
                };
                if let Some(status) = answers.next().await {
                    self.count(kind, status?, true)?;
                }
            }
            Ok(())
        };
        let (statuses, ()) = tokio::try_join!(holding, crowd)?;
        statuses
            .into_iter()
            .try_for_each(|status| self.count(Kind::Held, status, true))
    }

    fn count(&self, kind: Kind, status: u16, right: bool) -> io::Result<()> {
        *self.answers.borrow_mut().entry((kind, status)).or_default() += 1;
        if !right {
            self.mismatch(format!("{}: another body came back", kind.name()));
        } else if !kind.expected().contains(&status) {
            self.mismatch(format!(
                "{}: answered with {status}, expected one of {:?}",
                kind.name(),
                kind.expected()
            ));
        }
        self.sent.set(self.sent.get() + 1);
        if self.sent.get().is_multiple_of(self.sample_every) {
            let (resident, anonymous) = resident(self.pid)?;
            self.samples
                .borrow_mut()
                .push((self.sent.get(), resident, anonymous));
        }
        Ok(())
    }

    fn mismatch(&self, text: String) {
        let mut mismatches = self.mismatches.borrow_mut();
        if mismatches.len() < MISMATCHES {
            mismatches.push(text);
        }
    }

    /// What the server holds: Python's blocks and objects, threads, file descriptors, Rust's allocations.
    pub(crate) async fn holdings(&self) -> Result<Value, Failure> {
        let mut connection = Connection::open(&self.address).await?;
        let mut last = ask(&mut connection, "/python_holds").await?;
        // Until the connections that were closed are closed there too.
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let python = ask(&mut connection, "/python_holds").await?;
            if python == last {
                return Ok(
                    json!({ "python": python, "rust": ask(&mut connection, "/rust_holds").await? }),
                );
            }
            last = python;
        }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Kind → status → how many.
    pub(crate) fn answers(&self) -> Value {
        let mut answers: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for ((kind, status), count) in &*self.answers.borrow() {
            answers
                .entry(kind.name())
                .or_default()
                .insert(status.to_string(), *count);
        }
        json!(answers)
    }

    pub(crate) fn mismatches(&self) -> Value {
        json!(*self.mismatches.borrow())
    }

    /// Requests so far, the server's resident bytes then, and those of them that are no file's.
    pub(crate) fn samples(&self) -> Value {
        json!(*self.samples.borrow())
    }
}

async fn ask(connection: &mut Connection, path: &str) -> Result<Value, Failure> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let (_, body) = connection.exchange(request.as_bytes()).await?;
    Ok(serde_json::from_slice(body)?)
}

/// The resident bytes of a process: all of them, and those that are no file's.
fn resident(pid: u32) -> io::Result<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let bytes = |name: &str| -> Option<u64> {
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))?;
        kib.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    bytes("VmRSS:")
        .zip(bytes("RssAnon:"))
        .ok_or_else(|| io::Error::other("the server has ended"))
}

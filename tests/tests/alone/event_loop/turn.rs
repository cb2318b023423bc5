//! `Turn`: an app of a pool of its own, and a gate for its async handlers.

use httpy_tests::app::Builder;
use httpy_tests::app::{Answer, App, ask, get};
use httpy_tests::executor::Options;
use httpy_tests::gate::{Gate, Held};
use httpy_tests::log::{self, Line};
use httpy_tests::turn;
use tokio::task::JoinHandle;

/// To be put before the source of a test's module: how an async handler stops at the gate.
pub(crate) const SOURCE: &str = "
import asyncio, contextvars, functools, gc, httpy_rs, os, socket, sys, threading, time

async def pass_gate(port):
    reader, writer = await asyncio.open_connection('127.0.0.1', int(port))
    try:
        await reader.read(1)
    finally:
        writer.close()

def block_at_gate(port):
    with socket.create_connection(('127.0.0.1', int(port))) as connection:
        connection.recv(1)
";

pub(crate) struct Turn {
    pub(crate) app: App,
    pub(crate) gate: Gate,
    _alone: turn::Turn,
}

impl Turn {
    pub(crate) async fn begin(source: &str) -> Self {
        Self::with(source, |builder| builder).await
    }

    pub(crate) async fn with(source: &str, options: impl FnOnce(Builder) -> Builder) -> Self {
        let alone = turn::take().await;
        let app = App::with(&format!("{SOURCE}{source}"), |builder| {
            options(builder.at_once(4))
        });
        Self {
            app,
            gate: Gate::new().await,
            _alone: alone,
        }
    }

    /// A path with the gate's port in its query.
    pub(crate) fn gated(&self, path: &str) -> String {
        let mark = if path.contains('?') { '&' } else { '?' };
        format!("{path}{mark}gate={}", self.gate.port)
    }

    /// Begins a call, which is at the gate now.
    pub(crate) async fn begin_call(&self, path: &str) -> (JoinHandle<Answer>, Held) {
        self.gate
            .hold(ask(self.app.service(), get(&self.gated(path))))
            .await
    }

    /// Begins a call that may come to the gate, some time.
    pub(crate) fn call(&self, path: &str) -> JoinHandle<Answer> {
        tokio::spawn(ask(self.app.service(), get(&self.gated(path))))
    }

    pub(crate) async fn ask(&self, path: &str) -> String {
        let answer = self.app.ask(get(path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text()
    }

    /// Asks again and again until the answer is `expected`: each time the loop comes round in between.
    pub(crate) async fn until(&self, path: &str, expected: &str) {
        let mut text = String::new();
        for _ in 0..100_000 {
            text = self.ask(path).await;
            if text == expected {
                return;
            }
        }
        assert_eq!(text, expected);
    }

    /// The first line with `text` about the handler.
    pub(crate) async fn line(&self, text: &str) -> Line {
        log::wait_for(&self.app.target("handle"), text).await
    }

    /// Everything that was said of the handler.
    pub(crate) fn lines(&self) -> Vec<String> {
        log::lines(&self.app.target("handle"))
            .into_iter()
            .map(|line| line.message)
            .collect()
    }
}

/// The deadline rings.
pub(crate) async fn expire(call: JoinHandle<Answer>) {
    tokio::time::pause();
    let answer = call.await.unwrap();
    tokio::time::resume();
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (504, "the handler took too long\n")
    );
}

//! `Gate`: where handlers stop until the test lets them go on, so that no test has to wait for time to pass.

use std::fmt::Debug;
use std::future::Future;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Handlers stop here by calling `pass_gate(port)` of [`Gate::SOURCE`].
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
    /// What the handler is to be told, by query, header or body.
    pub port: u16,
}

/// A handler that has stopped. It goes on when this is dropped.
#[derive(Debug)]
pub struct Held {
    _connection: TcpStream,
}

impl Gate {
    /// To be put before the source of a test's module.
    pub const SOURCE: &'static str = "
import socket

def pass_gate(port):
    with socket.create_connection(('127.0.0.1', int(port))) as connection:
        connection.recv(1)
";

    /// A gate of its own port.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("no port is free");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        Self { listener, port }
    }

    /// Waits for the next handler that has come here.
    ///
    /// # Panics
    ///
    /// When the connection cannot be taken.
    pub async fn arrival(&self) -> Held {
        let (connection, _) = self
            .listener
            .accept()
            .await
            .expect("a handler's connection cannot be taken");
        Held {
            _connection: connection,
        }
    }

    /// Begins a call, and waits until its handler has come here.
    ///
    /// # Panics
    ///
    /// When the call ends before that.
    pub async fn hold<T: Debug + Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> (JoinHandle<T>, Held) {
        let mut call = tokio::spawn(call);
        tokio::select! {
            held = self.arrival() => (call, held),
            answer = &mut call => panic!("the handler never came to the gate: {answer:?}"),
        }
    }
}

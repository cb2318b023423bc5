//! Clients that send exactly what a test says: HTTP/1 as raw bytes, HTTP/2 through hyper.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One HTTP/1 response as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The status as a number.
    pub status: u16,
    /// The header lines in order, names in lower case, values as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body, chunks joined.
    pub body: Vec<u8>,
}

impl Received {
    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's first value, empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let line = self.headers.iter().find(|(other, _)| other == name);
        line.map_or_else(String::new, |(_, value)| {
            String::from_utf8_lossy(value).into_owned()
        })
    }

    /// Whether there is a header of this name.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other == name)
    }
}

/// An HTTP/1 connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// A new connection.
    ///
    /// # Panics
    ///
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("nobody listens");
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends these bytes. That the server does not want them any more is its answer's business.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    /// Sends no more; still reads.
    pub async fn finish(&mut self) {
        let _ = self.stream.get_mut().shutdown().await;
    }

    /// Reads one response to a request of `method`.
    ///
    /// # Panics
    ///
    /// When what comes is no response, or none comes.
    pub async fn receive(&mut self, method: &str) -> Received {
        self.read(method).await
    }

    /// Reads one response to a request of `method`; `None` when the connection ends before its first byte.
    ///
    /// # Panics
    ///
    /// When what comes is no response, or a part of one.
    pub async fn receive_if_any(&mut self, method: &str) -> Option<Received> {
        let any = matches!(self.stream.fill_buf().await, Ok([_, ..]));
        if any {
            Some(self.receive(method).await)
        } else {
            None
        }
    }

    /// Whether the server closes the connection without another byte.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        !matches!(self.stream.read(&mut byte).await, Ok(1))
    }

    async fn read(&mut self, method: &str) -> Received {
        let first = self.line().await;
        let status = first
            .split(|byte| *byte == b' ')
            .nth(1)
            .and_then(|status| str::from_utf8(status).ok());
        let status: u16 = status
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("not a response: {:?}", String::from_utf8_lossy(&first)));
        let mut received = Received {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .expect("a header line without a colon");
            let name = String::from_utf8(line[..colon].to_ascii_lowercase())
                .expect("a header name that is not ASCII");
            received
                .headers
                .push((name, line[colon + 1..].trim_ascii_start().to_vec()));
        }
        if method == "HEAD" || status == 204 || status == 304 {
            return received;
        }
        if received.header("transfer-encoding") == "chunked" {
            received.body = self.chunks().await;
        } else if received.has("content-length") {
            let length = received
                .header("content-length")
                .parse()
                .expect("a length is a number");
            received.body = self.exactly(length).await;
        } else {
            self.stream
                .read_to_end(&mut received.body)
                .await
                .expect("the connection broke off");
        }
        received
    }

    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream
            .read_until(b'\n', &mut line)
            .await
            .expect("the connection broke off");
        assert!(
            line.ends_with(b"\r\n"),
            "closed in the middle of a line: {:?}",
            String::from_utf8_lossy(&line)
        );
        line.truncate(line.len() - 2);
        line
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = String::from_utf8(self.line().await).expect("a chunk's size is ASCII");
            let size = usize::from_str_radix(&size, 16).expect("a chunk's size is a number");
            body.extend(self.exactly(size).await);
            assert!(
                self.line().await.is_empty(),
                "a chunk that is longer than its size"
            );
            if size == 0 {
                return body;
            }
        }
    }

    /// The next bytes, so many.
    ///
    /// # Panics
    ///
    /// When the connection ends before.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .await
            .expect("the body is shorter than its length");
        bytes
    }
}

/// The bytes of a request: `Host` and `Content-Length` are added where they are not given and needed.
pub fn request(method: &str, target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Vec<u8> {
    let has = |name: &str| {
        headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    if !has("host") {
        bytes.extend_from_slice(b"Host: localhost\r\n");
    }
    if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Sends these bytes over a connection of their own and reads one response.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Received {
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    let method = String::from_utf8_lossy(method).into_owned();
    let mut connection = Connection::open(address).await;
    connection.send(bytes).await;
    connection.receive(&method).await
}

/// A `GET` over a connection of its own.
pub async fn get(address: SocketAddr, target: &str) -> Received {
    exchange(address, &request("GET", target, &[], b"")).await
}

/// Sends a request over an HTTP/2 connection of its own.
///
/// # Panics
///
/// When the connection fails, or its response.
pub async fn http2(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.expect("nobody listens");
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("no HTTP/2 there");
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.expect("no response");
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .expect("the response's body fails")
        .to_bytes();
    connection.abort();
    Response::from_parts(parts, body)
}

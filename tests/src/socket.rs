//! `Socket`: a client of WebSockets, and what it hears in words.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, Request};
use http_body_util::Empty;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket<S = TcpStream> {
    stream: WebSocketStream<S>,
    /// The headers with which it was accepted.
    pub headers: HeaderMap,
}

impl Socket {
    /// Opens one at this path.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        Self::open_with(address, path, &[])
            .await
            .unwrap_or_else(|(status, body)| panic!("refused with {status}: {body}"))
    }

    /// Opens one with these headers.
    ///
    /// # Errors
    ///
    /// When it is refused: status and body.
    ///
    /// # Panics
    ///
    /// When the answer is no answer to a handshake.
    pub async fn open_with(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, (u16, String)> {
        let mut request: Request<()> = format!("ws://{address}{path}")
            .into_client_request()
            .expect("a request");
        for (name, value) in headers {
            let value = value.parse().expect("a header value");
            request.headers_mut().append(*name, value);
        }
        let tcp = TcpStream::connect(address).await.expect("nobody listens");
        match client_async(request, tcp).await {
            Ok((stream, response)) => Ok(Self {
                stream,
                headers: response.headers().clone(),
            }),
            Err(Error::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                Err((status, String::from_utf8_lossy(&body).into_owned()))
            }
            Err(error) => panic!("no answer to a handshake: {error}"),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Sends a message. That nobody wants it any more is what is heard then.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let _ = self.stream.send(message.into()).await;
    }

    /// Begins the close handshake.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        self.send(Message::Close(Some(frame))).await;
    }

    /// The next message: `text …`, `binary …` with its length, `close <code> <reason>`, or `end`.
    pub async fn hear(&mut self) -> String {
        loop {
            return match self.stream.next().await {
                Some(Ok(Message::Text(text))) => format!("text {text}"),
                Some(Ok(Message::Binary(bytes))) => format!("binary {}", bytes.len()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    format!("close {} {}", u16::from(frame.code), frame.reason)
                }
                Some(Ok(Message::Close(None))) => "close".to_owned(),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => "end".to_owned(),
            };
        }
    }
}

/// Opens one over HTTP/2 (RFC 8441).
///
/// # Panics
///
/// When it is refused.
pub async fn open_http2(
    address: SocketAddr,
    path: &str,
) -> Socket<impl AsyncRead + AsyncWrite + Unpin> {
    let tcp = TcpStream::connect(address).await.expect("nobody listens");
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp))
            .await
            .expect("no HTTP/2");
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{address}{path}"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let response = client.send_request(request).await.expect("no answer");
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let upgraded = hyper::upgrade::on(response).await.expect("no upgrade");
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    Socket { stream, headers }
}

//! `Upgrade`: a request for a WebSocket (RFC 6455, RFC 8441) until its application has answered it; and the task that carries
//! messages between client and application from then on.
//!
//! Frames and the handshake are axum's. What the application sends comes out of its reply's stream, and what it receives goes
//! into its request's: see [`Message`]. A slow client makes the application wait, and a slow application the client. The task
//! holds the call's ticket, so that a shutdown waits for it: a server forgets a connection that was upgraded.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Error as AxumError;
use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, ws::close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Response};
use httpy_core::{Message, Messages, Reader, STREAM_BYTES, UploadFault, Writer, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tungstenite::error::{Error as FrameError, ProtocolError};

use super::service::Inner;
use super::stream::Streamed;
use super::{ResponseBody, gate::Gate};

/// Maximum size in bytes of a message from a client, which may be in any number of fragments.
const MESSAGE: usize = 16 * 1024 * 1024;
/// What an idle socket keeps for what comes.
const READ_BUFFER: usize = 4 * 1024;
/// More than that is not collected before it is written.
const WRITE_BUFFER: usize = 64 * 1024;
/// A client is asked so often whether it is there.
const PING: Duration = Duration::from_secs(20);
/// One that says nothing while it is asked so often is lost.
const PINGS: usize = 2;
/// Time for a client to answer a close frame.
const CLOSE: Duration = Duration::from_secs(5);

/// A close frame had no code (RFC 6455, 7.1.5).
const NO_STATUS: u16 = 1005;
/// The service restarts (registered with IANA).
const SERVICE_RESTART: u16 = 1012;

/// A request for a WebSocket that its application has not accepted yet.
#[derive(Debug)]
pub(super) struct Upgrade {
    handshake: WebSocketUpgrade,
    to_app: Writer<UploadFault>,
    /// How often the code had been loaded again when the request came.
    renewals: u64,
}

impl Upgrade {
    /// Whether the request asks for a WebSocket; where its application is to get the messages. `None` also if the handshake is
    /// wrong: the application then answers a usual request.
    pub(super) fn of(parts: &mut Parts, gate: &Gate) -> Option<(Self, Reader<UploadFault>)> {
        // An extractor of axum's is a future for form's sake.
        let extracted = pin!(WebSocketUpgrade::from_request_parts(parts, &()));
        let Poll::Ready(Ok(handshake)) = extracted.poll(&mut Context::from_waker(Waker::noop()))
        else {
            return None;
        };
        let handshake = handshake
            .max_message_size(MESSAGE)
            .max_frame_size(MESSAGE)
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER);
        let (to_app, reader) = stream(STREAM_BYTES);
        let upgrade = Self {
            handshake,
            to_app,
            renewals: gate.renewals(),
        };
        Some((upgrade, reader))
    }

    /// The application has accepted, with these headers; `from_app` is what it sends.
    pub(super) fn accept(
        self,
        mut headers: HeaderMap,
        from_app: Streamed,
        service: Arc<Inner>,
    ) -> Response<ResponseBody> {
        let Self {
            handshake,
            to_app,
            renewals,
        } = self;
        let response = handshake.on_upgrade(move |socket| async move {
            let gate = &service.engine.gate;
            let open = Socket {
                to_app,
                from_app,
                gate,
                renewals,
            };
            open.run(socket).await;
        });
        let mut response = response.map(|_| ResponseBody::default());
        headers.remove(CONTENT_LENGTH);
        response.headers_mut().extend(headers);
        response
    }
}

/// A socket that was accepted.
struct Socket<'a> {
    to_app: Writer<UploadFault>,
    from_app: Streamed,
    gate: &'a Gate,
    renewals: u64,
}

/// Why a socket ends.
enum End {
    /// The application has closed it, or has failed.
    App(CloseFrame),
    /// The client has closed it.
    Client(CloseFrame),
    /// The client has broken a rule, for which there is a code.
    Refused(u16),
    /// Nothing comes from the client, or nothing can be sent to it.
    Lost,
    /// The server has to.
    Server(u16),
}

impl Socket<'_> {
    async fn run(self, socket: WebSocket) {
        let Self {
            mut to_app,
            mut from_app,
            gate,
            renewals,
        } = self;
        let (mut sink, mut frames) = socket.split();
        let heard = Heard::default();
        let end = tokio::select! {
            end = receive(&mut frames, &mut to_app, &heard) => end,
            end = send(&mut sink, &mut from_app, &heard) => end,
            () = gate.closed() => End::Server(if gate.is_ending() { close_code::AWAY } else { SERVICE_RESTART }),
            () = gate.renewed(renewals) => End::Server(SERVICE_RESTART),
        };
        let is_lost = matches!(end, End::Lost);
        // What the client is told, and the application.
        let (to_client, closed) = match end {
            End::App(frame) => (Some(frame), None),
            End::Client(frame) => (None, Some(frame)),
            End::Lost => (None, None),
            End::Refused(code) | End::Server(code) => (Some(frame(code)), Some(frame(code))),
        };
        let mut from_app = Some(from_app);
        if let Some(CloseFrame { code, reason }) = closed {
            // The application may have ended at this moment.
            let _ = to_app.write(Message::Close(code, reason.into()).encode());
        }
        to_app.end();
        if to_client.is_none() {
            from_app = None;
        }
        let farewell = async {
            if let Some(frame) = to_client {
                sink.send(Frame::Close(Some(frame))).await?;
            }
            Ok::<_, AxumError>(())
        };
        // A client that takes nothing does not keep the application.
        if !is_lost && matches!(timeout(CLOSE, farewell).await, Ok(Ok(()))) {
            let _ = timeout(CLOSE, async {
                while let Some(Ok(_)) = frames.next().await {}
            })
            .await;
        }
        drop(from_app);
    }
}

/// Whether the client is there.
#[derive(Default)]
struct Heard {
    any: AtomicBool,
    /// It is not listened to, as the application has to read first.
    is_paused: AtomicBool,
}

impl Heard {
    /// Whether something has come since this was asked before.
    fn anything(&self) -> bool {
        self.any.swap(false, Ordering::Relaxed) || self.is_paused.load(Ordering::Relaxed)
    }
}

/// Takes messages from the client, as fast as the application reads them.
async fn receive(
    frames: &mut SplitStream<WebSocket>,
    to_app: &mut Writer<UploadFault>,
    heard: &Heard,
) -> End {
    heard.any.store(true, Ordering::Relaxed);
    loop {
        heard.is_paused.store(true, Ordering::Relaxed);
        if poll_fn(|context| to_app.poll_ready(context)).await.is_err() {
            // The application has ended, which its stream tells.
            return pending().await;
        }
        heard.is_paused.store(false, Ordering::Relaxed);
        let frame = frames.next().await;
        heard.any.store(true, Ordering::Relaxed);
        let message = match frame {
            Some(Ok(Frame::Text(text))) => Message::Text(text.into()),
            Some(Ok(Frame::Binary(bytes))) => Message::Binary(bytes),
            // The answer to a ping is the library's business.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
            Some(Ok(Frame::Close(frame))) => {
                return End::Client(frame.unwrap_or_else(|| self::frame(NO_STATUS)));
            }
            Some(Err(error)) => return broken(error),
            None => return End::Lost,
        };
        // Where it is not wanted, the application ends.
        let _ = to_app.write(message.encode());
    }
}

/// Sends the client what the application sends, and pings.
async fn send(
    sink: &mut SplitSink<WebSocket, Frame>,
    from_app: &mut Streamed,
    heard: &Heard,
) -> End {
    let mut messages = Messages::default();
    let mut ticks = interval_at(Instant::now() + PING, PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Pings to which there was no answer.
    let mut unanswered = 0;
    loop {
        let frame = match messages.take() {
            Ok(Some(Message::Text(text))) => match Utf8Bytes::try_from(text) {
                Ok(text) => Frame::Text(text),
                Err(_) => return failed(),
            },
            Ok(Some(Message::Binary(bytes))) => Frame::Binary(bytes),
            Ok(Some(Message::Close(code, reason))) => {
                let reason = Utf8Bytes::try_from(reason).unwrap_or_default();
                return End::App(CloseFrame { code, reason });
            }
            Ok(None) => tokio::select! {
                chunk = poll_fn(|context| from_app.poll_chunk(context)) => match chunk {
                    Some(Ok(chunk)) => {
                        messages.feed(chunk);
                        continue;
                    }
                    // It has closed nothing. An error is in the log.
                    Some(Err(_)) | None => return failed(),
                },
                _ = ticks.tick() => {
                    unanswered = if heard.anything() { 0 } else { unanswered + 1 };
                    if unanswered == PINGS {
                        return End::Lost;
                    }
                    Frame::Ping(Bytes::new())
                }
            },
            Err(_) => return failed(),
        };
        // However long that takes: a client that is slow to read cannot answer meanwhile.
        if sink.send(frame).await.is_err() {
            return End::Lost;
        }
    }
}

fn frame(code: u16) -> CloseFrame {
    CloseFrame {
        code,
        reason: Utf8Bytes::default(),
    }
}

fn failed() -> End {
    End::App(frame(close_code::ERROR))
}

/// What an error of the library's means. A test holds that it is of the release that axum uses.
fn broken(error: AxumError) -> End {
    let inner = error.into_inner();
    match inner.downcast_ref::<FrameError>() {
        Some(FrameError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) | None => End::Lost,
        Some(FrameError::Protocol(_)) => End::Refused(close_code::PROTOCOL),
        Some(FrameError::Utf8(_)) => End::Refused(close_code::INVALID),
        Some(FrameError::Capacity(_)) => End::Refused(close_code::SIZE),
        Some(_) => End::Lost,
    }
}

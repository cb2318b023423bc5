//! The first frame that a worker sends: what it is, and the descriptors of its lanes and its mark.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;

use bytes::BytesMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Sync lane, async lane, mark, and the end of a pipe that tells the worker when this process is gone.
pub(crate) const DESCRIPTORS: usize = 4;

/// What the worker stores in its mark.
const MARK_BYTES: u64 = 16;

/// The other ends of what a worker has opened for its parent.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) sync: UnixStream,
    pub(crate) asynchronous: UnixStream,
    pub(crate) mark: File,
}

/// Kept for as long as a worker is to live: it is killed when this is closed.
#[derive(Debug)]
pub(crate) struct Life(#[expect(dead_code, reason = "closed as it is dropped")] OwnedFd);

/// Reads what has arrived on `control` into `arrived`, no more than fits there, and the descriptors that came with it into
/// `descriptors`. Zero at the end of the stream.
///
/// # Errors
///
/// When more than [`DESCRIPTORS`] came, or the socket is broken.
///
/// # Cancellation
///
/// Nothing is lost.
pub(crate) async fn receive(
    control: &UnixStream,
    arrived: &mut BytesMut,
    size: usize,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut buffer = vec![0; size];
    loop {
        control.readable().await?;
        match control.try_io(Interest::READABLE, || {
            receive_now(control, &mut buffer, descriptors)
        }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => {
                let count = result?;
                arrived.extend_from_slice(&buffer[..count]);
                return Ok(count);
            }
        }
    }
}

fn receive_now(
    control: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        control,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        FLAGS,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    close_on_exec(descriptors)?;
    if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > DESCRIPTORS {
        return Err(io::Error::other(format!(
            "it has sent more than {DESCRIPTORS} descriptors"
        )));
    }
    Ok(received.bytes)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const FLAGS: RecvFlags = RecvFlags::empty();

/// Where the system does not do it as it hands them out, a worker that is started in that moment inherits them.
fn close_on_exec(descriptors: &[OwnedFd]) -> io::Result<()> {
    if FLAGS.is_empty() {
        for descriptor in descriptors {
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

impl Ends {
    /// # Errors
    ///
    /// When they are not what they are to be, in half a sentence.
    pub(crate) fn new(descriptors: Vec<OwnedFd>) -> Result<(Self, Life), String> {
        let count = descriptors.len();
        let Ok([sync, asynchronous, mark, life]) = <[OwnedFd; DESCRIPTORS]>::try_from(descriptors)
        else {
            return Err(format!(
                "it has sent {count} descriptors: expected {DESCRIPTORS}"
            ));
        };
        let wrong = |what: &'static str| {
            move |error: io::Error| format!("its {what} cannot be used: {error}")
        };
        let ends = Self {
            sync: stream(sync).map_err(wrong("sync lane"))?,
            asynchronous: stream(asynchronous).map_err(wrong("async lane"))?,
            mark: file(mark).map_err(wrong("mark"))?,
        };
        Ok((ends, Life(pipe(life).map_err(wrong("fourth descriptor"))?)))
    }
}

fn stream(descriptor: OwnedFd) -> io::Result<UnixStream> {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    if sockopt::socket_type(&descriptor)? != SocketType::STREAM {
        return Err(io::Error::other("no stream"));
    }
    let address = rustix::net::getsockname(&descriptor)?;
    if address.address_family() != AddressFamily::UNIX {
        return Err(io::Error::other("no Unix socket"));
    }
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Only a plain file, whose reading never waits for anybody.
fn file(descriptor: OwnedFd) -> io::Result<File> {
    let file = File::from(descriptor);
    let about = file.metadata()?;
    if about.is_file() && about.len() == MARK_BYTES {
        return Ok(file);
    }
    Err(io::Error::other(format!(
        "expected a file of {MARK_BYTES} bytes"
    )))
}

fn pipe(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    let file = File::from(descriptor);
    let about = file.metadata()?.file_type();
    if about.is_fifo() || about.is_socket() {
        return Ok(file.into());
    }
    Err(io::Error::other("expected a pipe or a socket"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::net::UnixStream as StdStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    fn send(stream: &StdStream, bytes: &[u8], files: &[File]) {
        let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(
            stream,
            &[io::IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::empty(),
        )
        .unwrap();
    }

    fn pair() -> (UnixStream, StdStream) {
        let (ours, theirs) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (UnixStream::from_std(ours).unwrap(), theirs)
    }

    #[tokio::test]
    async fn descriptors_come_with_the_bytes_and_are_not_inherited() {
        let (ours, theirs) = pair();
        send(
            &theirs,
            b"hello",
            &[
                File::open("/dev/null").unwrap(),
                tempfile::tempfile().unwrap(),
            ],
        );
        let (mut arrived, mut descriptors) = (BytesMut::new(), Vec::new());
        assert_eq!(
            receive(&ours, &mut arrived, 2, &mut descriptors)
                .await
                .unwrap(),
            2
        );
        assert_eq!(
            (
                receive(&ours, &mut arrived, 9, &mut descriptors)
                    .await
                    .unwrap(),
                descriptors.len()
            ),
            (3, 2)
        );
        assert_eq!(&arrived[..], b"hello");
        for descriptor in &descriptors {
            assert!(
                rustix::io::fcntl_getfd(descriptor)
                    .unwrap()
                    .contains(rustix::io::FdFlags::CLOEXEC)
            );
        }
        drop(theirs);
        assert_eq!(
            receive(&ours, &mut arrived, 9, &mut descriptors)
                .await
                .unwrap(),
            0
        );
    }

    #[tokio::test]
    async fn too_many_descriptors_are_refused_and_closed() {
        let (ours, theirs) = pair();
        let files: Vec<File> = (0..8).map(|_| tempfile::tempfile().unwrap()).collect();
        send(&theirs, b"hello", &files);
        let (mut arrived, mut descriptors) = (BytesMut::new(), Vec::new());
        let error = receive(&ours, &mut arrived, 9, &mut descriptors)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("more than 4 descriptors"),
            "{error}"
        );
        assert!(descriptors.len() < files.len());
    }

    #[tokio::test]
    async fn descriptors_of_another_kind_are_refused() {
        let socket = || OwnedFd::from(StdStream::pair().unwrap().0);
        let mark = |bytes| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(bytes).unwrap();
            OwnedFd::from(file)
        };
        let refused = |descriptors: Vec<OwnedFd>| Ends::new(descriptors).unwrap_err();
        assert!(refused(vec![socket()]).contains("1 descriptors: expected 4"));
        let said = refused(vec![socket(), mark(16), mark(16), socket()]);
        assert!(said.starts_with("its async lane cannot be used"), "{said}");
        let datagrams = OwnedFd::from(std::os::unix::net::UnixDatagram::pair().unwrap().0);
        assert!(
            refused(vec![datagrams, socket(), mark(16), socket()])
                .contains("sync lane cannot be used: no stream")
        );
        let internet = OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        assert!(refused(vec![internet, socket(), mark(16), socket()]).contains("no Unix socket"));
        assert!(
            refused(vec![socket(), socket(), mark(15), socket()])
                .contains("its mark cannot be used")
        );
        assert!(
            refused(vec![socket(), socket(), socket(), socket()])
                .contains("expected a file of 16 bytes")
        );
        assert!(
            refused(vec![socket(), socket(), mark(16), mark(16)])
                .contains("expected a pipe or a socket")
        );
        let (ends, _life) = Ends::new(vec![socket(), socket(), mark(16), socket()]).unwrap();
        assert!(ends.sync.as_raw_fd() != ends.asynchronous.as_raw_fd());
    }
}

//! `Wake`: a file descriptor that is readable when it was rung, for an event loop to watch. Any thread rings it, without
//! the interpreter.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Rung from anywhere, watched by one loop.
#[derive(Debug)]
pub(super) struct Wake {
    read: File,
    /// The other end, where they are two.
    write: Option<File>,
}

impl Wake {
    /// # Errors
    ///
    /// When the process has too many files open.
    pub(super) fn new() -> io::Result<Self> {
        let (read, write) = ends()?;
        Ok(Self {
            read: read.into(),
            write: write.map(File::from),
        })
    }

    /// What is to be watched for reading.
    pub(super) fn descriptor(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    /// Makes it readable. Never blocks: where there is no room for one more ring, enough were rung.
    pub(super) fn ring(&self) {
        drop(
            self.write
                .as_ref()
                .unwrap_or(&self.read)
                .write(&1_u64.to_ne_bytes()),
        );
    }

    /// Makes it unreadable until it is rung again.
    pub(super) fn clear(&self) {
        let mut rung = [0; 1024];
        // Nothing there is as good; what a pipe holds beyond that rings once more.
        drop((&self.read).read(if self.write.is_some() {
            &mut rung
        } else {
            &mut rung[..8]
        }));
    }
}

#[cfg(target_os = "linux")]
fn ends() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    use rustix::event::{EventfdFlags, eventfd};

    let both = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    Ok((both, None))
}

#[cfg(not(target_os = "linux"))]
fn ends() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (read, write) = io::pipe()?;
    rustix::io::ioctl_fionbio(&read, true)?;
    rustix::io::ioctl_fionbio(&write, true)?;
    Ok((read.into(), Some(write.into())))
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(wake: &Wake) -> bool {
        let mut asked = [PollFd::new(&wake.read, PollFlags::IN)];
        poll(&mut asked, Some(&Timespec::default())) == Ok(1)
    }

    #[test]
    fn it_is_readable_from_the_first_ring_until_it_is_cleared() {
        let wake = Wake::new().unwrap();
        assert!(!is_readable(&wake));
        wake.clear();
        for _ in 0..3 {
            wake.ring();
        }
        assert!(is_readable(&wake));
        wake.clear();
        assert!(!is_readable(&wake));
    }
}

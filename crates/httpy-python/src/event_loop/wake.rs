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
    use std::os::fd::FromRawFd;

    // SAFETY: 1. The call takes numbers only, and gives a new descriptor or -1.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: 1. The descriptor was just made, and is nobody else's.
    Ok((unsafe { OwnedFd::from_raw_fd(descriptor) }, None))
}

#[cfg(not(target_os = "linux"))]
fn ends() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (read, write) = io::pipe()?;
    for end in [read.as_raw_fd(), write.as_raw_fd()] {
        // SAFETY: 1. The descriptor is open. 2. Both calls take numbers only.
        let changed = unsafe {
            libc::fcntl(
                end,
                libc::F_SETFL,
                libc::fcntl(end, libc::F_GETFL) | libc::O_NONBLOCK,
            )
        };
        if changed < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok((read.into(), Some(write.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_readable(wake: &Wake) -> bool {
        let mut asked = libc::pollfd {
            fd: wake.descriptor(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: 1. The pointer is to one `pollfd`, as the count says.
        unsafe { libc::poll(&raw mut asked, 1, 0) == 1 }
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

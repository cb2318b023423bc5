//! `StackDump`: the Python frames of a thread while the interpreter cannot be had.
//!
//! `faulthandler` writes them from a signal handler, which needs no interpreter. The signal goes to the very thread that
//! is asked about, so that its frames stand still while they are read; frames of other threads could go away meanwhile.
//! What that thread is in may be cut short as by any signal (a `nanosleep` of C code returns early). Nothing tells the end
//! of what is written but that no more comes.
//!
//! Linux only, and only where CPython was started here and a real-time signal has no other use: elsewhere there is none.

use pyo3::prelude::*;

use super::embed::Embed;
use crate::deadline::ThreadId;

#[cfg(target_os = "linux")]
pub(crate) use linux::StackDump;

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) enum StackDump {}

#[cfg(not(target_os = "linux"))]
impl StackDump {
    pub(super) fn install(_: Python<'_>, _: &Embed) -> Option<Self> {
        None
    }

    pub(crate) fn read(&self, _: impl FnOnce(&dyn Fn(ThreadId))) -> Option<String> {
        match *self {}
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::c_int;
    use std::fs::File;
    use std::io::{self, Read, Seek};
    use std::os::fd::AsRawFd;
    use std::sync::{Mutex, PoisonError};
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::{Embed, Python, ThreadId};
    use crate::interpreter::signal;

    /// How often it is looked for more, and how often at most.
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    const LOOKS: usize = 25;
    const TEXT_LIMIT: u64 = 64 * 1024;

    #[derive(Debug)]
    pub(crate) struct StackDump {
        signal: c_int,
        /// What faulthandler writes into; none from the first time on that a thread did not answer in time: what it might
        /// still write would be taken for another one's.
        file: Mutex<Option<File>>,
    }

    impl StackDump {
        /// None where it cannot be had; everything works without.
        pub(in crate::interpreter) fn install(py: Python<'_>, embed: &Embed) -> Option<Self> {
            let signal = (libc::SIGRTMIN()..=libc::SIGRTMAX())
                .rev()
                .find(|signal| signal::is_default(*signal))?;
            let file = memory_file().ok()?;
            embed.register_dump(py, signal, file.as_raw_fd()).ok()?;
            Some(Self {
                signal,
                file: Mutex::new(Some(file)),
            })
        }

        /// The frames of the thread that `ask` hands to the function it is given, the outermost first; none when it does
        /// not answer.
        ///
        /// # Blocking
        ///
        /// For half a second at most. `ask` has to keep the thread from ending while it calls the function.
        pub(crate) fn read(&self, ask: impl FnOnce(&dyn Fn(ThreadId))) -> Option<String> {
            let mut place = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut file = place.as_ref()?;
            file.set_len(0).and_then(|()| file.rewind()).ok()?;
            ask(&|thread| {
                // SAFETY: 1. `ask` vouches for the thread: it exists. 2. The signal's handler is faulthandler's, which was
                // registered for it before there was a `self`, and is made to run anywhere.
                unsafe { libc::pthread_kill(thread.0, self.signal) };
            });
            let mut length = 0;
            for _ in 0..LOOKS {
                thread::sleep(LOOK_EVERY);
                let now = file.metadata().ok()?.len();
                if now > 0 && now == length {
                    let mut text = Vec::new();
                    file.rewind()
                        .and_then(|()| file.take(TEXT_LIMIT).read_to_end(&mut text))
                        .ok()?;
                    return Some(outermost_first(&String::from_utf8_lossy(&text)));
                }
                length = now;
            }
            *place = None;
            None
        }
    }

    fn memory_file() -> io::Result<File> {
        memfd_create("httpy-stack", MemfdFlags::CLOEXEC)
            .map(File::from)
            .map_err(Into::into)
    }

    /// Faulthandler writes the innermost frame first, tracebacks have it last.
    fn outermost_first(text: &str) -> String {
        let frames: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        frames.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn frames_come_in_the_order_of_a_traceback() {
            let written = "Stack (most recent call first):\n  File \"a\", line 2 in inner\n  File \"a\", line 9 in outer\n";
            let expected = "  File \"a\", line 9 in outer\n  File \"a\", line 2 in inner";
            assert_eq!(super::outermost_first(written), expected);
        }
    }
}

//! Signals at the start of CPython and in forked children: keeps SIGINT with the host, ignores what CPython ignores, tells
//! which signals have no use yet, and gives children their defaults.
//!
//! The first `import signal` takes SIGINT when nobody else has, whatever the configuration says about signal handlers.
//! It leaves an ignored one alone, so SIGINT is ignored until that import is done (files of `site-packages` may be
//! what imports it). What Python code asks for later is `_embed.py`'s.

use std::{ffi::c_int, mem::MaybeUninit, ptr};

/// SIGINT is ignored as long as this lives, if it had its default disposition before.
pub(super) struct SigintIgnored {
    previous: Option<libc::sigaction>,
}

impl SigintIgnored {
    /// Does nothing when the host has a handler of its own, which CPython leaves alone too.
    pub(super) fn begin() -> Self {
        let previous = current(libc::SIGINT).filter(|action| action.sa_sigaction == libc::SIG_DFL);
        if let Some(previous) = &previous {
            let mut ignored = *previous;
            ignored.sa_sigaction = libc::SIG_IGN;
            set(libc::SIGINT, &ignored);
        }
        Self { previous }
    }
}

impl Drop for SigintIgnored {
    fn drop(&mut self) {
        let Some(previous) = &self.previous else {
            return;
        };
        // The host may have installed its handler meanwhile: then that one stands.
        if current(libc::SIGINT).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN) {
            set(libc::SIGINT, previous);
        }
    }
}

/// Ignores the signals that every other CPython ignores from its start on, unless the host handles them: a write to a closed
/// pipe, or beyond the limit of a file's size (`ulimit -f`), is an `OSError` in Python then and does not end the process.
/// Programs that `subprocess` starts get their defaults back.
pub(super) fn ignore_as_cpython() {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        if let Some(mut action) =
            current(signal).filter(|action| action.sa_sigaction == libc::SIG_DFL)
        {
            action.sa_sigaction = libc::SIG_IGN;
            set(signal, &action);
        }
    }
}

/// Whether nobody handles or ignores `signal`.
#[cfg(target_os = "linux")]
pub(super) fn is_default(signal: c_int) -> bool {
    current(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_DFL)
}

/// In a forked child: signals that code of the host handles get their defaults, as do all but those that Python handles.
/// Returns whether SIGINT has its default now.
///
/// Signals that a fault of the thread itself raises keep their handlers, which are `faulthandler`'s or only print.
pub(super) fn release(handled: &[c_int]) -> bool {
    const LAST: c_int = 64;
    for signal in 1..=LAST {
        let is_of_a_fault = matches!(
            signal,
            libc::SIGSEGV
                | libc::SIGBUS
                | libc::SIGFPE
                | libc::SIGILL
                | libc::SIGTRAP
                | libc::SIGABRT
                | libc::SIGSYS
        );
        if is_of_a_fault || handled.contains(&signal) {
            continue;
        }
        if let Some(mut action) = current(signal)
            && action.sa_sigaction != libc::SIG_DFL
            && action.sa_sigaction != libc::SIG_IGN
        {
            action.sa_sigaction = libc::SIG_DFL;
            set(signal, &action);
        }
    }
    current(libc::SIGINT).is_some_and(|action| action.sa_sigaction == libc::SIG_DFL)
}

fn current(signal: c_int) -> Option<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY:
    // 1. A null new action makes `sigaction` only report.
    // 2. `action` is valid for the write of one `sigaction`.
    let status = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY:
    // 1. All fields of `sigaction` are integers, bit sets or optional function pointers, for which zeroes are valid.
    // 2. On success the call has overwritten them with valid values.
    (status == 0).then(|| unsafe { action.assume_init() })
}

fn set(signal: c_int, action: &libc::sigaction) {
    // SAFETY:
    // 1. `action` is what the kernel reported, at most with its handler replaced by SIG_IGN or SIG_DFL, which need no code.
    // 2. A null old action is allowed.
    // The call cannot fail: the callers' signals are ones whose action may be set.
    unsafe {
        libc::sigaction(signal, action, ptr::null_mut());
    }
}

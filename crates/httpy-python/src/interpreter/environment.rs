//! Environment variables that Python code changes, under the lock of `std::env`.
//!
//! Python calls C's `setenv`, which moves the table of variables and knows nothing of that lock. Which names and values there
//! may be, and what is raised for others, is `_host.py`'s.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Sets a variable, or removes it.
///
/// # Panics
///
/// When the name is empty or has a `=`, when one of the two has a NUL, and when there is no memory left.
pub(super) fn change(name: &[u8], value: Option<&[u8]>) {
    let name = OsStr::from_bytes(name);
    // SAFETY:
    // 1. Rust code reads variables through `std::env` alone, whose lock these calls hold.
    // 2. C code that reads one at this moment on another thread is not kept out. Where the C library does not see to that
    //    itself (glibc does from 2.41 on), this is as unsafe as it is in every Python program that has threads, and there is
    //    no way to refuse it: it is what the Python code of the app asks for (`docs/faults.md`).
    unsafe {
        match value {
            Some(value) => env::set_var(name, OsStr::from_bytes(value)),
            None => env::remove_var(name),
        }
    }
}

//! Where the linked libpython is, what version it is, and which python executable belongs to it.
//!
//! Everything here works before the interpreter is started.

use std::{
    ffi::{CStr, OsStr},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use pyo3::ffi;

/// The version of the linked libpython, for example `3.11.7`.
pub fn version() -> String {
    full_version()
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The first two numbers of a version: `3.11` of `3.11.7` and of `3.11.7.final.0`.
pub(super) fn minor(version: &str) -> &str {
    let end = version
        .match_indices('.')
        .nth(1)
        .map_or(version.len(), |(at, _)| at);
    version[..end].trim()
}

/// The python executable that was installed together with the linked libpython, if there is one.
pub fn base_python() -> Option<PathBuf> {
    let version = version();
    let minor = minor(&version);
    let mut names = vec![format!("python{minor}")];
    if full_version().contains("free-threading") {
        names.insert(0, format!("python{minor}t"));
    }
    executable_above(&path()?, &names)
}

/// The nearest `bin/NAME` in a folder above `library`.
fn executable_above(library: &Path, names: &[String]) -> Option<PathBuf> {
    library
        .ancestors()
        .skip(1)
        .flat_map(|folder| names.iter().map(move |name| folder.join("bin").join(name)))
        .find(|candidate| candidate.is_file())
}

/// The file that libpython was loaded from, links resolved.
pub fn path() -> Option<PathBuf> {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let symbol = ffi::Py_GetVersion as unsafe extern "C" fn() -> *const std::ffi::c_char;
    // SAFETY:
    // 1. `dladdr` takes any address, and only compares it.
    // 2. `info` is valid for the write of one `Dl_info`.
    let found = unsafe { libc::dladdr(symbol as *const libc::c_void, info.as_mut_ptr()) };
    if found == 0 {
        return None;
    }
    // SAFETY:
    // 1. A result other than 0 means that `info` was filled; before, it was all null pointers, which is valid too.
    let info = unsafe { info.assume_init() };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY:
    // 1. It is not null, and a NUL-terminated string that lives as long as the library is loaded.
    // 2. libpython is linked, so it is never unloaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Path::new(OsStr::from_bytes(name.to_bytes()))
        .canonicalize()
        .ok()
}

/// For example `3.11.7 (main, Dec  5 2023, 10:00:00) [GCC 12.2.0]`.
fn full_version() -> String {
    // SAFETY:
    // 1. `Py_GetVersion` may be called before the start and without being attached.
    // 2. It returns a NUL-terminated string in static storage.
    let version = unsafe { CStr::from_ptr(ffi::Py_GetVersion()) };
    version.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_the_first_two_numbers() {
        for (text, expected) in [
            ("3.11.7", "3.11"),
            ("3.13.0.final.0", "3.13"),
            ("3.12", "3.12"),
            ("3.14.0rc1", "3.14"),
            ("", ""),
        ] {
            assert_eq!(minor(text), expected, "{text}");
        }
    }

    #[test]
    fn the_executable_is_looked_for_in_every_folder_above_the_library() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("lib/x86_64-linux-gnu");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(root.path().join("bin")).unwrap();
        let library = deep.join("libpython3.99.so.1.0");
        let names = ["python3.99".to_owned()];
        assert_eq!(executable_above(&library, &names), None);
        let python = root.path().join("bin/python3.99");
        std::fs::write(&python, "").unwrap();
        assert_eq!(executable_above(&library, &names), Some(python));
    }
}

//! Lets a program that embeds Python through httpy find libpython at run time.
//!
//! Many Pythons stand where the loader does not look. Then a program that was linked without trouble does not start:
//! `error while loading shared libraries: libpython3.13.so.1.0`. Write the folder into the program, with a `build.rs` of one
//! call in the crate that holds the program, `fn main() { httpy_build::link_python(); }`, and httpy in two places:
//!
//! ```toml
//! [dependencies]
//! httpy = "0.1"
//!
//! [build-dependencies]
//! httpy-build = "0.1"
//! ```
//!
//! What it does not do: choose the Python (set `PYO3_PYTHON` for that), or put libpython beside a program that moves to
//! another machine.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "build scripts speak to Cargo through stdout"
)]

use std::env;

/// The folders as httpy's build script passes them on to its dependents, and httpy-python's to it.
const PASSED_ON: [&str; 2] = ["DEP_HTTPY_RPATH", "DEP_HTTPY_PYTHON_RPATH"];

/// Writes the folder of libpython into all binaries, tests, examples and benches of the crate whose build script calls
/// this. On macOS also the folder of the Python framework, where Python is one.
///
/// It fails the build, in words, when httpy is not among the crate's `[dependencies]`.
pub fn link_python() {
    for key in PASSED_ON {
        println!("cargo::rerun-if-env-changed={key}");
    }
    let Some(folders) = PASSED_ON.iter().find_map(env::var_os) else {
        println!(
            "cargo::error=httpy_build::link_python() asks httpy where libpython is: add httpy to the [dependencies] of this crate"
        );
        return;
    };
    for folder in env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}

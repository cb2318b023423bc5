//! Links this crate's own tests to libpython, and passes on where it is to the crates that depend on this one.

use std::env;

fn main() {
    #[cfg(feature = "embed")]
    httpy_build::link_python();
    if let Ok(folders) = env::var("DEP_HTTPY_PYTHON_RPATH") {
        println!("cargo::metadata=RPATH={folders}");
    }
}

//! Lists the files of the Python package, so that all of them are carried in the program. The folder is a link in the
//! repository, and real files in what is published.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDER: &str = "httpy_rs";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut names = Vec::new();
    collect(Path::new(FOLDER), "", &mut names)?;
    names.sort();
    let mut list = "&[\n".to_owned();
    for name in names {
        // Each file and not the folder, in which Python writes `__pycache__`: a file that is new is imported by one that changed.
        println!("cargo::rerun-if-changed={FOLDER}/{name}");
        let path = format!("/{FOLDER}/{name}");
        // Writing to a `String` does not fail.
        let _ = writeln!(
            list,
            "({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),"
        );
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(PathBuf::from(out).join("files.rs"), list)
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), names)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            names.push(name);
        }
    }
    Ok(())
}

//! Links this crate's own tests to libpython, and passes on where it is to the crates that depend on this one. Turns the links
//! between the pages of the guide into those of rustdoc.

use std::path::Path;
use std::{env, fs, io};

/// Where the repository's files can be read.
const FILES: &str = "https://github.com/httpy-rs/httpy/blob/main/";
const IMAGES: &str = "https://raw.githubusercontent.com/httpy-rs/httpy/main/docs/images/";

fn main() {
    #[cfg(feature = "embed")]
    httpy_build::link_python();
    if let Ok(folders) = env::var("DEP_HTTPY_PYTHON_RPATH") {
        println!("cargo::metadata=RPATH={folders}");
    }
    println!("cargo::rerun-if-changed=docs");
    if let Err(error) = write_guide() {
        println!("cargo::error=the pages of the guide cannot be written: {error}");
    }
}

/// Writes each page to `OUT_DIR`, with links that rustdoc understands.
fn write_guide() -> io::Result<()> {
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    for entry in fs::read_dir("docs")? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else {
            continue;
        };
        let text = fs::read_to_string(&path)?;
        fs::write(Path::new(&out).join(name), for_rustdoc(&text))?;
    }
    Ok(())
}

fn for_rustdoc(page: &str) -> String {
    let mut parts = page.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (link, rest) = part.split_at(part.find(')').unwrap_or_default());
        let (file, anchor) = link.split_at(link.find('#').unwrap_or(link.len()));
        let link = if let Some(page) = file.strip_suffix(".md").filter(|page| !page.contains('/')) {
            format!("crate::guide::{page}{anchor}")
        } else if let Some(file) = link.strip_prefix("../") {
            format!("{FILES}{file}")
        } else if let Some(image) = link.strip_prefix("images/") {
            format!("{IMAGES}{image}")
        } else {
            link.to_owned()
        };
        [text, link].join("](") + rest
    })
}

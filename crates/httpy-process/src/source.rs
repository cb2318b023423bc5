//! The Python package `httpy_rs`, carried in the program for the workers, which need nothing installed.
//!
//! Only its texts: a worker gets them with its first frame. The folder beside this crate's manifest is a link to the
//! package's own; the build script lists what is in it.

/// File name below the package's folder and text of every module.
pub(crate) const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_packages_are_carried() {
        for name in [
            "__init__.py",
            "_embed.py",
            "_worker/__init__.py",
            "_worker/main.py",
        ] {
            let (_, text) = FILES.iter().find(|(file, _)| *file == name).unwrap();
            assert!(text.starts_with("\"\"\""), "{name}");
        }
        assert!(FILES.iter().all(|(name, _)| !name.contains("__pycache__")));
    }
}

//! `Sources`: the Python files below an engine's folders as they are at one moment, so that two moments can be compared.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::{DirEntry, WalkDir};

/// The `*.py` files below some folders, each with its modification time and its size.
///
/// These are what a save, a rename, a removal and a checkout change. Reading a file does not change them, and neither does
/// changing its mode or its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Sources {
    /// Reads what is there now. Symbolic links are followed; what disappears meanwhile or cannot be read is left out.
    pub(super) fn read(folders: &[PathBuf]) -> Self {
        let walks = folders.iter().flat_map(|folder| {
            let walk = WalkDir::new(folder).follow_links(true).into_iter();
            walk.filter_entry(has_sources).flatten()
        });
        let files = walks.filter(|entry| entry.path().extension() == Some(OsStr::new("py")));
        let files = files.filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((
                entry.into_path(),
                (metadata.modified().ok(), metadata.len()),
            ))
        });
        Self(files.collect())
    }

    /// The files that are new, gone or different in `other`.
    pub(super) fn changes<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Path> {
        let differ = |files: &'a Self, from: &'a Self| {
            let entries = files.0.iter();
            entries.filter(|(path, file)| from.0.get(*path) != Some(file))
        };
        let gone = self
            .0
            .iter()
            .filter(|(path, _)| !other.0.contains_key(*path));
        differ(other, self).chain(gone).map(|(path, _)| &**path)
    }
}

#[cfg(test)]
impl FromIterator<(PathBuf, u64)> for Sources {
    /// Of paths and sizes.
    fn from_iter<I: IntoIterator<Item = (PathBuf, u64)>>(files: I) -> Self {
        let files = files.into_iter();
        Self(files.map(|(path, size)| (path, (None, size))).collect())
    }
}

/// Whether an entry may be one of the app's files or have some below: not what is hidden (editors keep their locks and copies
/// so, version control its folders), not what Python compiles, not a virtual environment.
fn has_sources(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    // The app's own folder may have any name.
    entry.depth() == 0
        || !(name.starts_with(b".")
            || name == b"__pycache__"
            || (entry.file_type().is_dir() && entry.path().join("pyvenv.cfg").exists()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    /// A hidden folder, as the temporary ones are, with a package in it.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("shop")).unwrap();
        for file in ["app.py", "page.html", "shop/__init__.py", "shop/price.py"] {
            fs::write(folder.path().join(file), "x = 1\n").unwrap();
        }
        folder
    }

    type Change = fn(&Path);

    /// What differs after `change`.
    fn changes(folder: &TempDir, change: impl FnOnce(&Path)) -> Vec<String> {
        let folders = [folder.path().to_owned()];
        let before = Sources::read(&folders);
        change(folder.path());
        let after = Sources::read(&folders);
        let found: Vec<_> = before
            .changes(&after)
            .map(|path| path.strip_prefix(folder.path()).unwrap())
            .map(|path| path.to_str().unwrap().to_owned())
            .collect();
        assert_eq!(before == after, found.is_empty());
        found
    }

    /// Another modification time, however coarse the clock of the file system is.
    fn touch(file: &Path) {
        let time = SystemTime::now() - Duration::from_secs(3600);
        let file = File::options().append(true).open(file).unwrap();
        file.set_modified(time).unwrap();
    }

    #[test]
    fn what_is_no_change_of_the_code_changes_nothing() {
        let folder = folder();
        let table: [(&str, Change); 8] = [
            ("reading", |at| {
                fs::read(at.join("app.py")).unwrap();
                fs::read_dir(at.join("shop")).unwrap().for_each(drop);
            }),
            ("a mode", |at| {
                fs::set_permissions(at.join("app.py"), Permissions::from_mode(0o600)).unwrap();
            }),
            ("a hard link elsewhere", |at| {
                fs::hard_link(at.join("app.py"), at.join("app.bak")).unwrap();
            }),
            ("compiled files", |at| {
                fs::create_dir(at.join("__pycache__")).unwrap();
                fs::write(at.join("__pycache__/app.cpython-311.pyc"), "").unwrap();
                fs::write(at.join("__pycache__/odd.py"), "").unwrap();
            }),
            ("editors' files", |at| {
                for name in [".app.py.swp", "app.py~", "#app.py#", ".#app.py", "4913"] {
                    fs::write(at.join(name), "").unwrap();
                }
            }),
            ("data and logs", |at| {
                for name in [
                    "data.sqlite3",
                    "data.sqlite3-journal",
                    "app.log",
                    "page.html",
                ] {
                    fs::write(at.join(name), "changed").unwrap();
                }
            }),
            ("a virtual environment", |at| {
                fs::create_dir_all(at.join("venv/lib")).unwrap();
                fs::write(at.join("venv/pyvenv.cfg"), "").unwrap();
                fs::write(at.join("venv/lib/module.py"), "").unwrap();
            }),
            ("a checkout's own files", |at| {
                fs::create_dir(at.join(".git")).unwrap();
                fs::write(at.join(".git/hook.py"), "").unwrap();
            }),
        ];
        for (what, change) in table {
            assert_eq!(changes(&folder, change), [""; 0], "{what}");
        }
    }

    #[test]
    fn each_change_of_the_code_is_found_and_named() {
        let table: [(&str, Change, &[&str]); 9] = [
            (
                "a write",
                |at| fs::write(at.join("app.py"), "x = 22\n").unwrap(),
                &["app.py"],
            ),
            ("a time", |at| touch(&at.join("app.py")), &["app.py"]),
            (
                "a rename over it",
                |at| {
                    fs::write(at.join("app.py.tmp"), "x = 333\n").unwrap();
                    fs::rename(at.join("app.py.tmp"), at.join("app.py")).unwrap();
                },
                &["app.py"],
            ),
            (
                "a new file",
                |at| fs::write(at.join("new.py"), "").unwrap(),
                &["new.py"],
            ),
            (
                "a removal",
                |at| fs::remove_file(at.join("app.py")).unwrap(),
                &["app.py"],
            ),
            (
                "a new name",
                |at| fs::rename(at.join("app.py"), at.join("b.py")).unwrap(),
                &["b.py", "app.py"],
            ),
            (
                "a folder's new name",
                |at| fs::rename(at.join("shop"), at.join("store")).unwrap(),
                &[
                    "store/__init__.py",
                    "store/price.py",
                    "shop/__init__.py",
                    "shop/price.py",
                ],
            ),
            (
                "a folder that appears",
                |at| {
                    fs::create_dir_all(at.join("a/b")).unwrap();
                    fs::write(at.join("a/b/c.py"), "").unwrap();
                },
                &["a/b/c.py"],
            ),
            (
                "the app's own folder, removed",
                |at| fs::remove_dir_all(at).unwrap(),
                &["app.py", "shop/__init__.py", "shop/price.py"],
            ),
        ];
        for (what, change, expected) in table {
            assert_eq!(changes(&folder(), change), expected, "{what}");
        }
    }

    #[test]
    fn links_are_followed_and_one_that_leads_round_does_no_harm() {
        let (folder, other) = (folder(), folder());
        let shop = other.path().join("shop");
        symlink(&shop, folder.path().join("link")).unwrap();
        symlink(other.path().join("app.py"), folder.path().join("file.py")).unwrap();
        symlink(folder.path(), folder.path().join("round")).unwrap();
        symlink("/nowhere", folder.path().join("dangling.py")).unwrap();
        let write = |_: &Path| {
            fs::write(shop.join("price.py"), "x = 22\n").unwrap();
            fs::write(other.path().join("app.py"), "x = 22\n").unwrap();
        };
        assert_eq!(changes(&folder, write), ["file.py", "link/price.py"]);
        let swap = |at: &Path| {
            fs::remove_file(at.join("link")).unwrap();
            symlink(other.path(), at.join("link")).unwrap();
        };
        assert!(changes(&folder, swap).contains(&"link/shop/price.py".to_owned()));
    }
}

//! Which virtual environment is in force, and whether the linked libpython can use it.
//!
//! CPython itself does not refuse an environment that another version made: it silently gives an empty
//! `site-packages`. Nor does it refuse one of another installation of the same version: it takes the standard library of that
//! one, whose modules in C may be built in there and missing here. So the checks stand here, before the start.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use httpy_core::StartError;

use super::library;

/// The python of the environment asked for, else of the one that `VIRTUAL_ENV` names, else none. It is not resolved,
/// because CPython finds the environment by where its python stands.
pub(super) fn choose_python(asked: Option<&Path>) -> Result<Option<PathBuf>, StartError> {
    let named = || env::var_os("VIRTUAL_ENV").filter(|dir| !dir.is_empty());
    match asked
        .map(PathBuf::from)
        .or_else(|| named().map(PathBuf::from))
    {
        Some(dir) => {
            let base = library::base_python();
            python_in(&dir, &library::version(), base.as_deref()).map(Some)
        }
        None => Ok(None),
    }
}

/// `linked` is the version of libpython, and `base` the python of its installation, where that is known.
fn python_in(dir: &Path, linked: &str, base: Option<&Path>) -> Result<PathBuf, StartError> {
    let refuse = |problem: String| StartError::Venv {
        dir: dir.to_owned(),
        problem,
    };
    let linked = library::minor(linked);
    let remake = format!(
        "make it again with `python{linked} -m venv {}`, or build against its Python (set PYO3_PYTHON)",
        dir.display()
    );
    let settings = fs::read_to_string(dir.join("pyvenv.cfg")).map_err(|error| {
        refuse(format!(
            "expected a folder with a pyvenv.cfg, as `python{linked} -m venv` makes it ({error})"
        ))
    })?;
    match made_by(&settings) {
        Some(version) if library::minor(version) != linked => {
            return Err(refuse(format!(
                "made by Python {version}, but this program is linked to Python {linked}: {remake}"
            )));
        }
        None if !dir.join("lib").join(format!("python{linked}")).is_dir() => {
            return Err(refuse(format!(
                "no version in its pyvenv.cfg and no lib/python{linked}: {remake}"
            )));
        }
        _ => {}
    }
    if let (Some(home), Some(base)) = (setting(&settings, &["home"]), base) {
        let maker = [&format!("python{linked}"), "python3", "python"]
            .iter()
            .map(|name| Path::new(home).join(name))
            .find(|python| python.is_file());
        let Some(maker) = maker else {
            return Err(refuse(format!(
                "made by an installation that is gone, as its home {home} has no python{linked}: {remake}"
            )));
        };
        if folder(&maker) != folder(base) {
            return Err(refuse(format!(
                "made by {}, which is another installation than that of the linked libpython, {base}: make it again with `{base} -m venv {}`, or \
                 build against its Python (set PYO3_PYTHON)",
                maker.display(),
                dir.display(),
                base = base.display(),
            )));
        }
    }
    let python = std::path::absolute(dir)
        .map_err(|error| refuse(error.to_string()))?
        .join("bin")
        .join("python");
    if python.is_file() {
        Ok(python)
    } else {
        Err(refuse(format!(
            "its bin/python is missing or links to nothing: {remake}"
        )))
    }
}

/// The version in a `pyvenv.cfg`: `version` by venv, `version_info` by virtualenv and uv.
fn made_by(settings: &str) -> Option<&str> {
    setting(settings, &["version", "version_info"])
}

/// The first setting with one of these names.
fn setting<'a>(settings: &'a str, names: &[&str]) -> Option<&'a str> {
    settings
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| {
            names
                .iter()
                .any(|name| key.trim().eq_ignore_ascii_case(name))
        })
        .map(|(_, value)| value.trim())
}

/// Where a program is, links resolved.
fn folder(program: &Path) -> Option<PathBuf> {
    let program = program.canonicalize().ok()?;
    program.parent().map(Path::to_owned)
}

/// Whether two folders are the same one, links resolved.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(settings: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        if let Some(settings) = settings {
            fs::write(dir.path().join("pyvenv.cfg"), settings).unwrap();
        }
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/python"), "").unwrap();
        dir
    }

    #[test]
    fn an_environment_of_the_same_minor_version_is_taken() {
        for settings in [
            "home = /usr/bin\nversion = 3.11.2\n",
            "home = /usr/bin\nVERSION_INFO=3.11.2.final.0\n",
            "home = /usr/bin\nuv = 0.9.0\nversion_info = 3.11\n",
        ] {
            let dir = environment(Some(settings));
            let python = python_in(dir.path(), "3.11.7", None).expect(settings);
            assert_eq!(python, dir.path().join("bin/python"));
        }
    }

    #[test]
    fn an_environment_of_another_version_is_refused_with_both_versions() {
        let dir = environment(Some("version = 3.12.1\n"));
        let message = python_in(dir.path(), "3.11.7", None)
            .unwrap_err()
            .to_string();
        for part in [
            "made by Python 3.12.1",
            "linked to Python 3.11",
            "python3.11 -m venv",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_folder_that_is_no_environment_is_refused_by_name() {
        let dir = environment(None);
        let message = python_in(dir.path(), "3.11.7", None)
            .unwrap_err()
            .to_string();
        assert!(message.contains("pyvenv.cfg"), "{message}");
        assert!(
            message.contains(&dir.path().display().to_string()),
            "{message}"
        );
    }

    #[test]
    fn an_environment_without_a_version_is_judged_by_its_lib_folder() {
        let dir = environment(Some("home = /usr/bin\n"));
        assert!(python_in(dir.path(), "3.11.7", None).is_err());
        fs::create_dir_all(dir.path().join("lib/python3.11")).unwrap();
        assert!(python_in(dir.path(), "3.11.7", None).is_ok());
    }

    #[test]
    fn an_environment_whose_python_is_gone_is_refused() {
        let dir = environment(Some("version = 3.11.2\n"));
        fs::remove_file(dir.path().join("bin/python")).unwrap();
        std::os::unix::fs::symlink("/nowhere/python", dir.path().join("bin/python")).unwrap();
        let message = python_in(dir.path(), "3.11.7", None)
            .unwrap_err()
            .to_string();
        assert!(message.contains("bin/python"), "{message}");
    }

    /// A folder with a `python3.11`.
    fn installation() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("python3.11");
        fs::write(&python, "").unwrap();
        (dir, python)
    }

    #[test]
    fn an_environment_of_another_installation_is_refused_with_both() {
        let ((ours, base), (theirs, maker)) = (installation(), installation());
        let of = |home: &Path| {
            environment(Some(&format!(
                "home = {}\nversion = 3.11.2\n",
                home.display()
            )))
        };
        let dir = of(theirs.path());
        let message = python_in(dir.path(), "3.11.7", Some(&base))
            .unwrap_err()
            .to_string();
        for part in [
            format!("{}: made by {}", dir.path().display(), maker.display()),
            format!("the linked libpython, {}", base.display()),
            format!("`{} -m venv {}`", base.display(), dir.path().display()),
        ] {
            assert!(message.contains(&part), "{part}: {message}");
        }
        // Its own, also by another way, and where nothing is known of it.
        let links = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(&base, links.path().join("python3")).unwrap();
        for home in [ours.path(), links.path()] {
            python_in(of(home).path(), "3.11.7", Some(&base)).unwrap();
        }
        python_in(dir.path(), "3.11.7", None).unwrap();
    }

    #[test]
    fn an_environment_of_an_installation_that_is_gone_is_refused() {
        let (_ours, base) = installation();
        let dir = environment(Some("home = /no/such/folder\nversion = 3.11.2\n"));
        let message = python_in(dir.path(), "3.11.7", Some(&base))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("its home /no/such/folder has no python3.11"),
            "{message}"
        );
    }
}

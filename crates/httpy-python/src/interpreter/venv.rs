//! Which virtual environment is in force, and whether the linked libpython can use it.
//!
//! CPython itself does not refuse an environment that another version made: it silently gives an empty
//! `site-packages`. So the check stands here, before the start.

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
        Some(dir) => python_in(&dir, &library::version()).map(Some),
        None => Ok(None),
    }
}

fn python_in(dir: &Path, linked: &str) -> Result<PathBuf, StartError> {
    let refuse = |problem: String| StartError::Venv {
        dir: dir.to_owned(),
        problem,
    };
    let linked = library::minor(linked);
    let remake = format!(
        "make it anew with `python{linked} -m venv {}`, or build against its Python (set PYO3_PYTHON)",
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
    settings
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| {
            let key = key.trim();
            key.eq_ignore_ascii_case("version") || key.eq_ignore_ascii_case("version_info")
        })
        .map(|(_, value)| value.trim())
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
            let python = python_in(dir.path(), "3.11.7").expect(settings);
            assert_eq!(python, dir.path().join("bin/python"));
        }
    }

    #[test]
    fn an_environment_of_another_version_is_refused_with_both_versions() {
        let dir = environment(Some("version = 3.12.1\n"));
        let message = python_in(dir.path(), "3.11.7").unwrap_err().to_string();
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
        let message = python_in(dir.path(), "3.11.7").unwrap_err().to_string();
        assert!(message.contains("pyvenv.cfg"), "{message}");
        assert!(
            message.contains(&dir.path().display().to_string()),
            "{message}"
        );
    }

    #[test]
    fn an_environment_without_a_version_is_judged_by_its_lib_folder() {
        let dir = environment(Some("home = /usr/bin\n"));
        assert!(python_in(dir.path(), "3.11.7").is_err());
        fs::create_dir_all(dir.path().join("lib/python3.11")).unwrap();
        assert!(python_in(dir.path(), "3.11.7").is_ok());
    }

    #[test]
    fn an_environment_whose_python_is_gone_is_refused() {
        let dir = environment(Some("version = 3.11.2\n"));
        fs::remove_file(dir.path().join("bin/python")).unwrap();
        std::os::unix::fs::symlink("/nowhere/python", dir.path().join("bin/python")).unwrap();
        let message = python_in(dir.path(), "3.11.7").unwrap_err().to_string();
        assert!(message.contains("bin/python"), "{message}");
    }
}

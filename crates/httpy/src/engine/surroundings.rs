//! `Surroundings`: what Python code finds around it: folders on `sys.path`, environment variables, the working directory.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::error::Kind;
use crate::{EngineConfig, Error};

/// What Python code finds around it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Absolute folders for `sys.path`.
    pub(crate) paths: Vec<PathBuf>,
    /// The virtual environment.
    pub(crate) venv: Option<PathBuf>,
    /// Environment variables to be set.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) working_dir: Option<PathBuf>,
}

impl Surroundings {
    /// As the options say, which are checked.
    ///
    /// # Errors
    ///
    /// A file of variables that cannot be read.
    pub(super) fn of(config: &EngineConfig) -> Result<Self, Error> {
        let of_options = config.env.iter();
        let mut variables: Vec<_> = of_options
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(file) = &config.env_file {
            for (name, value) in read(file)? {
                if !config.env.contains_key(&name) && env::var_os(&name).is_none() {
                    variables.push((name, value));
                }
            }
        }
        let paths = config.path.iter().map(|dir| absolute("path", dir));
        let one = |option, dir: &Option<PathBuf>| {
            let dir = dir.as_ref().map(|dir| absolute(option, dir));
            dir.transpose()
        };
        Ok(Self {
            paths: paths.collect::<Result<_, _>>()?,
            venv: one("venv", &config.venv)?,
            variables,
            working_dir: one("working_dir", &config.working_dir)?,
        })
    }
}

fn read(file: &Path) -> Result<Vec<(String, String)>, Error> {
    let name = file.display();
    let text = fs::read(file).map_err(|error| {
        Error::with_source(
            Kind::Config,
            format!("env_file: {name} cannot be read"),
            error,
        )
    })?;
    let parse = |text: &[u8]| dotenvy::from_read_iter(text).collect::<Result<Vec<_>, _>>();
    parse(&text).map_err(|_| {
        // The parser's own error has the line's text, which may be secret.
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let ends: Vec<usize> = ends.map(|(at, _)| at + 1).chain([text.len()]).collect();
        let fails = |line: &usize| parse(&text[..ends[*line - 1]]).is_err();
        // A value may have several lines: the first one from which on nothing can be read.
        let line = (1..=ends.len()).rev().take_while(fails).last();
        let text = format!(
            "env_file: {name}: line {} cannot be read: expected NAME=value, and quotes around a value with spaces",
            line.unwrap_or_default()
        );
        Error::new(Kind::Config, text)
    })
}

/// A relative folder is relative to where the process stands now, not to where Python code may go.
fn absolute(option: &str, dir: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(dir).map_err(|error| {
        let text = format!("{option}: {} has no absolute form", dir.display());
        Error::with_source(Kind::Config, text, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(config: &EngineConfig) -> Result<Vec<(String, String)>, Error> {
        Surroundings::of(config).map(|surroundings| surroundings.variables)
    }

    #[test]
    fn a_file_of_variables_sets_what_is_not_set_already() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(
            &file,
            "# settings\nPATH=/nowhere\nMODE=slow\nexport NAME='two words'\n",
        )
        .unwrap();
        let mut config = EngineConfig {
            env_file: Some(file),
            ..EngineConfig::default()
        };
        config.env.insert("MODE".to_owned(), "fast".to_owned());
        let expected = [("MODE", "fast"), ("NAME", "two words")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables(&config).unwrap(), expected);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
        let config = EngineConfig {
            env_file: Some("/no/such/file".into()),
            ..EngineConfig::default()
        };
        let error = variables(&config).unwrap_err();
        assert!(error.is_config());
        assert_eq!(error.to_string(), "env_file: /no/such/file cannot be read");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, "A=1\nSECRET=a secret\n").unwrap();
        let config = EngineConfig {
            env_file: Some(file),
            ..EngineConfig::default()
        };
        let error = format!("{:?}", variables(&config).unwrap_err());
        assert!(
            error.contains(": line 2 cannot be read: expected NAME=value"),
            "{error}"
        );
        assert!(!error.contains("a secret"), "{error}");
    }
}

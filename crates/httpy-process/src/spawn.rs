//! A worker's process: which Python it is, and its start, with nothing inherited but a socket and two pipes.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::Command;

use crate::failure::Failure;
use crate::options::ProcessOptions;
use crate::process::Process;

/// What a worker's process runs: the first lines of the package, and before them what must be done by any Python. One that
/// is not supported says so and ends.
pub(crate) const BOOT: &str = concat!(
    "import sys\n",
    "if sys.implementation.name != 'cpython' or sys.version_info < (3, 11):\n",
    "    sys.exit('%s is Python %d.%d.%d (%s): expected CPython 3.11 or newer'\n",
    "        % (sys.executable, *sys.version_info[:3], sys.implementation.name))\n",
    include_str!("../httpy_rs/_boot.py"),
);

/// A process that was started, and the parent's ends of what it has inherited.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) process: Process,
    pub(crate) control: UnixStream,
    pub(crate) output: OwnedFd,
    pub(crate) error: OwnedFd,
}

/// The interpreter of the workers: the one asked for, else that of the virtual environment that was asked for or that
/// `VIRTUAL_ENV` names, else `python3`.
///
/// # Errors
///
/// When the environment has no python.
pub(crate) fn python(options: &ProcessOptions) -> Result<PathBuf, Failure> {
    choose(
        options.python.as_deref(),
        options.venv.as_deref(),
        env::var_os("VIRTUAL_ENV").as_deref(),
    )
}

fn choose(
    python: Option<&Path>,
    venv: Option<&Path>,
    active: Option<&OsStr>,
) -> Result<PathBuf, Failure> {
    let active = active.filter(|folder| !folder.is_empty()).map(Path::new);
    match (python, venv.or(active)) {
        (Some(python), _) => Ok(python.to_owned()),
        (None, Some(venv)) => {
            // Not resolved: Python finds its environment by where it was started.
            let python = std::path::absolute(venv)
                .unwrap_or_else(|_| venv.to_owned())
                .join("bin/python");
            if python.is_file() {
                return Ok(python);
            }
            let problem = "no bin/python, or one that links to nothing: expected a folder that `python3 -m venv` has made";
            Err(Failure::Venv {
                dir: venv.to_owned(),
                problem: problem.to_owned(),
            })
        }
        (None, None) => Ok("python3".into()),
    }
}

/// Starts `python` as the worker `name`. It reads `program` from its control socket, so that its command line is short.
/// Its environment is that of this process, with the variables of `options`, and `VIRTUAL_ENV` where a virtual environment was
/// asked for.
///
/// # Errors
///
/// When it cannot be started.
pub(crate) fn spawn(
    python: &Path,
    options: &ProcessOptions,
    program: &str,
    name: &str,
) -> Result<Spawned, Failure> {
    start(python, options, program, name).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                ": there is none; `Executor::processes(n).python(..)` names another one"
            }
            io::ErrorKind::PermissionDenied => ": it may not be executed",
            _ => "",
        };
        Failure::Process(format!(
            "{} cannot be started{hint} ({error})",
            python.display()
        ))
    })
}

fn start(
    python: &Path,
    options: &ProcessOptions,
    program: &str,
    name: &str,
) -> io::Result<Spawned> {
    // Closed in the child as all that the standard library opens, but for the standard streams.
    let (mut control, theirs) = std::os::unix::net::UnixStream::pair()?;
    control.set_nonblocking(true)?;
    // Sent before the start, so that a single read returns all of it.
    control.write_all(program.as_bytes())?;
    let read = format!("import os;exec(os.read(0,{}))", program.len());
    let control = UnixStream::from_std(control)?;
    let mut command = Command::new(python);
    command.args(["-u", "-X", "utf8", "-c", &read, name]);
    command
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own: Ctrl-C in a terminal is the host's alone, and what a worker has started can be killed with it.
    command.process_group(0).kill_on_drop(true);
    if let Some(venv) = &options.venv {
        command.env("VIRTUAL_ENV", std::path::absolute(venv)?);
    }
    let variables = options.variables.iter();
    command.envs(variables.map(|(name, value)| (name, value)));
    if let Some(dir) = &options.working_dir {
        command.current_dir(dir);
    }
    let mut child = command.spawn()?;
    let (Some(output), Some(error)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let (output, error) = (output.into_owned_fd()?, error.into_owned_fd()?);
    Ok(Spawned {
        process: Process::new(child)?,
        control,
        output,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_python_asked_for_comes_before_that_of_an_environment_and_that_before_any() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/python"), "").unwrap();
        let (venv, other) = (Some(folder.path()), Some(OsStr::new("/no/environment")));
        let chosen =
            |python: Option<&str>, venv, active| choose(python.map(Path::new), venv, active);
        assert_eq!(
            chosen(Some("python3.12"), venv, other).unwrap(),
            Path::new("python3.12")
        );
        assert_eq!(
            chosen(None, venv, other).unwrap(),
            folder.path().join("bin/python")
        );
        assert_eq!(
            chosen(None, None, Some(folder.path().as_os_str())).unwrap(),
            folder.path().join("bin/python")
        );
        assert_eq!(
            chosen(None, None, Some(OsStr::new(""))).unwrap(),
            Path::new("python3")
        );
        let refused = chosen(None, None, other).unwrap_err().to_string();
        assert!(
            refused.contains("/no/environment: no bin/python"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_python_that_is_not_there_is_named() {
        let refused = spawn(
            Path::new("/no/such/python"),
            &crate::tests::floor::options(),
            BOOT,
            "httpy-process-1",
        )
        .unwrap_err()
        .to_string();
        assert!(
            refused.starts_with("/no/such/python cannot be started: there is none"),
            "{refused}"
        );
    }
}

//! A server in a process of its own, for what changes a process: signals, the end, forks, file descriptors, stdio, exit
//! codes. `src/bin/server.rs` is the program; here it is set up, started, asked, signalled, and waited for.
//!
//! Waiting is for output, answers and the end, never for time. A wait in vain ends at the limit of its test, by
//! `scripts/run_tests.py`; that shows what the server has written, which it finds in files.

#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a test fails, and says why"
)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::watch;

use crate::app::NEVER;
use crate::client::{self, Connection, Received, request};
use crate::config::{AppConfig, LIMIT};
use crate::executor;

/// What the server program is told, as JSON in its first argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The apps. The first one has its routes and every path that no route has, the second is nested at `/app2`, and so
    /// on.
    pub apps: Vec<AppConfig>,
    /// For pending requests, after the signal.
    pub grace: Duration,
    /// Whether the first app is built and asked once more after all have shut down.
    pub rebuild: bool,
    /// Where to listen on 127.0.0.1; 0 for a free port.
    pub port: u16,
}

/// A server that is still to be started.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    setup: Setup,
    variables: Vec<(OsString, OsString)>,
}

impl Server {
    /// With an app of this Python source, whose handler is `handle`.
    pub fn new(source: &str) -> Self {
        Self::empty().app(source)
    }

    /// With an app of `tests/python/fault/MODULE.py`, and a healthy one at `/app2`.
    pub fn fault(module: &str) -> Self {
        Self::empty().module(module).module("healthy")
    }

    /// With an app of this Python source and a handler that evaluates what [`Child::evaluate`] sends it.
    pub fn evaluating(source: &str) -> Self {
        let handler = "def handle(method, path, params, query, headers, body):\n    return 200, str(eval(body)), {}\n";
        Self::new(&format!("{source}\n{handler}"))
    }

    fn empty() -> Self {
        let folder =
            tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let setup = Setup {
            apps: Vec::new(),
            grace: LIMIT,
            rebuild: false,
            port: 0,
        };
        Self {
            folder,
            setup,
            variables: Vec::new(),
        }
    }

    fn module(mut self, module: &str) -> Self {
        let mut config = AppConfig::new(format!("{module}:handle"));
        config.slow_call = NEVER;
        config.drain = Duration::ZERO;
        config
            .path
            .push(concat!(env!("CARGO_MANIFEST_DIR"), "/python/fault").into());
        self.setup.apps.push(config);
        self
    }

    /// With another app, in the same way.
    pub fn app(mut self, source: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let module = format!(
            "app_{}_{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut config = AppConfig::new(format!("{module}:handle"));
        config.slow_call = NEVER;
        config.drain = Duration::ZERO;
        config.path.push(self.folder.path().to_owned());
        self.setup.apps.push(config);
        self.file(&format!("{module}.py"), source)
    }

    /// The last app's `init` is its init function.
    pub fn init(self) -> Self {
        self.config(|config| config.init = Some(config.target.replace(":handle", ":init")))
    }

    /// Changes the last app's options.
    pub fn config(mut self, change: impl FnOnce(&mut AppConfig)) -> Self {
        self.setup.apps.last_mut().map(change);
        self
    }

    /// Changes what the server program is told.
    pub fn setup(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }

    /// With an environment variable.
    pub fn variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// With a file in the temporary folder, whose own folders are made.
    pub fn file(self, name: &str, text: &str) -> Self {
        let file = self.folder.path().join(name);
        let written = fs::create_dir_all(file.parent().unwrap_or(self.folder.path()))
            .and_then(|()| fs::write(&file, text));
        written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self
    }

    /// The temporary folder: the modules are in it, and the server stands in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> Child {
        let mut child = self.spawn();
        let line = child.line_with("listening on http://").await;
        let address = line
            .rsplit('/')
            .next()
            .and_then(|address| address.parse().ok());
        child.address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        child
    }

    /// Starts it, expecting that this fails, and waits for its end.
    pub async fn fail(self) -> Ended {
        let child = self.spawn();
        let mut output = child.output.clone();
        let ended = tokio::select! {
            ended = child.wait() => ended,
            Ok(_) = output.wait_for(|output| output.texts()[0].contains("listening")) => panic!("the start did not fail"),
        };
        assert_eq!(
            ended.status.code(),
            Some(1),
            "expected a start that fails\n{ended:?}"
        );
        ended
    }

    fn spawn(self) -> Child {
        let setup = serde_json::to_string(&self.setup)
            .unwrap_or_else(|error| panic!("the set-up: {error}"));
        let mut command = Command::new(program());
        command.arg(setup).current_dir(self.folder.path());
        // It must find libpython and its modules without any of these.
        for name in [
            "LD_LIBRARY_PATH",
            "DYLD_LIBRARY_PATH",
            "VIRTUAL_ENV",
            "PYTHONHOME",
            "PYTHONPATH",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.envs(self.variables).kill_on_drop(true);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program().display()));
        let (sender, output) = watch::channel(Output::default());
        let sender = Arc::new(sender);
        let copy = copy(process.id());
        collect(process.stdout.take(), &sender, &copy, |output| {
            &mut output.stdout
        });
        collect(process.stderr.take(), &sender, &copy, |output| {
            &mut output.stderr
        });
        Child {
            process,
            output,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            _folder: self.folder,
        }
    }
}

/// The server program, which Cargo puts one folder above the tests.
fn program() -> PathBuf {
    let test =
        env::current_exe().unwrap_or_else(|error| panic!("this test's own program: {error}"));
    let folder = test.ancestors().nth(2).unwrap_or(&test);
    folder.join(format!("server{}", env::consts::EXE_SUFFIX))
}

/// What the server has written so far.
#[derive(Debug, Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    fn texts(&self) -> [String; 2] {
        [&self.stdout, &self.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The file for what a process writes, by its id, where the runner of tests wants one.
fn copy(process: Option<u32>) -> Arc<Option<File>> {
    let file = env::var_os("HTTPY_TEST_OUTPUT").zip(process);
    let file = file.map(|(folder, id)| Path::new(&folder).join(id.to_string()));
    Arc::new(file.and_then(|file| File::options().create(true).append(true).open(file).ok()))
}

/// Appends what comes; the last of the two streams to end closes the channel.
fn collect(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    sender: &Arc<watch::Sender<Output>>,
    copy: &Arc<Option<File>>,
    part: fn(&mut Output) -> &mut Vec<u8>,
) {
    let (sender, copy) = (Arc::clone(sender), Arc::clone(copy));
    let Some(mut stream) = stream else { return };
    tokio::spawn(async move {
        let mut buffer = vec![0; 8192];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            if let Some(mut copy) = copy.as_ref().as_ref() {
                // Without it, less is shown of a test that hangs.
                let _written = copy.write_all(&buffer[..length]);
            }
            sender.send_modify(|output| part(output).extend_from_slice(&buffer[..length]));
        }
    });
}

/// A running server. Killed when dropped; a test that fails meanwhile shows what the server has written.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    output: watch::Receiver<Output>,
    address: SocketAddr,
    _folder: TempDir,
}

impl Child {
    /// Waits until stdout or stderr has `text`, be its line complete or not.
    pub async fn wait_for(&self, text: &str) {
        self.find(text, |output| output.contains(text).then_some(()))
            .await;
    }

    /// Waits for a complete line of stdout or stderr that has `text`.
    pub async fn line_with(&self, text: &str) -> String {
        let complete = |output: &str| {
            let mut lines = output
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            lines
                .find(|line| line.contains(text))
                .map(|line| line.trim_end().to_owned())
        };
        self.find(text, complete).await
    }

    async fn find<R>(&self, text: &str, find: impl Fn(&str) -> Option<R>) -> R {
        let mut output = self.output.clone();
        let mut found = None;
        let wait = output.wait_for(|output| {
            found = output.texts().iter().find_map(|text| find(text));
            found.is_some()
        });
        assert!(wait.await.is_ok(), "the server ended without {text:?}");
        found.unwrap_or_else(|| panic!("{text:?} was there just now"))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process
            .id()
            .unwrap_or_else(|| panic!("the server has ended"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// The answer to a `GET` over a connection of its own.
    pub async fn get(&self, path: &str) -> Received {
        client::get(self.address, path).await
    }

    /// What a Python expression is, as text, in a handler of [`Server::evaluating`].
    pub async fn evaluate(&self, expression: &str) -> String {
        let answer = client::exchange(
            self.address,
            &request("POST", "/", &[], expression.as_bytes()),
        )
        .await;
        assert_eq!(answer.status, 200, "{expression}: {}", answer.text());
        answer.text()
    }

    /// Sends a signal: `INT`, `TERM`.
    pub async fn signal(&self, name: &str) {
        // The shell's own `kill`, which is there where the program is not.
        let status = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.id()))
            .status()
            .await;
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Waits for its end.
    pub async fn wait(mut self) -> Ended {
        let status = self.process.wait().await;
        let status = status.unwrap_or_else(|error| panic!("the server's end: {error}"));
        // Until both streams are closed.
        while self.output.changed().await.is_ok() {}
        let [stdout, stderr] = self.output.borrow().texts();
        Ended {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Child {
    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it with the failed test"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let [stdout, stderr] = self.output.borrow().texts();
            eprintln!("-- the server's stdout\n{stdout}\n-- its stderr\n{stderr}");
        }
    }
}

/// A server that has ended.
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr, where its log is.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
    }

    /// Where what Python has printed ends: stdout, and the log on stderr where it was a process of its own that printed.
    pub fn printed(&self) -> &str {
        if executor::are_processes() {
            &self.stderr
        } else {
            &self.stdout
        }
    }

    /// Fails the test unless stderr has each of `parts`.
    #[track_caller]
    pub fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "expected {part:?} on stderr\n{self:?}"
            );
        }
    }
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "-- {}\n-- stdout\n{}\n-- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

//! A server in a process of its own, for what changes a process: signals, the end, forks, file descriptors, stdio, exit
//! codes. `src/bin/server.rs` is the program; here it is set up, started, asked, signalled, and waited for.
//!
//! Waiting is for output, answers and the end, never for time: [`LIMIT`] only ends what hangs.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a test fails, and says why")]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};

use httpy::Config;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

/// What takes so long hangs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What the server program is told, as JSON in its first argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The apps. The first one has its routes and every path that no route has, the second is nested at `/app2`, and so
    /// on.
    pub apps: Vec<Config>,
    /// For pending requests, after the signal.
    pub grace: Duration,
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
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let setup = Setup { apps: Vec::new(), grace: LIMIT, port: 0 };
        Self { folder, setup, variables: Vec::new() }.app(source)
    }

    /// With another app, in the same way.
    pub fn app(mut self, source: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let module = format!("app_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut config = Config::new(format!("{module}:handle"));
        config.path.push(self.folder.path().to_owned());
        self.setup.apps.push(config);
        self.file(&format!("{module}.py"), source)
    }

    /// The last app's `init` is its init function.
    pub fn init(self) -> Self {
        self.config(|config| config.init = Some(config.target.replace(":handle", ":init")))
    }

    /// Changes the last app's options.
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
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
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// With a file in the temporary folder, whose own folders are made.
    pub fn file(self, name: &str, text: &str) -> Self {
        let file = self.folder.path().join(name);
        let written =
            fs::create_dir_all(file.parent().unwrap_or(self.folder.path())).and_then(|()| fs::write(&file, text));
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
        child.address = line.rsplit('/').next().unwrap_or_default().to_owned();
        child
    }

    /// Starts it, expecting that this fails, and waits for its end.
    pub async fn fail(self) -> Ended {
        let ended = self.spawn().wait().await;
        assert_eq!(ended.status.code(), Some(1), "expected a start that fails\n{ended:?}");
        ended
    }

    fn spawn(self) -> Child {
        let setup = serde_json::to_string(&self.setup).unwrap_or_else(|error| panic!("the set-up: {error}"));
        let mut command = Command::new(program());
        command.arg(setup).current_dir(self.folder.path());
        // It must find libpython and its modules without any of these.
        for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.envs(self.variables).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program().display()));
        let (sender, output) = watch::channel(Output::default());
        let sender = Arc::new(sender);
        collect(process.stdout.take(), &sender, |output| &mut output.stdout);
        collect(process.stderr.take(), &sender, |output| &mut output.stderr);
        Child { process, output, address: String::new(), _folder: self.folder }
    }
}

/// The server program, which Cargo puts one folder above the tests.
fn program() -> PathBuf {
    let test = env::current_exe().unwrap_or_else(|error| panic!("this test's own program: {error}"));
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

/// Appends what comes; the last of the two streams to end closes the channel.
fn collect(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    sender: &Arc<watch::Sender<Output>>,
    part: fn(&mut Output) -> &mut Vec<u8>,
) {
    let sender = Arc::clone(sender);
    let Some(mut stream) = stream else { return };
    tokio::spawn(async move {
        let mut buffer = vec![0; 8192];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            sender.send_modify(|output| part(output).extend_from_slice(&buffer[..length]));
        }
    });
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    output: watch::Receiver<Output>,
    address: String,
    _folder: TempDir,
}

impl Child {
    /// Waits until stdout or stderr has `text`, be its line complete or not.
    pub async fn wait_for(&self, text: &str) {
        self.find(text, |output| output.contains(text).then_some(())).await;
    }

    /// Waits for a complete line of stdout or stderr that has `text`.
    pub async fn line_with(&self, text: &str) -> String {
        let complete = |output: &str| {
            let mut lines = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.find(|line| line.contains(text)).map(|line| line.trim_end().to_owned())
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
        // The receiver's borrow ends here, before it is asked again for the message.
        let problem = match timeout(LIMIT, wait).await {
            Ok(Ok(_)) => None,
            Ok(Err(_)) => Some("the server ended"),
            Err(_) => Some("nothing for too long"),
        };
        match (found, problem) {
            (Some(found), None) => found,
            (_, problem) => panic!("waiting for {text:?}: {}\n{self}", problem.unwrap_or_default()),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id().unwrap_or_else(|| panic!("the server has ended\n{self}"))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("no port in {:?}", self.address))
    }

    /// A new connection.
    pub async fn connect(&self) -> Connection {
        match TcpStream::connect(&self.address).await {
            Ok(stream) => Connection { stream: BufReader::new(stream) },
            Err(error) => panic!("connecting: {error}\n{self}"),
        }
    }

    /// The answer to a `GET` on a connection of its own.
    pub async fn get(&self, path: &str) -> Response {
        let mut connection = self.connect().await;
        connection.get(path).await.unwrap_or_else(|| panic!("GET {path}: closed without an answer\n{self}"))
    }

    /// Sends a signal: `INT`, `TERM`.
    pub async fn signal(&self, name: &str) {
        // The shell's own `kill`, which is there where the program is not.
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.id())).status().await;
        assert!(status.is_ok_and(|status| status.success()), "kill -{name}\n{self}");
    }

    /// Waits for its end.
    pub async fn wait(mut self) -> Ended {
        let Ok(Ok(status)) = timeout(LIMIT, self.process.wait()).await else {
            panic!("the server does not end\n{self}")
        };
        // Until both streams are closed.
        let rest = async { while self.output.changed().await.is_ok() {} };
        let Ok(()) = timeout(LIMIT, rest).await else { panic!("somebody still holds the server's output\n{self}") };
        let [stdout, stderr] = self.output.borrow().texts();
        Ended { status, stdout, stderr }
    }
}

impl std::fmt::Display for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [stdout, stderr] = self.output.borrow().texts();
        write!(f, "-- the server's stdout\n{stdout}\n-- its stderr\n{stderr}")
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

    /// Fails the test unless stderr has each of `parts`.
    #[track_caller]
    pub fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "expected {part:?} on stderr\n{self:?}");
        }
    }
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "-- {}\n-- stdout\n{}\n-- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A kept-alive HTTP/1.1 connection to a child.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The lines of the head, lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Connection {
    /// Sends exactly this.
    pub async fn send(&mut self, text: &str) {
        let sent = timeout(LIMIT, self.stream.write_all(text.as_bytes())).await;
        assert!(matches!(sent, Ok(Ok(()))), "sending: {sent:?}");
    }

    /// Sends a `GET` and waits for its answer; `None` when the connection is closed instead.
    pub async fn get(&mut self, path: &str) -> Option<Response> {
        self.ask(path).await;
        self.receive().await
    }

    /// Sends a `GET`, no more.
    pub async fn ask(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    }

    /// The next answer, `100 Continue` among them; `None` when the connection is closed first.
    pub async fn receive(&mut self) -> Option<Response> {
        let Ok(response) = timeout(LIMIT, self.read()).await else { panic!("no answer for too long") };
        response.unwrap_or_else(|error| panic!("receiving: {error}"))
    }

    async fn read(&mut self) -> std::io::Result<Option<Response>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).await? == 0 {
                assert_eq!(head, "", "the connection was closed within an answer's head");
                return Ok(None);
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        Ok(Some(Response { status, head, body: String::from_utf8_lossy(&body).into_owned() }))
    }
}

//! `Diagnosis`: everything about an engine's interpreter, its options and its process, with what looks wrong. What is wrong is
//! judged in `warning`, how it is printed stands in `show`; what Python finds out by itself is `httpy_rs._doctor`'s.

mod show;
mod warning;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

use httpy_core::Facts;
use serde::{Deserialize, Serialize};

use super::{PyEngine, WorkerHealth};
use crate::EngineConfig;

/// Facts about the interpreter of an engine, and warnings. Made by [`PyEngine::doctor`].
///
/// It serialises with serde, and its `Display` is a report.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let diagnosis = engine.doctor();
/// println!("{diagnosis}");
/// assert!(diagnosis.interpreter.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What looks wrong, one sentence each, with what to do.
    pub warnings: Vec<String>,
    /// The version of httpy.
    pub httpy: String,
    /// Whether httpy was built with debug assertions, as `cargo build` without `--release` does.
    pub debug_build: bool,
    /// The file that libpython was loaded from, links resolved. `None` if the system does not report it.
    pub library: Option<PathBuf>,
    /// The virtual environment in force.
    pub venv: Option<PathBuf>,
    /// The interpreter. `None` if app code has broken it so that it cannot be examined.
    pub interpreter: Option<InterpreterFacts>,
    /// How the workers are.
    pub workers: WorkerHealth,
    /// How many threads the process can run at once.
    pub processors: Option<usize>,
    /// The options of the engine, defaults included.
    pub config: EngineConfig,
}

/// Facts that the interpreter reports about itself. A field is `None` if it could not be found out.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let facts = engine.doctor().interpreter.ok_or("Python does not answer")?;
/// assert!(facts.version.starts_with("3."));
/// assert!(!facts.path.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
#[non_exhaustive]
pub struct InterpreterFacts {
    /// Python's version: `3.11.7`.
    pub version: String,
    /// `sys.version`: the version, its date and the compiler.
    pub build: String,
    /// The arguments that `configure` was given.
    pub configured: String,
    /// A debug build of CPython.
    pub debug: bool,
    /// The compiler's level of optimisation: `-O3`.
    pub optimisation: Option<String>,
    /// Whether it was built with `--enable-optimizations`.
    pub profile_guided: Option<bool>,
    /// Whether it is a free-threaded build.
    pub free_threaded: bool,
    /// Whether the GIL is on now; on a free-threaded build an import can switch it on.
    pub gil: bool,
    /// `sys.executable`; empty when there is none.
    pub executable: String,
    /// `sys.prefix`.
    pub prefix: String,
    /// `sys.base_prefix`.
    pub base_prefix: String,
    /// `sys.path`, in order.
    pub path: Vec<PathEntry>,
    /// The variables of the environment that begin with `PYTHON`.
    pub environment: BTreeMap<String, String>,
    /// The version of the TLS library. `None` if `import ssl` fails.
    pub tls: Option<String>,
    /// Modules of the standard library that this build lacks.
    pub missing: Vec<String>,
    /// Whether `uvloop` can be imported.
    pub uvloop: bool,
    /// How many extension modules are loaded.
    pub extension_modules: usize,
    /// Those of them that do not declare that they can do without the GIL; none before Python 3.13, where no module could.
    pub needs_gil: Option<Vec<String>>,
    /// Installed copies of `httpy_rs` on `sys.path`; the one that is used is carried by the program.
    pub copies: Vec<PackageCopy>,
    /// Python's switch interval in seconds.
    pub switch_interval: Option<f64>,
    /// `sys.getrecursionlimit()`.
    pub recursion_limit: Option<u64>,
    /// How many files and sockets the process may have open; none for without limit.
    pub open_files: Option<u64>,
    /// How many processes and threads the user may have; none for without limit.
    pub threads: Option<u64>,
}

/// An entry of `sys.path`.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use httpy::PathOrigin;
///
/// # let engine = httpy::PyEngine::builder().path("python").build()?;
/// let facts = engine.doctor().interpreter.ok_or("Python does not answer")?;
/// let first = &facts.path[0];
/// assert!(first.dir.ends_with("python") && first.exists);
/// assert_eq!(first.origin, PathOrigin::Builder);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathEntry {
    /// As it stands there.
    pub dir: String,
    /// Where it comes from.
    pub origin: PathOrigin,
    /// The file that names it, for [`PathOrigin::PthFile`].
    pub file: Option<PathBuf>,
    /// Whether there is such a folder or archive.
    pub exists: bool,
}

/// The origin of an entry of `sys.path`.
///
/// ```
/// use httpy::PathOrigin;
///
/// assert_eq!(serde_json::to_string(&PathOrigin::PthFile).unwrap(), r#""pth_file""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PathOrigin {
    /// [`PyEngineBuilder::path`](crate::PyEngineBuilder::path) of this engine.
    Builder,
    /// `PYTHONPATH`.
    Environment,
    /// Python itself.
    StandardLibrary,
    /// The virtual environment.
    VirtualEnvironment,
    /// What is installed beside Python.
    SitePackages,
    /// What is installed for the user.
    UserSite,
    /// A `.pth` file of one of these.
    PthFile,
    /// Put there while the program ran: by another engine of the process, or by Python code.
    Runtime,
}

/// An installed copy of the package `httpy_rs`. The server uses its own.
///
/// ```
/// use httpy::PackageCopy;
///
/// let text = r#"{"folder": "/venv/httpy_rs", "version": "0.1.0"}"#;
/// let copy: PackageCopy = serde_json::from_str(text).unwrap();
/// assert_eq!(copy.version, "0.1.0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PackageCopy {
    /// Where it is.
    pub folder: PathBuf,
    /// Its version; empty where it has none.
    pub version: String,
}

impl PyEngine {
    /// Looks at everything about the interpreter that is embedded here: version, build and library, the virtual environment,
    /// `sys.path` with where each entry comes from, limits, options; and warns of what looks wrong.
    ///
    /// ```no_run
    /// # fn run(engine: httpy::PyEngine) {
    /// if std::env::args().any(|argument| argument == "--doctor") {
    ///     println!("{}", engine.doctor());
    /// }
    /// # }
    /// ```
    ///
    /// # Blocking
    ///
    /// Until Python's main thread has done the work, after everything that is queued there, and while other Python code holds
    /// the interpreter. It reads files, and imports `ssl` if that is not imported yet. Needs no runtime and may be called
    /// inside one, at start.
    pub fn doctor(&self) -> Diagnosis {
        let executor = &self.inner.shared.executor;
        let Facts {
            library,
            venv,
            mut warnings,
            ..
        } = executor.facts();
        let examined = executor.examine().map_err(|error| error.message);
        let read =
            |report: String| serde_json::from_str(&report).map_err(|error| error.to_string());
        let facts = examined.and_then(read).map_err(|problem| {
            warnings.push(format!("the interpreter could not be examined: {problem}"));
        });
        let mut config = self.inner.config.engine.clone();
        // They may be secret.
        for value in config.env.values_mut() {
            "(set)".clone_into(value);
        }
        let mut diagnosis = Diagnosis {
            warnings,
            httpy: env!("CARGO_PKG_VERSION").to_owned(),
            debug_build: cfg!(debug_assertions),
            library,
            venv,
            interpreter: facts.ok(),
            workers: self.snapshot().workers,
            processors: thread::available_parallelism().ok().map(usize::from),
            config,
        };
        diagnosis.warnings.extend(warning::all(&diagnosis));
        diagnosis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(
        dir: &str,
        origin: PathOrigin,
        file: Option<&str>,
        exists: bool,
    ) -> PathEntry {
        PathEntry {
            dir: dir.to_owned(),
            origin,
            file: file.map(PathBuf::from),
            exists,
        }
    }

    /// One of which there is nothing to say.
    pub(super) fn healthy() -> Diagnosis {
        let interpreter = InterpreterFacts {
            version: "3.13.1".to_owned(),
            build: "3.13.1 (main) [GCC 12.2.0]".to_owned(),
            configured: "'--enable-optimizations'".to_owned(),
            debug: false,
            optimisation: Some("-O3".to_owned()),
            profile_guided: Some(true),
            free_threaded: false,
            gil: true,
            executable: "/usr/bin/python3.13".to_owned(),
            prefix: "/usr".to_owned(),
            base_prefix: "/usr".to_owned(),
            path: vec![
                entry("/srv/app", PathOrigin::Builder, None, true),
                entry(
                    "/usr/lib/python313.zip",
                    PathOrigin::StandardLibrary,
                    None,
                    false,
                ),
            ],
            environment: BTreeMap::new(),
            tls: Some("OpenSSL 3.0.2".to_owned()),
            missing: Vec::new(),
            uvloop: false,
            extension_modules: 2,
            needs_gil: Some(Vec::new()),
            copies: vec![PackageCopy {
                folder: "/venv/httpy_rs".into(),
                version: "1.2.3".to_owned(),
            }],
            switch_interval: Some(0.001),
            recursion_limit: Some(1000),
            open_files: None,
            threads: None,
        };
        Diagnosis {
            warnings: Vec::new(),
            httpy: "1.2.3".to_owned(),
            debug_build: false,
            library: Some("/usr/lib/libpython3.13.so".into()),
            venv: None,
            interpreter: Some(interpreter),
            workers: WorkerHealth {
                max: 64,
                lost: 0,
                replacements: 16,
                held_for: None,
                jobs: 0,
                each: Vec::new(),
                loops: Vec::new(),
            },
            processors: Some(2),
            config: EngineConfig::default(),
        }
    }
}

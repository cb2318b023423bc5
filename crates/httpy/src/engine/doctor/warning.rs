//! What looks wrong about a `Diagnosis`: each rule is a sentence that says what was found and what to do.

use super::{Diagnosis, InterpreterFacts, PathOrigin};
use crate::config::MIB;
use crate::{Executor, Threads};

/// What a process needs besides connections and workers: its own files, logs, databases.
const OTHER_FILES: u64 = 256;
/// Python's own ratio is 8 MiB for 1000 levels; below a quarter of that a runaway recursion may end the process before it
/// ends in a `RecursionError`.
const BYTES_PER_LEVEL: u64 = 2048;
/// CPython's own switch interval, in seconds.
const USUAL_INTERVAL: f64 = 0.005;

/// All warnings.
pub(super) fn all(diagnosis: &Diagnosis) -> Vec<String> {
    let mut warnings = Vec::new();
    about_app(diagnosis, &mut warnings);
    if let Some(facts) = &diagnosis.interpreter {
        about_build(facts, &mut warnings);
        about_path(facts, &diagnosis.httpy, &mut warnings);
        about_environment(facts, &mut warnings);
        about_limits(diagnosis, facts, &mut warnings);
    }
    warnings
}

fn threads_of(executor: &Executor) -> Option<&Threads> {
    match executor {
        Executor::Threads(threads) => Some(threads),
        Executor::Processes(_) => None,
    }
}

fn about_app(diagnosis: &Diagnosis, warnings: &mut Vec<String>) {
    let config = &diagnosis.config;
    if diagnosis.debug_build {
        warnings.push(
            "this program is built for debugging: `cargo build --release` makes it several times faster".to_owned(),
        );
    }
    if config.debug {
        warnings.push("debug is on: every client sees tracebacks and source lines".to_owned());
    }
    let threads = threads_of(&config.executor);
    if threads.is_some_and(|threads| threads.workers.max == 1) {
        warnings.push(
            "there is one worker: while its handler waits, no other call is served".to_owned(),
        );
    }
    if let Some(stack) = threads
        .map(|threads| threads.stack_size)
        .filter(|stack| *stack < 2 * MIB)
    {
        warnings.push(format!(
            "each worker has a stack of {stack} bytes: C code may need more, the default is 8 MiB"
        ));
    }
    if diagnosis.workers.lost > 0 {
        let lost = diagnosis.workers.lost;
        warnings.push(format!(
            "{lost} workers are lost in handlers that do not end: the log has their stacks"
        ));
    }
}

fn about_build(facts: &InterpreterFacts, warnings: &mut Vec<String>) {
    if facts.debug {
        warnings.push("libpython is a debug build: it is several times slower".to_owned());
    }
    match facts.optimisation.as_deref() {
        Some(level @ ("-O0" | "-Og" | "-O1")) => {
            warnings.push(format!("libpython was compiled with {level}: build against one that is optimised (PYO3_PYTHON)"));
        }
        _ if facts.profile_guided == Some(false) => warnings.push(
            "libpython was built without --enable-optimizations: handlers that compute are faster with one that was (PYO3_PYTHON)"
                .to_owned(),
        ),
        _ => {}
    }
    if facts.tls.is_none() {
        warnings.push(
            "`import ssl` fails: install the TLS library that this Python was built with, or build Python again".to_owned(),
        );
    }
    if !facts.missing.is_empty() {
        let names = facts.missing.join(", ");
        warnings.push(format!(
            "this build of Python lacks {names}: their libraries were missing where it was built"
        ));
    }
    if facts.free_threaded && facts.gil {
        let modules = facts.needs_gil.as_deref().unwrap_or_default().join(", ");
        warnings.push(format!(
            "the GIL of this free-threaded build is on: an extension module needs it ({modules})"
        ));
    }
    if facts.executable.is_empty() {
        warnings.push(
            "sys.executable is empty: multiprocessing and subprocesses of Python will not work"
                .to_owned(),
        );
    }
}

fn about_path(facts: &InterpreterFacts, version: &str, warnings: &mut Vec<String>) {
    for entry in facts.path.iter().filter(|entry| !entry.exists) {
        let from = match (entry.origin, &entry.file) {
            // CPython names its archive whether there is one or not, and site the folders that it would use.
            (PathOrigin::StandardLibrary | PathOrigin::UserSite | PathOrigin::SitePackages, _) => {
                continue;
            }
            (PathOrigin::PthFile, Some(file)) => format!(", which {} names", file.display()),
            (PathOrigin::Environment, _) => ", from PYTHONPATH".to_owned(),
            _ => String::new(),
        };
        warnings.push(format!(
            "sys.path has {}{from}, which does not exist",
            entry.dir
        ));
    }
    for copy in facts.copies.iter().filter(|copy| copy.version != version) {
        let folder = copy.folder.display();
        warnings.push(format!(
            "httpy_rs in {folder} has version {:?}, and the program its own, {version}: tests and type checkers see the other one",
            copy.version
        ));
    }
}

fn about_environment(facts: &InterpreterFacts, warnings: &mut Vec<String>) {
    for (name, value) in &facts.environment {
        let slow = match name.as_str() {
            "PYTHONDEVMODE"
            | "PYTHONTRACEMALLOC"
            | "PYTHONASYNCIODEBUG"
            | "PYTHONPROFILEIMPORTTIME" => !matches!(value.as_str(), "" | "0"),
            "PYTHONMALLOC" => value.ends_with("debug"),
            _ => false,
        };
        if slow {
            warnings.push(format!("{name}={value} is for debugging, and slow"));
        }
        if name == "PYTHONHOME" && !value.is_empty() {
            warnings.push(format!(
                "PYTHONHOME={value} sets Python's standard library: unset it, and Python finds its own"
            ));
        }
    }
}

fn about_limits(diagnosis: &Diagnosis, facts: &InterpreterFacts, warnings: &mut Vec<String>) {
    let config = &diagnosis.config;
    let workers = threads_of(&config.executor).map_or(0, |threads| threads.workers.max);
    let threads = workers.saturating_add(config.advanced.replacements) as u64;
    let files = (config.queue as u64)
        .saturating_add(threads)
        .saturating_add(OTHER_FILES);
    if let Some(limit) = facts.open_files.filter(|limit| *limit < files) {
        warnings.push(format!(
            "the process may open {limit} files, and each connection is one: a full queue needs {files} (ulimit -n)"
        ));
    }
    if let Some(limit) = facts
        .threads
        .filter(|limit| *limit < threads.saturating_mul(2))
    {
        warnings.push(format!(
            "the user may have {limit} threads, and there may be {threads} workers (ulimit -u)"
        ));
    }
    let stack = threads_of(&config.executor).map_or(u64::MAX, |threads| threads.stack_size as u64);
    if let Some(levels) = facts
        .recursion_limit
        .filter(|levels| levels.saturating_mul(BYTES_PER_LEVEL) > stack)
    {
        warnings.push(format!(
            "the recursion limit of {levels} is high for stacks of {stack} bytes: a runaway recursion may end the process"
        ));
    }
    if let Some(interval) = facts
        .switch_interval
        .filter(|interval| *interval > USUAL_INTERVAL)
    {
        warnings.push(format!(
            "the switch interval is {interval} s: a handler that computes keeps the others waiting for this time"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::healthy;
    use super::*;

    #[test]
    fn nothing_is_said_of_what_is_right() {
        assert_eq!(all(&healthy()), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_wrong_is_one_sentence_with_what_was_found() {
        type Break = fn(&mut Diagnosis, &mut InterpreterFacts);
        let cases: [(&str, Break); 18] = [
            ("cargo build --release", |diagnosis, _| {
                diagnosis.debug_build = true;
            }),
            ("debug is on", |diagnosis, _| diagnosis.config.debug = true),
            ("one worker", |diagnosis, _| {
                diagnosis.config.executor = Executor::threads().workers(1..=1).into();
            }),
            ("a stack of 1048576 bytes", |diagnosis, facts| {
                diagnosis.config.executor = Executor::threads().stack_size(MIB).into();
                facts.recursion_limit = None;
            }),
            ("3 workers are lost", |diagnosis, _| {
                diagnosis.workers.lost = 3;
            }),
            ("a debug build", |_, facts| facts.debug = true),
            ("compiled with -O0", |_, facts| {
                facts.optimisation = Some("-O0".to_owned());
            }),
            ("--enable-optimizations", |_, facts| {
                facts.profile_guided = Some(false);
            }),
            ("`import ssl` fails", |_, facts| facts.tls = None),
            ("lacks lzma, sqlite3", |_, facts| {
                facts.missing = vec!["lzma".to_owned(), "sqlite3".to_owned()];
            }),
            ("needs it (numpy)", |_, facts| {
                (facts.free_threaded, facts.needs_gil) = (true, Some(vec!["numpy".to_owned()]));
            }),
            ("sys.executable is empty", |_, facts| {
                facts.executable.clear();
            }),
            (
                "sys.path has /srv/gone, which /venv/a.pth names, which does not exist",
                |_, facts| {
                    facts.path[1] = super::super::tests::entry(
                        "/srv/gone",
                        PathOrigin::PthFile,
                        Some("/venv/a.pth"),
                        false,
                    );
                },
            ),
            ("has version \"9.9.9\"", |_, facts| {
                facts.copies[0].version = "9.9.9".to_owned();
            }),
            ("PYTHONDEVMODE=1", |_, facts| {
                drop(
                    facts
                        .environment
                        .insert("PYTHONDEVMODE".to_owned(), "1".to_owned()),
                );
            }),
            ("may open 1024 files", |_, facts| {
                facts.open_files = Some(1024);
            }),
            ("may have 100 threads", |_, facts| facts.threads = Some(100)),
            ("the recursion limit of 100000", |_, facts| {
                facts.recursion_limit = Some(100_000);
            }),
        ];
        for (expected, break_it) in cases {
            let mut diagnosis = healthy();
            let mut facts = diagnosis.interpreter.take().unwrap();
            break_it(&mut diagnosis, &mut facts);
            diagnosis.interpreter = Some(facts);
            let warnings = all(&diagnosis);
            assert_eq!(warnings.len(), 1, "{expected}: {warnings:?}");
            assert!(warnings[0].contains(expected), "{expected}: {warnings:?}");
        }
    }
}

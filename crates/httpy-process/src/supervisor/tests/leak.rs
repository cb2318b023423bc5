//! Nothing is left behind: no descriptor and no zombie after many restarts, no worker after the end of its parent.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::stage::{Stage, scripted};
use crate::supervisor::Setup;

/// Set in a process of which one test runs alone.
const ALONE: &str = "HTTPY_PROCESS_TEST_ALONE";

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// This test in a process of its own.
fn alone(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("supervisor::tests::leak::{test}");
    command
        .args([&name, "--exact", "--nocapture", "--include-ignored"])
        .env(ALONE, "1");
    command
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Processes whose parent is this one.
fn children() -> BTreeSet<String> {
    let this = std::process::id().to_string();
    let is_child = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything.
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.split(' ').nth(2))
            == Some(&this)
    };
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.filter(is_child).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn restarts_leave_nothing_behind() {
    if is_alone() {
        restart(100);
    } else {
        assert!(
            alone("restarts_leave_nothing_behind")
                .status()
                .unwrap()
                .success()
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes a minute or two"]
fn a_thousand_restarts_leave_nothing_behind() {
    if is_alone() {
        restart(1000);
    } else {
        assert!(
            alone("a_thousand_restarts_leave_nothing_behind")
                .status()
                .unwrap()
                .success()
        );
    }
}

#[cfg(target_os = "linux")]
fn restart(times: usize) {
    const WORKERS: usize = 8;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let set = |setup: &mut Setup, _: &Path| {
            setup.program = scripted("begin(); serve()");
            setup.shortest_pause = Duration::from_millis(1);
        };
        let mut stage = Stage::new(|options| options.processes = WORKERS, set);
        let mut actors = Vec::new();
        for _ in 0..WORKERS {
            actors.push(stage.added().await);
        }
        let before = descriptors();
        for count in 0..times {
            let actor = actors.remove(0);
            actor.answers(1);
            actor.kill();
            if count >= WORKERS - 1 {
                actors.push(stage.added().await);
            }
        }
        for _ in 1..WORKERS {
            actors.push(stage.added().await);
        }
        assert_eq!(stage.supervisor.standing().restarts, times as u64);
        // Streams are let go of as they come to their ends, on another thread.
        while descriptors() > before {
            std::thread::yield_now();
        }
        assert_eq!((descriptors(), children().len()), (before, WORKERS));
        stage.ended().await;
        assert_eq!(children().len(), 0);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_parent_that_is_killed_leaves_no_worker() {
    if is_alone() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new(|options| options.processes = 2, |_, _| {});
            let busy = stage.folder.path().join("busy");
            stage.write(
                "busy.py",
                &format!("import ctypes\nopen({busy:?}, 'w')\nctypes.PyDLL(None).sleep(1000)\n"),
            );
            let (one, two) = (stage.added().await, stage.added().await);
            // It keeps the GIL, so that no thread of it sees that its parent is gone.
            stage.import(two.id, "busy").await;
            while !busy.exists() {
                tokio::task::yield_now().await;
            }
            eprintln!("workers {} {}", one.pid, two.pid);
            std::future::pending::<()>().await;
        });
    }
    // What it makes is below this one: killed, it takes nothing away.
    let folder = tempfile::tempdir().unwrap();
    let mut parent = alone("a_parent_that_is_killed_leaves_no_worker");
    let mut parent = parent
        .env("TMPDIR", folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stderr.take().unwrap()).lines();
    let workers = lines
        .find_map(|line| line.unwrap().strip_prefix("workers ").map(str::to_owned))
        .unwrap();
    let watched: Vec<_> = workers
        .split(' ')
        .map(|pid| {
            let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
        })
        .collect();
    let parent_pid = Pid::from_raw(i32::try_from(parent.id()).unwrap()).unwrap();
    kill_process(parent_pid, Signal::KILL).unwrap();
    parent.wait().unwrap();
    for worker in &watched {
        let mut ends = [rustix::event::PollFd::new(
            worker,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut ends, None).unwrap();
    }
}

//! Processes that do not become workers, and workers that die of what runs in them.

use std::path::Path;
use std::time::Duration;

use httpy_core::{BodyMode, Interface, Kind, Lane, ProcessNotice};

use super::stage::{Stage, scripted};
use crate::handover::Handler;
use crate::handshake::Patience;
use crate::spawn;
use crate::supervisor::Setup;

/// Why the only worker, whose program this is, has not come up with so much patience.
async fn impatient(program: &str, hello: Duration, ready: Duration) -> String {
    let set = |setup: &mut Setup, _: &Path| {
        setup.program = scripted(program);
        setup.patience = Patience {
            hello,
            ready,
            ..setup.patience
        };
    };
    let mut stage = Stage::new(|_| {}, set);
    let failure = stage.failure().await;
    assert!(stage.ended().await.is_empty());
    failure
}

async fn failure(program: &str) -> String {
    impatient(program, Duration::from_secs(100), Duration::from_secs(100)).await
}

#[tokio::test]
async fn a_process_that_ends_at_its_start_says_how_and_what_it_has_printed() {
    let said = failure("sys.stderr.write('no such thing\\n'); sys.exit(3)").await;
    assert!(
        said.ends_with(" ended with exit status 3 before it was ready\n  no such thing"),
        "{said}"
    );
    let said = failure("os.kill(os.getpid(), signal.SIGSEGV)").await;
    assert!(
        said.ends_with(" was killed by SIGSEGV before it was ready"),
        "{said}"
    );
    let said = failure("begin = None\nreceive(); hello(); os.abort()").await;
    assert!(
        said.ends_with(" was killed by SIGABRT before it was ready"),
        "{said}"
    );
}

#[tokio::test]
async fn a_process_that_reads_no_program_says_what_may_have_taken_it() {
    let mut stage = Stage::new(|_| {}, |setup, _| setup.program = "");
    let said = stage.failure().await;
    assert!(
        said.contains(" ended with exit status 0 before it was ready: a wrapper script, a .pth file or sitecustomize"),
        "{said}"
    );
}

#[tokio::test]
async fn a_process_that_says_nothing_is_given_up() {
    let (short, long) = (Duration::from_millis(1), Duration::from_secs(100));
    let said = impatient("time.sleep(1000)", short, long).await;
    assert!(
        said.ends_with(": it has not said hello within 1ms (start_limit)"),
        "{said}"
    );
    let said = impatient("receive(); hello(); time.sleep(1000)", long, short).await;
    assert!(
        said.ends_with(": it was not ready within 1ms (start_limit)"),
        "{said}"
    );
    let said = failure("control.close(); os.close(0); time.sleep(1000)").await;
    assert!(said.ends_with(": it has closed its socket"), "{said}");
}

#[tokio::test]
async fn a_start_that_takes_long_is_logged_with_its_limit() {
    let set = |setup: &mut Setup, _: &Path| {
        setup.program = scripted("time.sleep(1000)");
        setup.patience.slow = Duration::from_millis(1);
    };
    let mut stage = Stage::new(|_| {}, set);
    let said = stage
        .notice(|notice| matches!(notice, ProcessNotice::Slow { .. }))
        .await
        .to_string();
    assert!(said.starts_with("httpy-process-1 (process "), "{said}");
    assert!(
        said.ends_with(") is still starting after 1ms; it is killed after 3600s (start_limit)"),
        "{said}"
    );
}

#[tokio::test]
async fn a_process_that_says_something_else_is_refused() {
    let said =
        failure("control.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'); time.sleep(1000)").await;
    assert!(
        said.contains("it has sent an invalid message: found a length of "),
        "{said}"
    );
    let said = failure("send(('log', 1)); time.sleep(1000)").await;
    assert!(said.contains("it has sent an invalid message: "), "{said}");
    let said = failure("send(('ready',)); time.sleep(1000)").await;
    assert!(
        said.contains("the first frame it has sent is no hello"),
        "{said}"
    );
    let said = failure("receive(); hello(protocol=1); time.sleep(1000)").await;
    assert!(
        said.contains("it speaks version 1 of the protocol, expected 3"),
        "{said}"
    );
    let said = failure("receive(); hello(); send(('ok', 1, None)); time.sleep(1000)").await;
    assert!(
        said.contains("it has sent an unexpected message: ok"),
        "{said}"
    );
    let said = failure("receive(); hello(); send(('ready',), ('ready',)); time.sleep(1000)").await;
    assert!(
        said.contains("it has sent an unexpected message: ready"),
        "{said}"
    );
}

#[tokio::test]
async fn a_python_that_is_not_supported_is_refused_by_name_and_version() {
    for (change, found) in [
        (
            "sys.version_info = (3, 10, 14, 'final', 0)",
            " is Python 3.10.14 (cpython)",
        ),
        (
            "sys.version_info = (3, 11, 15, 'final', 0); sys.implementation.name = 'pypy'",
            " is Python 3.11.15 (pypy)",
        ),
    ] {
        let program = format!(
            "import sys\n{change}; sys.executable = '/a/python'\n{}",
            spawn::BOOT
        );
        let mut stage = Stage::new(|_| {}, |setup, _| setup.program = program.leak());
        let said = stage.failure().await;
        assert!(
            said.ends_with(&format!(
                "\n  /a/python{found}: expected CPython 3.11 or newer"
            )),
            "{said}"
        );
    }
}

#[tokio::test]
async fn when_one_worker_does_not_come_up_none_stays() {
    let mut stage = Stage::new(
        |options| options.processes = 3,
        |setup, folder| {
            let place = folder.join("place");
            let fail = format!(
                "try:\n    os.mkdir({place:?})\nexcept FileExistsError:\n    sys.exit(1)\n"
            );
            setup.program = scripted(&format!("{fail}begin(); serve()"));
        },
    );
    assert!(
        stage
            .failure()
            .await
            .ends_with("ended with exit status 1 before it was ready")
    );
    assert!(stage.reload(None).await.is_err());
    assert_eq!(stage.notices(), []);
}

#[tokio::test]
async fn a_python_that_is_not_there_is_told_of() {
    let mut stage = Stage::new(
        |options| options.python = Some("/no/such/python".into()),
        |_, _| {},
    );
    let said = stage.failure().await;
    assert!(
        said.starts_with("/no/such/python cannot be started: there is none"),
        "{said}"
    );
}

#[tokio::test]
async fn a_later_worker_that_does_not_come_up_is_tried_again() {
    let mut stage = Stage::new(
        |_| {},
        |setup, folder| {
            let place = folder.join("place");
            let fail = format!("if os.path.exists({place:?}):\n    sys.exit('broken now')\n");
            setup.program = scripted(&format!("{fail}begin(); serve()"));
            setup.shortest_pause = Duration::from_millis(1);
        },
    );
    let first = stage.added().await;
    stage.write("place", "");
    first.kill();
    let said = stage
        .notice(|notice| matches!(notice, ProcessNotice::Unready { .. }))
        .await
        .to_string();
    for part in [
        "httpy-process-1 did not start, and is started again in ",
        "exit status 1",
        "\n  broken now",
    ] {
        assert!(said.contains(part), "{said}");
    }
    std::fs::remove_file(stage.folder.path().join("place")).unwrap();
    assert_eq!(stage.added().await.number, 1);
}

/// How the worker itself dies when it imports this.
async fn death(source: &str) -> String {
    let mut stage = Stage::new(
        |_| {},
        |setup, _| setup.shortest_pause = Duration::from_millis(1),
    );
    stage.write("deadly.py", source);
    let first = stage.added().await;
    stage.import(first.id, "deadly").await;
    stage.gone(first.id).await;
    let died = stage.died().await;
    assert_ne!(stage.added().await.pid, first.pid);
    died
}

#[tokio::test]
async fn a_worker_that_crashes_says_how_and_where() {
    let died = death("import ctypes\nctypes.string_at(0)\n").await;
    assert!(died.contains("was killed by SIGSEGV"), "{died}");
    let died = death("import os, sys\nprint('so it ends', file=sys.stderr)\nos.abort()\n").await;
    assert!(
        died.contains("was killed by SIGABRT") && died.contains("\n  so it ends"),
        "{died}"
    );
    let died = death("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n").await;
    assert!(
        died.contains("was killed by SIGKILL, as the system does when memory is short"),
        "{died}"
    );
    let died = death("import os\nos._exit(5)\n").await;
    assert!(died.contains("ended with exit status 5"), "{died}");
}

#[tokio::test]
async fn a_worker_that_closes_its_sockets_is_killed() {
    let mut stage =
        Stage::scripted("begin(); os.closerange(3, 100); os.close(0); time.sleep(1000)");
    let first = stage.added().await;
    stage.gone(first.id).await;
    let died = stage.died().await;
    assert!(
        died.contains("was killed, as it has closed its socket"),
        "{died}"
    );
}

#[tokio::test]
async fn a_worker_that_was_forked_from_another_holds_nothing_up() {
    // The child lives on in its own session, with all that it has inherited.
    let died = death(
        "import ctypes, os, time\nif not ctypes.PyDLL(None).fork():\n    os.setsid()\n    time.sleep(5)\n    os._exit(0)\nos._exit(4)\n",
    )
    .await;
    assert!(died.contains("ended with exit status 4"), "{died}");
}

#[tokio::test]
async fn a_worker_that_cannot_load_a_handler_says_what_was_raised() {
    let mut stage = Stage::new(
        |_| {},
        |setup, folder| {
            std::fs::write(folder.join("broken.py"), "import json\n1 / 0\n").unwrap();
            let target = "broken:handle".to_owned();
            setup.handlers.add(Handler {
                target,
                interface: Interface {
                    kind: Kind::Handler,
                    lane: Lane::Worker,
                    body: BodyMode::Text,
                },
            });
        },
    );
    let said = stage.failure().await;
    assert!(
        said.starts_with("importing \"broken\" raised ZeroDivisionError: division by zero\n"),
        "{said}"
    );
    assert!(said.contains("broken.py\", line 2"), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_inherited_but_what_belongs_to_the_worker() {
    // A descriptor that the host has not marked as one to be closed.
    let file = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let mut stage = Stage::new(|_| {}, |_, _| {});
    let actor = stage.added().await;
    let open: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", actor.pid))
        .unwrap()
        .map(|entry| {
            std::fs::read_link(entry.unwrap().path())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let nulls = open.iter().filter(|target| *target == "/dev/null").count();
    assert_eq!(nulls, 1, "{open:?}");
}

//! Python's start runs code that is not the app's, and apps replace what they like: none of it stops a worker.

use httpy_tests::child::{Child, Server};
use httpy_tests::client::{exchange, request};
use httpy_tests::executor::processes;

/// Modules of the app with names of the standard library's. In plain Python those would be the app's, too.
const NAMES: [&str; 8] = [
    "calendar", "json", "logging", "queue", "select", "socket", "string", "token",
];

const IMPORTS_ITS_OWN: &str = "
import calendar, json, logging, queue, select, socket, string, sys, token

def handle(method, path, params, query, headers, body):
    if path == '/raise':
        raise KeyError('still raised')
    own = [calendar, json, logging, queue, select, socket, string, token]
    # What is built into this Python comes before every folder.
    own = [module for module in own if module.__name__ not in sys.builtin_module_names]
    return 200, ' '.join({module.WHOSE for module in own}), {}
";

const ASYNC: &str = "
async def handle(method, path, params, query, headers, body):
    return 200, 'async', {}
";

#[tokio::test]
async fn an_app_has_its_own_modules_and_the_server_those_of_the_library() {
    for by_environment in [false, true] {
        let folder = if by_environment { "own/" } else { "" };
        let mut server = Server::new(IMPORTS_ITS_OWN).app(ASYNC);
        for name in NAMES {
            server = server.file(&format!("{folder}{name}.py"), "WHOSE = \"the app's\"\n");
        }
        if by_environment {
            let own = server.folder().join("own");
            server = server.variable("PYTHONPATH", own);
        }
        let child = server.start().await;
        assert_eq!(child.get("/").await.text(), "the app's");
        assert_eq!(child.get("/app2/").await.text(), "async");
        assert_eq!(child.get("/raise").await.status, 500);
        child.wait_for("KeyError: 'still raised'").await;
    }
}

const SITE: &str = "
import os, socket, time
socket.setdefaulttimeout(0.001)
opened = open(os.path.join(os.path.dirname(__file__), 'agent.log'), 'a', buffering=1)
time.monotonic = lambda: 0.0
";

const WITH_SITE: &str = "
import httpy_rs, sitecustomize

def handle(method, path, params, query, headers, body: httpy_rs.Body):
    sitecustomize.opened.write('a span\\n')
    return 200, f'{len(body.read())} {httpy_rs.remaining() > 0}', {}
";

#[tokio::test]
async fn what_site_opens_stays_open_and_what_it_replaces_is_not_the_servers() {
    let server = Server::new(WITH_SITE)
        .app(ASYNC)
        .file("site/sitecustomize.py", SITE);
    let site = server.folder().join("site");
    let log = site.join("agent.log");
    let child = server.variable("PYTHONPATH", site).start().await;
    for _ in 0..2 {
        // More than is there when the handler begins.
        let body = vec![b'x'; 1 << 20];
        let answer = exchange(child.address(), &request("POST", "/", &[], &body)).await;
        assert_eq!(answer.text(), "1048576 True");
        assert_eq!(child.get("/app2/").await.text(), "async");
    }
    let spans = std::fs::read_to_string(log).unwrap_or_default();
    assert_eq!(spans, "a span\na span\n");
}

/// What apps and their libraries do to a process, each as a Python expression.
const DEEDS: [&str; 8] = [
    "os.closerange(3, 256)",
    "socket.setdefaulttimeout(0.001)",
    "setattr(time, 'monotonic', lambda: 0.0)",
    "[setattr(threading, name, None) for name in ('Lock', 'Event', 'Thread', 'get_ident')]",
    "[setattr(builtins, name, None) for name in ('open', 'print', 'any')]",
    "[setattr(sys, name, None) for name in ('stdin', 'stdout', 'stderr')]",
    "setattr(sys, 'path', ['/nowhere'])",
    "[sys.modules.pop(name) for name in [*sys.modules] if name != 'sys']",
];

const DOES_IT: &str = "
import builtins, os, socket, sys, threading, time
import httpy_rs

def handle(method, path, params, query, headers, body):
    if body:
        exec(body)
    return 200, f'{httpy_rs.remaining() > 0} {httpy_rs.request().target}', {}
";

#[tokio::test]
async fn whatever_an_app_does_to_its_process_is_served_on() {
    for deed in DEEDS {
        let child = Server::new(DOES_IT).app(ASYNC).start().await;
        let answer = exchange(
            child.address(),
            &request("POST", "/do", &[], deed.as_bytes()),
        )
        .await;
        assert_eq!(answer.text(), "True /do", "{deed}");
        serves(&child, deed).await;
    }
}

async fn serves(child: &Child, deed: &str) {
    for _ in 0..4 {
        assert_eq!(child.get("/on").await.text(), "True /on", "{deed}");
        assert_eq!(child.get("/app2/").await.text(), "async", "{deed}");
    }
}

/// Its import ends when it is under way in two processes.
const MEETS: &str = "
import os, pathlib, time

folder = pathlib.Path(__file__).parent
folder.joinpath(f'{os.getpid()}.here').touch()
end = time.monotonic() + 30
while len(list(folder.glob('*.here'))) < 2:
    assert time.monotonic() < end, 'the other process does not come'
    time.sleep(0.01)

def handle(method, path, params, query, headers, body):
    return 200, 'met', {}
";

#[tokio::test]
async fn worker_processes_import_an_app_at_the_same_time() {
    let server = Server::new(MEETS).config(|config| config.executor = processes(2).into());
    let child = server.start().await;
    assert_eq!(child.get("/").await.text(), "met");
}

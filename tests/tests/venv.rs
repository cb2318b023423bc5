//! The virtual environment: the one given, else the activated one, else none. How a wrong one is refused is in `start.rs`.

use std::path::Path;

use httpy_tests::child::Server;
use tokio::process::Command;

/// Answers with what the path names, evaluated.
const EVALUATE: &str = "
import sys
from importlib import import_module

def handle(method, path, params, query, headers, body):
    return 200, str(eval(path[1:])), {}
";

fn server() -> Server {
    Server::new(EVALUATE).file("packages/only_there.py", "NAME = 'from the environment'\n")
}

/// What each expression is in the server.
async fn evaluate<const N: usize>(server: Server, expressions: [&str; N]) -> [String; N] {
    let child = server.start().await;
    let mut results = Vec::new();
    for expression in expressions {
        results.push(child.get(&format!("/{}", expression.replace(' ', "%20"))).await.body);
    }
    results.try_into().unwrap_or_else(|results| panic!("{results:?}"))
}

/// Makes an environment in `dir` with the Python that the server is linked to, and a module in its `site-packages`.
async fn make(dir: &Path) {
    let [python, minor] = evaluate(server(), ["sys._base_executable", "'%d.%d'%sys.version_info[:2]"]).await;
    let status = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(dir).status().await;
    assert!(status.is_ok_and(|status| status.success()));
    let module = dir.join(format!("lib/python{minor}/site-packages/only_there.py"));
    std::fs::write(&module, "NAME = 'from the environment'\n").unwrap_or_else(|error| panic!("{error}"));
}

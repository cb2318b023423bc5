//! The virtual environment: the one given, else the activated one, else none. How a wrong one is refused is in `start.rs`.

use std::path::Path;

use httpy::Executor;
use httpy_tests::child::Server;
use httpy_tests::executor;
use tokio::process::Command;

/// What each expression is in the server.
async fn evaluate<const N: usize>(server: Server, expressions: [&str; N]) -> [String; N] {
    let child = server.start().await;
    let mut results = expressions.map(str::to_owned);
    for result in &mut results {
        *result = child.evaluate(result).await;
    }
    results
}

/// Makes an environment in `dir` with the Python that the server runs without one, and a module in its `site-packages`.
async fn make(dir: &Path) {
    let [python, minor] = evaluate(
        Server::evaluating(IMPORTS),
        ["sys._base_executable", "'%d.%d'%sys.version_info[:2]"],
    )
    .await;
    let status = Command::new(python)
        .args(["-m", "venv", "--without-pip"])
        .arg(dir)
        .status()
        .await;
    assert!(status.is_ok_and(|status| status.success()));
    let module = dir.join(format!("lib/python{minor}/site-packages/only_there.py"));
    std::fs::write(&module, "NAME = 'from the environment'\n")
        .unwrap_or_else(|error| panic!("{error}"));
}

const IMPORTS: &str = "import multiprocessing, sys";

/// With no Python that is asked for by name, which would come before that of an environment.
fn server() -> Server {
    Server::evaluating(IMPORTS).config(|config| {
        if executor::are_processes() {
            config.executor = Executor::processes(2).into();
        }
    })
}

const PLACE: [&str; 3] = [
    "sys.prefix",
    "sys.executable",
    "__import__('only_there').NAME",
];

fn expected(dir: &Path) -> [String; 3] {
    let executable = dir.join("bin/python");
    [
        dir.display().to_string(),
        executable.display().to_string(),
        "from the environment".to_owned(),
    ]
}

#[tokio::test]
async fn the_given_environment_is_honoured() {
    let server = server();
    let dir = server.folder().join("given");
    make(&dir).await;
    assert_eq!(
        evaluate(
            server.config(|config| config.venv = Some(dir.clone())),
            PLACE
        )
        .await,
        expected(&dir)
    );
}

#[tokio::test]
async fn a_relative_folder_is_relative_to_where_the_process_stands() {
    let server = server();
    let dir = server.folder().join("relative");
    make(&dir).await;
    assert_eq!(
        evaluate(
            server.config(|config| config.venv = Some("relative".into())),
            PLACE
        )
        .await,
        expected(&dir)
    );
}

#[tokio::test]
async fn the_activated_environment_is_honoured() {
    let server = server();
    let dir = server.folder().join("activated");
    make(&dir).await;
    assert_eq!(
        evaluate(server.variable("VIRTUAL_ENV", &dir), PLACE).await,
        expected(&dir)
    );
}

#[tokio::test]
async fn the_given_environment_wins_over_the_activated_one() {
    let server = server().variable("VIRTUAL_ENV", "/no/such/folder");
    let dir = server.folder().join("given");
    make(&dir).await;
    assert_eq!(
        evaluate(
            server.config(|config| config.venv = Some(dir.clone())),
            PLACE
        )
        .await,
        expected(&dir)
    );
}

#[tokio::test]
async fn without_an_environment_python_is_the_one_that_is_linked() {
    for server in [
        Server::evaluating(IMPORTS),
        Server::evaluating(IMPORTS).variable("VIRTUAL_ENV", ""),
    ] {
        let seen = evaluate(
            server,
            [
                "sys.prefix == sys.base_prefix",
                "sys.executable == sys._base_executable",
            ],
        )
        .await;
        assert_eq!(seen, ["True", "True"]);
    }
}

/// The server may be killed afterwards: what was spawned has ended.
const SPAWNS: &str = "
import multiprocessing, sys

def place():
    import only_there
    return sys.prefix

def spawn():
    with multiprocessing.Pool(1) as pool:
        return pool.apply(place)
";

#[tokio::test]
async fn processes_that_python_spawns_are_of_the_same_environment() {
    let server = server().file("spawning.py", SPAWNS);
    let dir = server.folder().join("given");
    make(&dir).await;
    let spawned = "__import__('spawning').spawn()";
    let server = server.config(|config| config.venv = Some(dir.clone()));
    assert_eq!(
        evaluate(server, [spawned]).await,
        [dir.display().to_string()]
    );
}

//! Debuggers in handlers: in debug they have all the time that they need, and elsewhere they keep no worker that waits for input
//! which never comes.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use httpy_tests::app::{App, ask, get};
use httpy_tests::child::Server;
use httpy_tests::executor::{self, OfThreads};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const HOUR: Duration = Duration::from_secs(3600);

/// A debugger with a connection in place of the terminal.
const REMOTE: &str = "
import pdb, socket

def handle(method, path, params, query, headers, body):
    answer = 41
    with socket.create_connection(('127.0.0.1', int(path[1:]))) as connection:
        pdb.Pdb(stdin=connection.makefile('r'), stdout=connection.makefile('w'), nosigint=True).set_trace()
        answer += 1
    return 200, str(answer), {}

async def coroutine(*six):
    return handle(*six)
";

/// The next debugger, which has said where it is.
async fn arrival(listener: &TcpListener) -> io::Result<BufReader<TcpStream>> {
    let (connection, _) = listener.accept().await?;
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    assert!(line.contains("handle()"), "{line}");
    Ok(connection)
}

async fn pass_time() {
    tokio::time::pause();
    tokio::time::advance(2 * HOUR).await;
    tokio::time::resume();
}

#[tokio::test]
async fn in_debug_a_debugger_has_no_deadline() {
    if executor::lacks(OfThreads::Debugger) {
        return;
    }
    let app = App::with(REMOTE, |builder| builder.debug(true));
    for handler in ["handle", "coroutine"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let path = format!("/{}", listener.local_addr().unwrap().port());
        let call = tokio::spawn(ask(app.handler(handler), get(&path)));
        let mut debugger = arrival(&listener).await.unwrap();
        pass_time().await;
        debugger.write_all(b"answer = 99\nc\n").await.unwrap();
        let answer = call.await.unwrap();
        assert_eq!((answer.status, &*answer.text()), (200, "100"), "{answer:?}");
    }
}

#[tokio::test]
async fn elsewhere_it_has_the_deadline_of_its_call() {
    let app = App::new(REMOTE);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let path = format!("/{}", listener.local_addr().unwrap().port());
    let call = tokio::spawn(ask(app.service(), get(&path)));
    let mut debugger = arrival(&listener).await.unwrap();
    pass_time().await;
    assert_eq!(call.await.unwrap().status, 504);
    debugger.write_all(b"c\n").await.unwrap();
}

#[tokio::test]
async fn a_breakpoint_without_a_terminal_says_what_it_needs() {
    let source = "
def handle(method, path, params, query, headers, body):
    breakpoint()
    return 200, '', {}
";
    for debug in [false, true] {
        let child = Server::new(source)
            .config(|config| config.debug = debug)
            .start()
            .await;
        assert_eq!(child.get("/").await.status, 500);
        let words = if executor::are_processes() {
            "which is empty in a worker process: run handlers on threads"
        } else {
            "this server has no terminal: start it in one"
        };
        child.wait_for(words).await;
    }
}

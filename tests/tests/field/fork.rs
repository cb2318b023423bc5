//! Processes that coroutines fork: both copies return from `os.fork()`, and only the parent's may answer.

use httpy_tests::child::Server;
use httpy_tests::client::request;

const FORKS: &str = "
import asyncio, os, sys

async def handle(method, path, params, query, headers, body):
    if path.startswith('/later'):
        await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        if path.endswith('/exit'):
            sys.exit(3)
        if path.endswith('/raise'):
            raise ValueError('in the child')
        return 200, 'from the child', {}
    _, status = os.waitpid(child, 0)
    return 200, f'the child gave {os.waitstatus_to_exitcode(status)}', {}
";

#[tokio::test]
async fn a_child_of_a_coroutine_ends_as_its_part_of_the_call_does() {
    let child = Server::new(FORKS).start().await;
    // One connection, on which a second answer to the same request could not stay unseen.
    let mut connection = child.connect().await;
    for (path, status) in [
        ("/", 0),
        ("/exit", 3),
        ("/raise", 1),
        ("/later/", 0),
        ("/later/exit", 3),
        ("/later/raise", 1),
        ("/", 0),
    ] {
        connection.send(&request("GET", path, &[], b"")).await;
        assert_eq!(
            connection.receive("GET").await.text(),
            format!("the child gave {status}"),
            "{path}"
        );
    }
    child.wait_for("ValueError: in the child").await;
}

//! What stands in place of a file is one: a request's body as a handler reads it, and captured standard streams.

use httpy_tests::child::Server;
use httpy_tests::client::{exchange, request};
use httpy_tests::executor::{self, OfThreads};

const READS: &str = "
import csv, io, json
import httpy_rs

def handle(method, path, params, query, headers, body: httpy_rs.Body):
    if path == '/csv':
        return 200, str(sum(int(row['price']) for row in csv.DictReader(io.TextIOWrapper(body, 'utf-8')))), {}
    if path == '/json':
        return 200, str(json.load(io.TextIOWrapper(body))), {}
    if path == '/buffered':
        return 200, io.BufferedReader(body).readline(), {}
    with body:
        return 200, body.readline() + body.readline(4), {}
";

const READS_ON_A_LOOP: &str = "
import httpy_rs

async def handle(method, path, params, query, headers, body: httpy_rs.AsyncBody):
    return 200, await body.readline() + await body.readexactly(3) + await body.readuntil(b','), {}
";

#[tokio::test]
async fn a_body_is_read_as_a_file() {
    let child = Server::new(READS).app(READS_ON_A_LOOP).start().await;
    let table = b"name,price\napple,2\npear,3\n";
    for (path, sent, expected) in [
        ("/csv", &table[..], "5"),
        ("/json", br#"["tea"]"#, "['tea']"),
        ("/buffered", table, "name,price\n"),
        ("/line", table, "name,price\nappl"),
        ("/app2/", table, "name,price\napple,"),
    ] {
        let answer = exchange(child.address(), &request("POST", path, &[], sent)).await;
        assert_eq!(answer.text(), expected, "{path}");
    }
}

const RECONFIGURES: &str = "
import sys

sys.stdout.reconfigure(encoding='utf-8', line_buffering=True)

def handle(method, path, params, query, headers, body):
    sys.stdout.writelines(['printed\\n'])
    return 200, f'{sys.stdout.encoding} {sys.stdout.isatty()}', {}
";

#[tokio::test]
async fn captured_standard_streams_are_text_streams() {
    if executor::lacks(OfThreads::HostProcess) {
        return;
    }
    let server =
        Server::new(RECONFIGURES).config(|config| config.threads().capture_stdout = Some(true));
    let child = server.start().await;
    assert_eq!(child.get("/").await.text(), "utf-8 False");
    child.wait_for("printed").await;
}

//! The garbage collector runs destructors between any two steps of Python code, and these may log.

use httpy_tests::child::Server;

const SOURCE: &str = "
import gc, logging, random
log = logging.getLogger('app')
gc.set_threshold(1)

class Session:
    def __init__(self):
        self.itself = self
    def __del__(self):
        log.warning('a session was not closed')

def leave():
    for number in range(20):
        Session()
        rows = [[] for _ in range(random.randrange(10))]
        log.warning('row %d', number)

def chunks():
    for _ in range(5):
        leave()
        yield 'x'

def handle(method, path, params, query, headers, body):
    leave()
    return 200, chunks() if path == '/chunks' else 'x' * 5, None
";

#[tokio::test]
async fn destructors_that_log_hold_nobody_up() {
    let asynchronous = SOURCE.replace("\ndef handle(", "\nasync def handle(");
    for source in [SOURCE, &asynchronous] {
        let child = Server::new(source).start().await;
        for _ in 0..10 {
            let (one, two, three) =
                tokio::join!(child.get("/"), child.get("/chunks"), child.get("/"));
            for answer in [one, two, three] {
                assert_eq!((answer.status, answer.text()), (200, "xxxxx".to_owned()));
            }
        }
        child.wait_for("a session was not closed").await;
        child.signal("INT").await;
        child.wait().await.assert_code(0);
    }
}

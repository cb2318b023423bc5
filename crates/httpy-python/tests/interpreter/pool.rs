//! The pool without a server: calls that nobody waits for, and what the pool says of its workers then.

use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use http::{Method, Uri};
use httpy_core::{
    Call, Clocks, Freight, Health, Job, Kind, Listener, Notice, Outcome, Question, TargetId, Ticket,
};
use httpy_python::interpreter::Options;
use httpy_python::{Pool, PoolOptions, Runtime};
use tokio::sync::Semaphore;

use crate::child::{in_child, python};

static NOTICES: Mutex<Vec<Notice>> = Mutex::new(Vec::new());
static NOTICED: Condvar = Condvar::new();

const OPTIONS: PoolOptions = PoolOptions {
    min: 1,
    max: 1,
    stack_size: 8 << 20,
    replacements: 1,
    lost_after: Duration::from_millis(1),
    uvloop: false,
    in_flight: 1,
    loop_blocked_after: Duration::from_millis(1),
};

/// Waits for a notice that begins like this.
fn wait_for(text: &str) {
    let none = |notices: &mut Vec<Notice>| {
        !notices
            .iter()
            .any(|notice| notice.to_string().starts_with(text))
    };
    drop(NOTICED.wait_while(NOTICES.lock().unwrap(), none).unwrap());
}

/// Waits for an answer.
fn wait(question: &Question) -> Option<Outcome> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match question.poll(&Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

struct Running {
    runtime: Arc<Runtime>,
    pool: Arc<Pool>,
    target: TargetId,
    _folder: tempfile::TempDir,
}

impl Running {
    /// One worker that may be replaced once, and the handler of `source`.
    fn begin(source: &str) -> Self {
        let notice = |notice: &Notice| {
            NOTICES.lock().unwrap().push(notice.clone());
            NOTICED.notify_all();
        };
        let listener = Listener {
            late: |_, _| {},
            notice,
            exit: |_| {},
        };
        let runtime = Runtime::start(&Options::default(), listener).unwrap();
        let pool = runtime.pool(OPTIONS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pool_app.py"), source).unwrap();
        let paths = vec![folder.path().to_owned()];
        runtime.prepare(Vec::new(), paths.clone()).unwrap();
        let target = runtime
            .load(Kind::Handler, "pool_app:handle".to_owned(), paths)
            .unwrap();
        Self {
            runtime,
            pool,
            target,
            _folder: folder,
        }
    }

    /// Puts a call into the queue whose time is up.
    fn push(&self, path: &'static str) -> (Arc<Ticket>, Question) {
        let call = Call::new(Method::GET, Uri::from_static(path));
        let now = Instant::now();
        let clocks = Clocks {
            deadline: now,
            chunk_timeout: Duration::from_secs(30),
            abandon_after: Duration::from_secs(30),
        };
        let (ticket, answer, question) = Ticket::issue(call, now, clocks, Freight::default());
        let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let job = Job {
            target: self.target,
            ticket: Arc::clone(&ticket),
            answer,
            slot,
        };
        assert!(self.pool.push(job).is_ok());
        (ticket, question)
    }

    /// Begins a call, and lets go of it when it has arrived.
    fn begin_overdue(&self, path: &'static str, arrived: impl FnOnce()) {
        let (ticket, question) = self.push(path);
        arrived();
        drop(question);
        assert!(self.pool.enforce(self.target, &ticket, true));
    }
}

#[test]
fn a_lost_worker_is_counted_until_it_comes_back() {
    in_child(&[], || {
        let running = Running::begin(
            "import threading, httpy_rs\n\
             arrived, gate = threading.Event(), threading.Event()\n\
             def handle(method, path, params, query, headers, body):\n    \
                 with httpy_rs.shield():\n        arrived.set(); gate.wait()\n    \
                 return 200, '', {}\n",
        );
        let health = Health {
            workers_max: 1,
            lost: 0,
            replacements: 1,
            starting: false,
            held_for: None,
        };
        assert_eq!(running.pool.health(), health);
        let interpreter = running.runtime.interpreter();
        running.begin_overdue("/", || {
            drop(python(
                interpreter,
                "import pool_app\nresult = pool_app.arrived.wait()",
            ));
        });
        wait_for("worker 1 is lost");
        assert_eq!(running.pool.health().lost, 1);
        python(interpreter, "import pool_app\nresult = pool_app.gate.set()");
        wait_for("worker 1 is back");
        // It says so before it takes its place again.
        while running.pool.health() != health {
            thread::yield_now();
        }
        let (ticket, question) = running.push("/");
        assert!(matches!(wait(&question), Some(Outcome::Returned(_))));
        assert!(
            !running.pool.enforce(running.target, &ticket, true),
            "it is over"
        );
    });
}

/// What C code that forgot to detach does. A call into it is where it waits as soon as the first of its two meetings is
/// over: Python code around it would give others a moment to have the interpreter.
extern "C" fn wait_attached() {
    AT_GATE.wait();
    AT_GATE.wait();
}

static AT_GATE: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

#[test]
fn the_pool_tells_for_how_long_the_interpreter_could_not_be_had() {
    in_child(&[], || {
        let running = Running::begin(&format!(
            "import ctypes, httpy_rs\n\
             wait_attached = ctypes.PYFUNCTYPE(None)({})\n\
             def handle(method, path, params, query, headers, body):\n    \
                 if path == '/wait':\n        \
                     with httpy_rs.shield():\n            \
                         wait_attached()\n    \
                 return 200, '', {{}}\n",
            wait_attached as extern "C" fn() as usize,
        ));
        running.begin_overdue("/wait", || {
            AT_GATE.wait();
        });
        wait_for("the interpreter has been held for ");
        let health = running.pool.health();
        assert!(
            health
                .held_for
                .is_some_and(|held_for| held_for >= Duration::from_secs(1)),
            "{health:?}"
        );
        assert_eq!(health.lost, 0, "nobody could run in its place");
        AT_GATE.wait();
        wait_for("pool_app:handle did not answer within 0ns");
        let (_, question) = running.push("/");
        assert!(matches!(wait(&question), Some(Outcome::Returned(_))));
        assert_eq!(running.pool.health().held_for, None);
    });
}

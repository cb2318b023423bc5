//! Bytes become any Python object, returned by a handler: what the server makes of it is what `check_reply` says in
//! Python. The first byte chooses the method.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use http::Method;
use httpy_fuzz::Fixture;
use httpy_tests::twin::judge;
use libfuzzer_sys::fuzz_target;

const TARGET: &str = "grammar:returned";
static FIXTURE: LazyLock<(Fixture, [httpy::PyService; 2])> = LazyLock::new(|| {
    let fixture = Fixture::new();
    let services = [fixture.handler(TARGET), fixture.handler("grammar:judged")];
    (fixture, services)
});

fuzz_target!(|data: &[u8]| {
    let Some((method, body)) = data.split_first() else { return };
    let method = if method % 4 == 0 { Method::HEAD } else { Method::GET };
    let (fixture, [returned, judged]) = &*FIXTURE;
    let body = Bytes::copy_from_slice(body);
    if let Err(difference) = fixture.wait(judge(returned.clone(), judged.clone(), TARGET, &method, body)) {
        panic!("{method}: {difference}");
    }
});

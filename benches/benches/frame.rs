//! A call on its way to a worker process and its reply on the way back: to bytes and from bytes, without the process.

#![expect(
    clippy::expect_used,
    reason = "a measurement that cannot be made must end"
)]

use std::hint::black_box;
use std::time::Duration;

use bytes::BytesMut;
use criterion::Criterion;
use httpy_benches::{Result, request, service};
use httpy_core::frame::{Batch, JobBody, JobMessage, Kind, Message, Payload, Writer, cut};

/// As many as a worker answers at once at most.
const REPLIES: u32 = 16;

fn main() -> Result<()> {
    let call = httpy::bench::call(&service()?, request().into_parts().0)?;
    let job = JobMessage {
        id: 1,
        handler: 0,
        kind: httpy_core::Kind::Handler,
        call: &call,
        body: JobBody::Text(b""),
        left: Duration::from_secs(30),
        wants_timings: false,
        chunk_timeout: Duration::from_secs(30),
    };
    let mut replies = Batch::new();
    for _ in 0..REPLIES {
        replies.add(reply)?;
    }

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("frame");
    let mut batch = Batch::new();
    group.bench_function("call to job", |bencher| {
        bencher.iter(|| {
            batch.clear();
            batch
                .add(|writer| job.write(writer))
                .expect("a job is short");
            black_box(batch.as_bytes().len())
        });
    });
    group.bench_function("16 replies to data", |bencher| {
        bencher.iter(|| {
            let mut arrived = BytesMut::from(replies.as_bytes());
            read(&cut(&mut arrived).expect("a frame").expect("all of it"));
        });
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// What a worker sends of `httpy_benches::returned`.
fn reply(writer: &mut Writer<'_>) {
    writer.tuple(3);
    writer.int(1);
    writer.str("r");
    writer.tuple(3);
    writer.int(200);
    writer.str("hello");
    writer.dict();
    writer.str("X-Test");
    writer.str("1");
    writer.end_dict();
}

fn read(payload: &Payload) {
    for message in payload.messages::<Message<'_>>().expect("messages") {
        let Kind::Reply(reply) = message.expect("a message").kind else {
            continue;
        };
        black_box(
            reply
                .read(payload.as_bytes(), false)
                .expect("a result")
                .expect("as the contract has it"),
        );
    }
}

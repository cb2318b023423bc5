//! Does one piece of the standard request's way so and so many times: `instructions PIECE TIMES`.
//!
//! Run by `benches/instructions.py` under callgrind with two numbers of times, so that the difference is what the piece
//! costs without the start.

use std::hint::black_box;

use futures_util::future::join_all;
use http::Method;
use httpy_benches::{Result, attached, request, returned, service};
use httpy_python::bench::Piece;
use tower::Service;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let piece = arguments.next().unwrap_or_default();
    let times: u32 = arguments.next().unwrap_or_default().parse()?;
    match piece.as_str() {
        "arguments" => attach(Piece::Arguments, times)?,
        "handler" => attach(Piece::Handler, times)?,
        "result" => attach(Piece::Result, times)?,
        "call" => attach(Piece::All, times)?,
        "request" => repeat(times, request),
        "prepare" => {
            let service = service()?;
            repeat(times, || {
                httpy::bench::call(&service, request().into_parts().0)
            });
        }
        "returned" => repeat(times, returned),
        "check" => repeat(times, || returned().check(&Method::GET)),
        "dispatch" => dispatch(times)?,
        _ => return Err(format!("no piece is called {piece:?}").into()),
    }
    Ok(())
}

fn attach(piece: Piece, times: u32) -> Result<()> {
    attached()?.measure(piece, times.into())?;
    Ok(())
}

fn repeat<R>(times: u32, mut work: impl FnMut() -> R) {
    for _ in 0..times {
        black_box(work());
    }
}

/// All threads count here, also while they look out for work: 64 requests at a time, so that there always is some.
fn dispatch(times: u32) -> Result<()> {
    let service = service()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for _ in 0..times.div_ceil(64) {
        runtime.block_on(join_all((0..64).map(|_| service.clone().call(request()))));
    }
    Ok(())
}

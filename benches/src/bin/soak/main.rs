//! `soak REQUESTS FILE [COMMAND]`: sends that many mixed requests to a server in a process of its own, which COMMAND runs
//! where there is one, and writes what was seen as JSON. `soak serve` is that server. What it means is said by
//! `benches/soak.py`.
//!
//! Two phases: the first tenth warms the server up. Between them and at the end, with no request on its way, the server
//! is asked what it holds.

mod connection;
mod load;
mod mix;
mod server;

use std::error::Error;
use std::ffi::OsStr;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Instant;
use std::{env, fs};

use load::Load;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::LocalSet;

/// Connections that are kept alive and used at the same time.
const CONNECTIONS: usize = 64;
/// Samples of the server's memory in the whole run.
const SAMPLES: u64 = 400;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve"] => tokio::runtime::Runtime::new()?.block_on(server::serve()),
        [requests, file, ref command @ ..] => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let seen = LocalSet::new().block_on(&runtime, soak(requests.parse()?, command))?;
            Ok(fs::write(file, serde_json::to_string(&seen)?)?)
        }
        _ => Err("expected a number of requests and a file, or `serve`".into()),
    }
}

async fn soak(requests: u64, command: &[&str]) -> Result<Value, Failure> {
    let program = env::current_exe()?;
    let mut command: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
    command.extend([program.as_os_str(), OsStr::new("serve")]);
    let mut server = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let address = address(&mut server).await?;
    let pid = server.id().ok_or("the server has ended")?;
    let load = Rc::new(Load::new(address, pid, (requests / SAMPLES).max(1)).await?);

    let begun = Instant::now();
    let warm_up = requests / 10;
    load.run(0..warm_up, CONNECTIONS).await?;
    let warm = (load.sent(), load.holdings().await?);
    load.run(warm_up..requests, CONNECTIONS).await?;
    let end = (load.sent(), load.holdings().await?);
    let seconds = begun.elapsed().as_secs_f64();
    // Which closes its input.
    let ended = server.wait().await?;
    if !ended.success() {
        return Err(format!("the server's end: {ended}").into());
    }
    Ok(json!({
        "connections": CONNECTIONS,
        "seconds": seconds,
        "warm": { "requests": warm.0, "holdings": warm.1 },
        "end": { "requests": end.0, "holdings": end.1 },
        "answers": load.answers(),
        "mismatches": load.mismatches(),
        "samples": load.samples(),
    }))
}

async fn address(server: &mut Child) -> Result<String, Failure> {
    let stdout = server.stdout.take().ok_or("the server has no output")?;
    let line = BufReader::new(stdout)
        .lines()
        .next_line()
        .await?
        .ok_or("the server does not start")?;
    Ok(line.rsplit('/').next().unwrap_or_default().to_owned())
}

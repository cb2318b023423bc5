//! `Process`: a worker's process, which leads a group of its own: its end is seen, its group killed, and it is reaped, in
//! that order. Once it is reaped its number may be that of anybody, and nothing is killed any more.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};
#[cfg(target_os = "linux")]
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

/// A worker's process. Dropped before it is reaped, it is killed with its group; the runtime reaps it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    /// Readable when it has ended. None where the system has no such thing; then it is reaped as its end is seen.
    #[cfg(target_os = "linux")]
    end: Option<AsyncFd<OwnedFd>>,
    is_reaped: bool,
    /// How it ended, once it is reaped; none where that is not to be known.
    status: Option<ExitStatus>,
}

impl Process {
    /// # Errors
    ///
    /// When it has no number any more.
    pub(crate) fn new(child: Child) -> io::Result<Self> {
        let number = child.id().and_then(|number| i32::try_from(number).ok());
        let pid = number
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("no process"))?;
        Ok(Self {
            child,
            pid,
            #[cfg(target_os = "linux")]
            end: end(pid),
            is_reaped: false,
            status: None,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Until it has ended. May be dropped and called again.
    pub(crate) async fn ended(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(end) = &self.end
            && end.readable().await.is_ok()
        {
            return;
        }
        self.reap().await;
    }

    /// Kills it, and all that it has started and that has not left its group. Nothing once it is reaped.
    pub(crate) fn kill(&self) {
        // Asked for as well: where the host ignores the ends of its children, they are reaped by the system.
        if !self.is_reaped && self.look().is_ok() {
            // An error says that nobody is left in it.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Reaps it, once it has ended: how that was, where it is to be known. What it has left behind in its group is killed,
    /// unless it has ended well: then that was its will.
    pub(crate) async fn bury(&mut self) -> Option<ExitStatus> {
        self.ended().await;
        let well = self
            .look()
            .ok()
            .flatten()
            .and_then(|status| status.exit_status())
            == Some(0);
        if !well {
            self.kill();
        }
        self.reap().await
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_reaped || self.look().is_ok_and(|status| status.is_some())
    }

    async fn reap(&mut self) -> Option<ExitStatus> {
        if !self.is_reaped {
            self.status = self.child.wait().await.ok();
            self.is_reaped = true;
        }
        self.status
    }

    /// How it has ended, if it has, without reaping it.
    fn look(&self) -> rustix::io::Result<Option<WaitIdStatus>> {
        waitid(
            WaitId::Pid(self.pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(target_os = "linux")]
#[allow(
    deprecated,
    reason = "its successor is unsafe, for what an `OwnedFd` cannot do: become another descriptor"
)]
fn end(pid: Pid) -> Option<AsyncFd<OwnedFd>> {
    let end = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK).ok()?;
    AsyncFd::with_interest(end, tokio::io::Interest::READABLE).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt;
    use tokio::process::Command;

    use super::*;

    fn start(script: &str) -> (Process, tokio::process::ChildStdout) {
        let mut command = Command::new("/bin/sh");
        let mut child = command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        (Process::new(child).unwrap(), output)
    }

    #[tokio::test]
    async fn an_end_is_seen_before_the_process_is_reaped() {
        let (mut process, _) = start("exit 3");
        process.ended().await;
        process.ended().await;
        assert!(process.has_ended());
        #[cfg(target_os = "linux")]
        assert!(process.look().unwrap().is_some());
        assert_eq!(process.bury().await.unwrap().code(), Some(3));
        assert!(process.look().is_err() && process.has_ended());
        process.kill();
        assert_eq!(process.bury().await.unwrap().code(), Some(3));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_a_failed_process_has_left_behind_is_killed() {
        let (mut process, mut output) = start("sleep 1000 & exit 1");
        assert_eq!(process.bury().await.unwrap().code(), Some(1));
        // The end of the stream comes when nobody holds it any more.
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_a_process_has_started_is_killed_when_it_is_dropped() {
        let (process, mut output) = start("sleep 1000 & sleep 1000");
        drop(process);
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_a_process_has_left_behind_that_ended_well_goes_on() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exec 3<&0; { read line <&3; echo $line; } & exit 0"])
            .process_group(0);
        command
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut output = child.stdout.take().unwrap();
        assert!(Process::new(child).unwrap().bury().await.unwrap().success());
        std::io::Write::write_all(&mut &ours, b"on\n").unwrap();
        let mut said = String::new();
        output.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "on\n");
    }

    #[tokio::test]
    async fn a_process_is_killed_with_its_group() {
        let (mut process, mut output) = start("sleep 1000 & sleep 1000");
        process.kill();
        assert!(process.bury().await.unwrap().code().is_none());
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
    }
}

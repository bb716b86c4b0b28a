//! Keeps hold of a command that runs beside a host, so that it ends with all that it has started in turn: when the host says so, or is gone
//! itself, however that came.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Becomes the command after it has left somebody behind in the same process group, who ends that group when its stdin does: to send a
/// signal, or to have the kernel send one, would take unsafe code here.
const HELD: &str = "exec 9<&0 </dev/null; { read -r _ <&9 || kill -s KILL 0; } >/dev/null 2>&1 & exec 9<&-; exec \"$@\"";

/// A hold on one command at a time. A clone holds the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Leash(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// Nobody else has this end: it is closed with the host, too.
    hold: Option<ChildStdin>,
    is_over: bool,
}

impl Leash {
    /// How to start a program that [`Self::spawn`] takes; its arguments are to be added.
    pub(super) fn command(program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", HELD, "sh"]).arg(program);
        command
    }

    /// Starts a command in a process group of its own, without input. Ctrl-C at a terminal does not reach it there.
    ///
    /// # Errors
    /// When it cannot be started, or [`Self::end`] was called.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut held = self.held();
        if held.is_over {
            return Err(io::Error::other("the host is stopping"));
        }
        let mut child = command.process_group(0).stdin(Stdio::piped()).spawn()?;
        held.hold = child.stdin.take();
        Ok(child)
    }

    /// Lets go of a command that is about to end by itself.
    pub(super) fn let_go(&self) {
        if let Some(mut hold) = self.held().hold.take() {
            // Whoever waits for it may be gone already, with the whole group.
            drop(hold.write_all(b"\n"));
        }
    }

    /// Ends the command and all that it has started, if one is held, and lets none start any more. Does not wait for their end.
    pub(super) fn end(&self) {
        let mut held = self.held();
        held.is_over = true;
        held.hold = None;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Leash::command(Path::new("sh"));
        command.args(["-c", script]).stdout(Stdio::piped());
        command
    }

    /// Neither the shell nor what it has started ends by itself, and both have its output.
    fn is_ended_by(leash: Leash, end: impl FnOnce(Leash)) {
        let mut child = leash.spawn(&mut shell("tail -f /dev/null & echo on; wait")).unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut said = [0; 3];
        output.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"on\n");
        end(leash);
        // It comes to its end with the last of them.
        output.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(child.wait().unwrap().code(), None);
    }

    #[test]
    fn a_command_is_ended_with_what_it_has_started_and_no_other_begins() {
        let leash = Leash::default();
        is_ended_by(leash.clone(), |leash| leash.end());
        assert!(leash.spawn(&mut shell("exit 0")).is_err());
    }

    #[test]
    fn a_command_does_not_outlive_who_holds_it() {
        // As a process that is killed drops all that it has.
        is_ended_by(Leash::default(), drop);
    }

    #[test]
    fn a_command_that_was_let_go_of_is_left_alone() {
        let leash = Leash::default();
        // It cannot end before somebody reads all of this.
        let mut child = leash.spawn(shell("exec >&-; head -c 1000000 /dev/zero >&2").stderr(Stdio::piped())).unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        leash.let_go();
        leash.end();
        assert_eq!(child.stderr.take().unwrap().read_to_end(&mut Vec::new()).unwrap(), 1_000_000);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

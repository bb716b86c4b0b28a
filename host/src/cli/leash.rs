//! Keeps hold of a command that runs beside a host, so that it can be ended with all that it has started in turn.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A hold on one command at a time. A clone holds the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Leash(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// The process group of the command, which has its number.
    group: Option<u32>,
    is_over: bool,
}

impl Leash {
    /// Starts a command in a process group of its own. Ctrl-C at a terminal does not reach it there.
    ///
    /// # Errors
    /// When it cannot be started, or [`Self::end`] was called.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut held = self.held();
        if held.is_over {
            return Err(io::Error::other("the host is stopping"));
        }
        let child = command.process_group(0).spawn()?;
        held.group = Some(child.id());
        Ok(child)
    }

    /// Lets go of a command that is about to end by itself. To be called before its end is collected, since its number may then be another's.
    pub(super) fn let_go(&self) {
        self.held().group = None;
    }

    /// Ends the command and all that it has started, if one is held, and lets none start any more. Blocks for some milliseconds.
    pub(super) fn end(&self) {
        let mut held = self.held();
        held.is_over = true;
        if let Some(group) = held.group.take() {
            kill(group);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `kill` is built into every shell; to send a signal from here would take unsafe code.
fn kill(group: u32) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s KILL -- \"-$0\"", &group.to_string()]);
    // Nobody is left to be ended when all have ended meanwhile.
    drop(shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    #[test]
    fn a_command_is_ended_with_what_it_has_started_and_no_other_begins() {
        let leash = Leash::default();
        // Neither the shell nor what it has started ends by itself, and both have its output.
        let mut child = leash.spawn(&mut shell("tail -f /dev/null & echo on; wait")).unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut said = [0; 3];
        output.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"on\n");
        leash.end();
        // It comes to its end with the last of them.
        output.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(child.wait().unwrap().code(), None);
        assert!(leash.spawn(&mut shell("exit 0")).is_err());
    }

    #[test]
    fn a_command_that_was_let_go_of_is_left_alone() {
        let leash = Leash::default();
        let mut child = leash.spawn(&mut shell("cat /dev/null")).unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        leash.let_go();
        leash.end();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

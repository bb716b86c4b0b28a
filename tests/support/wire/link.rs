//! One connection of a client.

use std::{io, ops::Range, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    command::Command,
    message::{Message, malformed, whole},
    server::{Mode, Shared},
    state::{Ended, Taken},
};

/// Room for what is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// A connection, and what has come over it and is to go out.
pub(crate) struct Link {
    stream: TcpStream,
    seat: Seat,
    mode: watch::Receiver<Mode>,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// A place among the sockets, which is given up however the connection ends.
struct Seat {
    number: u32,
    shared: Arc<Shared>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.with(|state| state.close(self.number));
        self.shared.changed();
    }
}

impl Link {
    pub(crate) fn new(stream: TcpStream, shared: Arc<Shared>, mode: watch::Receiver<Mode>) -> Self {
        let number = shared.with(|state| state.accept());
        shared.changed();
        Self { stream, seat: Seat { number, shared }, mode, input: Vec::new(), output: Vec::new() }
    }

    /// Serves until the client goes, or says what is no command.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            self.input.reserve(CHUNK);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(());
            }
            self.until_heard().await;
            let mut taken = 0;
            while let Some(length) = whole(&self.input[taken..])? {
                self.serve(taken..taken + length).await?;
                taken += length;
            }
            self.input.drain(..taken);
            self.flush().await?;
        }
    }

    /// Answers the message in this part of the input, which grows at most.
    async fn serve(&mut self, at: Range<usize>) -> io::Result<()> {
        let (message, command) = parse(&self.input[at.clone()])?;
        let (number, wants_answer) = (message.number, message.wants_answer);
        let taken = self.seat.shared.with(|state| state.take(self.seat.number, &command));
        let reply = match taken {
            Taken::Answer(reply) => reply,
            Taken::Wait { ended, limit } => {
                self.seat.shared.changed();
                // Whatever came before is answered now.
                self.flush().await?;
                let how = self.wait(ended, limit).await?;
                self.until_heard().await;
                let (_, command) = parse(&self.input[at])?;
                self.seat.shared.with(|state| state.waited(self.seat.number, &command, how))
            }
        };
        if wants_answer {
            reply.write(&mut self.output, number);
        }
        self.seat.shared.changed();
        Ok(())
    }

    /// Waits until a command may be answered. An error when the client has gone before.
    async fn wait(&mut self, ended: oneshot::Receiver<Ended>, limit: Option<(Duration, Ended)>) -> io::Result<Ended> {
        // The other end is in the state for as long as the connection is.
        let ended = async { ended.await.unwrap_or(Ended::Killed) };
        let ended = async {
            match limit {
                Some((limit, then)) => timeout(limit, ended).await.unwrap_or(then),
                None => ended.await,
            }
        };
        let (stream, input) = (&mut self.stream, &mut self.input);
        let gone = async {
            loop {
                input.reserve(CHUNK);
                match stream.read_buf(input).await {
                    Ok(0) => return io::Error::from(io::ErrorKind::UnexpectedEof),
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        };
        tokio::select! {
            how = ended => Ok(how),
            error = gone => Err(error),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    /// Waits while nobody is heard.
    async fn until_heard(&mut self) {
        // Fails when the server ends, and this with it.
        let _ = self.mode.wait_for(|mode| *mode != Mode::Silent).await;
    }
}

fn parse(bytes: &[u8]) -> io::Result<(Message<'_>, Command<'_>)> {
    let message = Message::parse(bytes).ok_or_else(malformed)?;
    let command = Command::parse(message.body).ok_or_else(malformed)?;
    Ok((message, command))
}

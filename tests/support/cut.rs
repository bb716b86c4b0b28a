//! A proxy before a database server that cuts a connection at one request of its client's.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Where the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The server never gets the request.
    Sending,
    /// The server gets the request, the client no answer.
    Sent,
    /// The server has answered, and the client does not get it.
    Answered,
}

/// Whose messages the proxy understands. Nothing may be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// PostgreSQL's: a type and a length, but for the first ones of a client, which have only the length.
    Postgres,
    /// That of MariaDB and MySQL: a length and a number.
    Mysql,
    /// MongoDB's: a length, which counts itself.
    Mongodb,
}

/// Listens until it is dropped; connections that are open then go on.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// No message of a test is longer, in bytes.
const LONGEST: usize = 1 << 20;
/// A client that wants TLS asks so first.
const SSL_REQUEST: &[u8] = &80_877_103_u32.to_be_bytes();
/// Of MySQL's status flags: another answer follows.
const MORE_RESULTS: u8 = 0x08;
/// How long a server may take to notice that its client has gone.
const NOTICED: Duration = Duration::from_secs(30);

impl Cut {
    /// Passes on to `server` what comes, until a request contains `marker`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn new(server: String, wire: Wire, marker: &'static str, at: At) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = server.clone();
                // An error is a side that has gone, which is the end of the connection.
                tokio::spawn(async move { drop(pass(client, &server, wire, marker.as_bytes(), at).await) });
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: &str, wire: Wire, marker: &[u8], at: At) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
    let mut started = false;
    // From the message with the marker on.
    let mut request: Vec<u8> = Vec::new();
    loop {
        tokio::select! {
            read = server.read_buf(&mut from_server) => {
                if read? == 0 {
                    return Ok(());
                }
                client.write_all(&from_server).await?;
                from_server.clear();
            }
            read = client.read_buf(&mut from_client) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(message) = wire.take_message(&mut from_client, &mut started)? {
                    if request.is_empty() && !contains(&message, marker) {
                        server.write_all(&message).await?;
                        continue;
                    }
                    let is_last = wire.ends_request(&message);
                    request.extend(message);
                    if is_last {
                        return cut(client, server, wire, &request, at).await;
                    }
                }
            }
        }
    }
}

async fn cut(client: TcpStream, mut server: TcpStream, wire: Wire, request: &[u8], at: At) -> io::Result<()> {
    if at == At::Sending {
        return Ok(());
    }
    server.write_all(request).await?;
    let mut answer = Vec::new();
    while at == At::Answered && !wire.is_answered(&answer) {
        if server.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    drop(client);
    // With unread bytes a closed socket would take back what was sent.
    server.shutdown().await?;
    timeout(NOTICED, server.read_to_end(&mut answer)).await??;
    Ok(())
}

fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

/// The number that begins a message of MongoDB's.
fn little_endian(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

impl Wire {
    /// The next whole message of a client.
    fn take_message(self, bytes: &mut Vec<u8>, started: &mut bool) -> io::Result<Option<Vec<u8>>> {
        let whole = match self {
            Self::Postgres => {
                let at = usize::from(*started);
                let Some(length) = bytes.get(at..at + 4) else { return Ok(None) };
                at + length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte))
            }
            Self::Mysql => {
                let Some(length) = bytes.get(..4) else { return Ok(None) };
                4 + length[..3].iter().rfold(0_usize, |length, byte| length << 8 | usize::from(*byte))
            }
            Self::Mongodb => {
                let Some(length) = little_endian(bytes) else { return Ok(None) };
                length
            }
        };
        if whole > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if bytes.len() < whole {
            return Ok(None);
        }
        let message: Vec<u8> = bytes.drain(..whole).collect();
        *started |= message.get(4..8) != Some(SSL_REQUEST);
        Ok(Some(message))
    }

    /// Whether the server answers now: PostgreSQL runs a prepared statement only once it hears that nothing more comes.
    fn ends_request(self, message: &[u8]) -> bool {
        match self {
            Self::Postgres => matches!(message.first(), Some(b'Q' | b'S')),
            Self::Mysql | Self::Mongodb => true,
        }
    }

    /// Whether this is the whole answer to a request that returns no rows.
    fn is_answered(self, mut answer: &[u8]) -> bool {
        match self {
            // It is ready for the next one, and no transaction is open.
            Self::Postgres => contains(answer, b"Z\0\0\0\x05I"),
            Self::Mongodb => little_endian(answer).is_some_and(|length| answer.len() >= length),
            Self::Mysql => {
                while let [low, middle, high, _number, rest @ ..] = answer {
                    let length = usize::from(*low) | usize::from(*middle) << 8 | usize::from(*high) << 16;
                    let Some((packet, after)) = rest.split_at_checked(length) else { return false };
                    match packet {
                        // Counts of less than 251 take a byte; then come the flags.
                        [0, 0..=250, 0..=250, flags, ..] if flags & MORE_RESULTS == 0 => return true,
                        [0xff, ..] => return true,
                        _ => answer = after,
                    }
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole() {
        for (wire, one, other) in [
            (Wire::Postgres, b"Q\0\0\0\x06ab".as_slice(), b"S\0\0\0\x04".as_slice()),
            (Wire::Mysql, b"\x02\0\0\0ab".as_slice(), b"\0\0\0\x01".as_slice()),
            (Wire::Mongodb, b"\x06\0\0\0ab".as_slice(), b"\x05\0\0\0c".as_slice()),
        ] {
            let mut bytes = [one, other, &one[..5]].concat();
            let mut started = true;
            let mut next = || wire.take_message(&mut bytes, &mut started).expect("short");
            assert_eq!([next().as_deref(), next().as_deref(), next().as_deref()], [Some(one), Some(other), None]);
        }
    }

    #[test]
    fn an_answer_ends_with_the_last_of_its_parts() {
        let more = b"\x07\0\0\x01\0\0\0\x0a\0\0\0";
        let last = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
        let is_answered = |answer: &[u8]| Wire::Mysql.is_answered(answer);
        assert!(!is_answered(more) && !is_answered(&last[..9]) && is_answered(last));
        assert!(is_answered(&[more.as_slice(), last].concat()) && is_answered(b"\x03\0\0\x01\xff\0\0"));
        assert!(Wire::Mongodb.is_answered(b"\x06\0\0\0ab") && !Wire::Mongodb.is_answered(b"\x06\0\0\0a"));
        assert!(
            Wire::Postgres.is_answered(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I") && !Wire::Postgres.is_answered(b"C\0\0\0\x0bCOMMIT\0")
        );
    }
}

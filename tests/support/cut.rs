//! A proxy before a PostgreSQL server that cuts a connection at one message of its client's.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Where the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The server never gets the message.
    Sending,
    /// The server gets the message, the client no answer.
    Sent,
    /// The server has answered, and the client does not get it.
    Answered,
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
/// How long a server may take to notice that its client has gone.
const NOTICED: Duration = Duration::from_secs(30);

impl Cut {
    /// Passes on to `server` what comes, until a message contains `marker`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn new(server: String, marker: &'static str, at: At) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = server.clone();
                // An error is a side that has gone, which is the end of the connection.
                tokio::spawn(async move { drop(pass(client, &server, marker.as_bytes(), at).await) });
            }
        });
        Self { address, task }
    }

    /// What takes the place of the server's address in a URL.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: &str, marker: &[u8], at: At) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
    let mut started = false;
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
                while let Some(message) = take_message(&mut from_client, &mut started)? {
                    if !contains(&message, marker) {
                        server.write_all(&message).await?;
                        continue;
                    }
                    return cut(client, server, &message, at).await;
                }
            }
        }
    }
}

async fn cut(client: TcpStream, mut server: TcpStream, message: &[u8], at: At) -> io::Result<()> {
    if at == At::Sending {
        return Ok(());
    }
    server.write_all(message).await?;
    let mut answer = Vec::new();
    // The first bytes of an answer to a COMMIT come when it is done.
    while at == At::Answered && !contains(&answer, b"COMMIT\0") {
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

/// The next whole message of a client. The first ones have no type, only a length.
fn take_message(bytes: &mut Vec<u8>, started: &mut bool) -> io::Result<Option<Vec<u8>>> {
    let type_bytes = usize::from(*started);
    let Some(length) = bytes.get(type_bytes..type_bytes + 4) else { return Ok(None) };
    let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)) + type_bytes;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if bytes.len() < length {
        return Ok(None);
    }
    let message: Vec<u8> = bytes.drain(..length).collect();
    *started |= message.get(4..8) != Some(SSL_REQUEST);
    Ok(Some(message))
}

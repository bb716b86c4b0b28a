//! A listener between clients and a server that remembers what the clients say.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Room for what is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// What was said on each connection, in the order in which they came.
type Said = Arc<Mutex<Vec<Vec<u8>>>>;

/// Listens until it is dropped; connections that are open then go on.
pub(crate) struct Tap {
    port: u16,
    said: Said,
    accepting: JoinHandle<()>,
}

impl Tap {
    /// Passes on to `server` what comes, and back; without one it hangs up on whoever has said something.
    pub(crate) async fn new(server: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Said::default();
        let all = Arc::clone(&said);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let (server, said) = (server.clone(), Arc::clone(&all));
                // An error is a side that has gone, which is the end of the connection.
                tokio::spawn(async move { drop(pass(client, server, number, &said).await) });
            }
        });
        Self { port, said, accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What was said on each connection on which anything was.
    pub(crate) fn said(&self) -> Vec<Vec<u8>> {
        self.said.lock().unwrap().iter().filter(|said| !said.is_empty()).cloned().collect()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, server: Option<String>, number: usize, said: &Mutex<Vec<Vec<u8>>>) -> io::Result<()> {
    let mut from_client: Vec<u8> = Vec::with_capacity(CHUNK);
    let mut from_server: Vec<u8> = Vec::with_capacity(CHUNK);
    let Some(server) = server else {
        client.read_buf(&mut from_client).await?;
        said.lock().unwrap()[number].extend_from_slice(&from_client);
        return Ok(());
    };
    let mut server = TcpStream::connect(server).await?;
    loop {
        tokio::select! {
            read = client.read_buf(&mut from_client) => {
                if read? == 0 {
                    return Ok(());
                }
                said.lock().unwrap()[number].extend_from_slice(&from_client);
                server.write_all(&from_client).await?;
                from_client.clear();
            }
            read = server.read_buf(&mut from_server) => {
                if read? == 0 {
                    return Ok(());
                }
                client.write_all(&from_server).await?;
                from_server.clear();
            }
        }
    }
}

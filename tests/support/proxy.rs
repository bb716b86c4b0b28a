//! A peer that misbehaves: passes bytes on between a host and its database server until it is told to be slow, to hold an answer back,
//! to say nothing more, or to break off.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// Bytes that are passed on at once.
const CHUNK: usize = 16 * 1024;

/// How much of an answer is held back before the server is no longer read.
const HELD: usize = 256 * 1024;

/// What control connections call themselves where they can. Not all of them log in: MongoDB's drivers watch a server without.
const CONTROL: &str = "wharf control";

/// A proxy in front of one server. Dropping it breaks every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    accepting: AbortHandle,
}

/// How the proxy behaves now.
#[derive(Clone, Debug, Default)]
struct Mode {
    delay: Duration,
    silence: Silence,
    hold: Hold,
    /// Connections accepted so far, which are numbered from 0.
    accepted: usize,
    /// Connections with a smaller number are broken, but for control connections.
    broken: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Silence {
    #[default]
    None,
    /// Connections with a smaller number neither hear nor say anything more, but for control connections.
    Slots(usize),
    /// Nobody does, not even those who come anew.
    All,
}

#[derive(Clone, Debug, Default)]
enum Hold {
    #[default]
    None,
    /// Waits for a chunk from a client that has this text.
    Armed(&'static str),
    /// The connection of this number is said something, and does not hear the answer.
    Held(usize),
}

impl Proxy {
    /// Listens on a port of its own. What has `control` (a user's name) or "wharf control" in the first thing that it says is a control
    /// connection.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(server: String, control: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (mode, _) = watch::channel(Mode::default());
        let accepting = tokio::spawn(accept(listener, server.into(), control.into(), mode.clone())).abort_handle();
        Self { address, mode, accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every chunk takes so much longer from now on, in either direction.
    pub fn slow(&self, delay: Duration) {
        self.mode.send_modify(|mode| mode.delay = delay);
    }

    /// All connections that are there now go silent, but for control connections: nothing is read, nothing closed. New ones work.
    pub fn silence_slots(&self) {
        self.mode.send_modify(|mode| mode.silence = Silence::Slots(mode.accepted));
    }

    /// All connections go silent, and so do new ones.
    pub fn silence_all(&self) {
        self.mode.send_modify(|mode| mode.silence = Silence::All);
    }

    /// All connections that are there now break, but for control connections. New ones work.
    pub fn break_slots(&self) {
        self.mode.send_modify(|mode| mode.broken = mode.accepted);
    }

    /// Everybody is heard again, and what was said meanwhile is passed on.
    pub fn speak(&self) {
        self.mode.send_modify(|mode| mode.silence = Silence::None);
    }

    /// Holds the answer back to the next thing that a slot says with this text in it. Should the server close meanwhile, the answer is
    /// lost.
    pub fn hold_answer_to(&self, text: &'static str) {
        self.mode.send_modify(|mode| mode.hold = Hold::Armed(text));
    }

    /// Waits until an answer is held back.
    ///
    /// # Panics
    /// After `bound`.
    pub async fn held(&self, bound: Duration) {
        let mut mode = self.mode.subscribe();
        let held = timeout(bound, mode.wait_for(|mode| matches!(mode.hold, Hold::Held(_)))).await;
        assert!(matches!(held, Ok(Ok(_))), "nobody said what the proxy was to wait for within {bound:?}");
    }

    /// Passes on what is held back; holds nothing any more.
    pub fn let_go(&self) {
        self.mode.send_modify(|mode| mode.hold = Hold::None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections' tasks are the acceptor's.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: Arc<str>, control: Arc<str>, mode: watch::Sender<Mode>) {
    let mut links = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // Collects what has ended.
        while links.try_join_next().is_some() {}
        let mut number = 0;
        mode.send_modify(|mode| {
            number = mode.accepted;
            mode.accepted += 1;
        });
        let link = Link { number, mode: mode.clone(), control: Arc::clone(&control), is_control: AtomicBool::new(false) };
        links.spawn(link.run(client, Arc::clone(&server)));
    }
}

/// One connection of a client, with its own to the server.
struct Link {
    number: usize,
    mode: watch::Sender<Mode>,
    control: Arc<str>,
    is_control: AtomicBool,
}

impl Link {
    /// Ends when either side has closed, or it is broken; both are closed then.
    async fn run(self, client: TcpStream, server: Arc<str>) -> io::Result<()> {
        let server = TcpStream::connect(&*server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::select! {
            ended = self.up(from_client, to_server) => ended,
            ended = self.down(from_server, to_client) => ended,
            () = self.until_broken() => Ok(()),
        }
    }

    async fn up(&self, mut client: OwnedReadHalf, mut server: OwnedWriteHalf) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut first = true;
        loop {
            self.until_heard().await;
            chunk.clear();
            let read = client.read_buf(&mut chunk).await;
            if !matches!(read, Ok(1..)) {
                // That a client has gone is heard of no sooner than what it says.
                self.until_heard().await;
                return read.map(drop);
            }
            let has = |text: &str| chunk.windows(text.len()).any(|part| part == text.as_bytes());
            if std::mem::take(&mut first) {
                self.is_control.store(has(&self.control) || has(CONTROL), Ordering::Relaxed);
            }
            // Before the server hears it, so that no answer can come first.
            self.mode.send_if_modified(|mode| match mode.hold {
                Hold::Armed(text) if !self.is_control.load(Ordering::Relaxed) && has(text) => {
                    mode.hold = Hold::Held(self.number);
                    true
                }
                _ => false,
            });
            self.pause().await;
            self.until_heard().await;
            server.write_all(&chunk).await?;
        }
    }

    async fn down(&self, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) -> io::Result<()> {
        let mut mode = self.mode.subscribe();
        let mut kept = Vec::with_capacity(CHUNK);
        loop {
            self.until_heard().await;
            tokio::select! {
                read = server.read_buf(&mut kept), if kept.len() < HELD => if read? == 0 {
                    // What was held back is lost with the connection.
                    return Ok(());
                },
                // The sender is our own.
                _ = mode.changed(), if !kept.is_empty() => {}
            }
            if self.is_held() {
                continue;
            }
            self.pause().await;
            self.until_heard().await;
            client.write_all(&kept).await?;
            kept.clear();
        }
    }

    fn is_held(&self) -> bool {
        matches!(self.mode.borrow().hold, Hold::Held(number) if number == self.number)
    }

    /// Waits while this connection is silent.
    async fn until_heard(&self) {
        let heard = |mode: &Mode| match mode.silence {
            Silence::None => true,
            Silence::Slots(below) => self.is_control.load(Ordering::Relaxed) || self.number >= below,
            Silence::All => false,
        };
        // Fails only when the proxy is gone, and this with it.
        let _ = self.mode.subscribe().wait_for(heard).await;
    }

    /// Waits until this connection is broken off.
    async fn until_broken(&self) {
        let broken = |mode: &Mode| !self.is_control.load(Ordering::Relaxed) && self.number < mode.broken;
        // As above.
        let _ = self.mode.subscribe().wait_for(broken).await;
    }

    /// What makes a slow peer slow; no test waits for it.
    async fn pause(&self) {
        let delay = self.mode.borrow().delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }
}

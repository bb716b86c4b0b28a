//! What a service manager such as systemd is told while a host starts, serves and stops, by a thread of its own: whoever serves waits for no
//! manager. The words are those of `sd_notify(3)`; without a manager nothing is said.

use std::{
    env,
    ffi::OsString,
    fmt::Write,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use tokio::runtime::Handle;

use crate::admin::Admin;

/// How often the host is asked how it is, at the least.
const LOOK: Duration = Duration::from_secs(5);
/// How long one message may wait for a manager that takes none.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the manager, if there is one. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Service(Option<Sender<Word>>);

/// What has become of the host.
enum Word {
    Serves(Watched),
    Reloads,
    Reloaded,
    Stops { within: Duration },
}

/// A host that serves.
struct Watched {
    look: Arc<dyn Fn() -> Looks + Send + Sync>,
    /// Where it is looked at, so that this one is looked at as well.
    runtime: Handle,
}

/// How a host looks.
struct Looks {
    is_live: bool,
    connections: (u32, u32),
}

impl Service {
    /// Begins to tell the manager that started this process, if one did and wants to hear of it.
    ///
    /// # Errors
    /// What it set in the environment makes no sense, or the system gives no socket or thread.
    pub(super) fn start() -> anyhow::Result<Self> {
        match Manager::of(|name| env::var_os(name))? {
            Some(manager) => Self::of(manager),
            None => Ok(Self::default()),
        }
    }

    fn of(manager: Manager) -> anyhow::Result<Self> {
        let (sender, words) = mpsc::channel();
        let thread = thread::Builder::new().name("wharf-service".to_owned());
        thread.spawn(move || manager.tell(&words)).context("cannot start a thread")?;
        Ok(Self(Some(sender)))
    }

    /// The host serves from now on; what it says of itself is passed on, and while it is live the manager's watchdog is content. To be called in
    /// the runtime that steals work.
    pub(super) fn serves(&self, admin: &Arc<Admin>) {
        let admin = Arc::clone(admin);
        let look = move || Looks { is_live: admin.is_live(Instant::now()), connections: admin.connections() };
        self.say(|| Word::Serves(Watched { look: Arc::new(look), runtime: Handle::current() }));
    }

    /// The host reads its configuration again.
    pub(super) fn reloads(&self) {
        self.say(|| Word::Reloads);
    }

    /// It has done so, whatever came of it.
    pub(super) fn reloaded(&self) {
        self.say(|| Word::Reloaded);
    }

    /// The host stops, and the process ends within this time.
    pub(super) fn stops(&self, within: Duration) {
        self.say(|| Word::Stops { within });
    }

    fn say(&self, word: impl FnOnce() -> Word) {
        if let Some(sender) = &self.0 {
            // The thread goes on for as long as somebody may say something.
            let _ = sender.send(word());
        }
    }
}

/// The manager, as it introduces itself in the environment.
#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// It takes the process for dead when it hears nothing for so long.
    watchdog: Option<Duration>,
}

impl Manager {
    fn of(variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Option<Self>> {
        let Some(place) = variable("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else { return Ok(None) };
        let address = match place.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(&place),
            _ => return Err(anyhow!("NOTIFY_SOCKET is neither a path nor an abstract name: {place:?}")),
        };
        let address = address.with_context(|| format!("NOTIFY_SOCKET: {place:?}"))?;
        let socket = UnixDatagram::unbound().and_then(|socket| socket.set_write_timeout(Some(PATIENCE)).map(|()| socket));
        let number = |name: &str| -> anyhow::Result<Option<u64>> {
            let Some(text) = variable(name) else { return Ok(None) };
            let number = text.to_str().and_then(|text| text.parse().ok());
            number.map(Some).with_context(|| format!("{name} is not a number: {text:?}"))
        };
        // A watchdog of another process of the same service is none of ours.
        let is_ours = number("WATCHDOG_PID")?.is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC")?.filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Ok(Some(Self { socket: socket.context("cannot make a socket")?, address, watchdog }))
    }

    /// Tells what it hears until nobody can say anything any more.
    fn tell(&self, words: &Receiver<Word>) {
        // Three times within what the watchdog bears, so that one that is late does not matter.
        let pause = self.watchdog.map_or(LOOK, |watchdog| LOOK.min(watchdog / 3));
        let mut watched: Option<Watched> = None;
        let mut asked: Option<Receiver<Looks>> = None;
        let mut shown = String::new();
        self.send("STATUS=starting");
        loop {
            match words.recv_timeout(pause) {
                Ok(Word::Serves(host)) => {
                    watched = Some(host);
                    self.send("READY=1");
                }
                Ok(Word::Reloads) => self.send("RELOADING=1"),
                Ok(Word::Reloaded) => self.send("READY=1"),
                Ok(Word::Stops { within }) => {
                    // However short the manager's own time limit is.
                    self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", within.as_micros()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let Some(host) = &watched else { continue };
            // One that does not answer is not asked again and again.
            let answer = asked.take().unwrap_or_else(|| host.ask());
            match answer.recv_timeout(pause) {
                Ok(looks) => self.show(&looks, &mut shown),
                Err(RecvTimeoutError::Timeout) => asked = Some(answer),
                // The runtime is gone, and the process ends.
                Err(RecvTimeoutError::Disconnected) => watched = None,
            }
        }
    }

    fn show(&self, Looks { is_live, connections: (used, max) }: &Looks, shown: &mut String) {
        let mut message = String::new();
        let status = format!("STATUS=active: {used}/{max}");
        if *is_live && self.watchdog.is_some() {
            message.push_str("WATCHDOG=1\n");
        }
        if *shown != status {
            // Writing to a String cannot fail.
            let _ = writeln!(message, "{status}");
            *shown = status;
        }
        if !message.is_empty() {
            self.send(message.trim_end());
        }
    }

    fn send(&self, message: &str) {
        // A datagram is sent as a whole or not at all.
        if let Err(error) = self.socket.send_to_addr(message.as_bytes(), &self.address) {
            tracing::warn!(%error, said = message, "the service manager cannot be told");
        }
    }
}

impl Watched {
    /// Has the host looked at in its runtime.
    fn ask(&self) -> Receiver<Looks> {
        let (tell, told) = mpsc::sync_channel(1);
        let look = Arc::clone(&self.look);
        drop(self.runtime.spawn(async move {
            let _unwanted = tell.send(look());
        }));
        told
    }
}

#[cfg(test)]
mod tests {
    use std::{
        slice,
        sync::{
            Barrier,
            atomic::{AtomicBool, Ordering},
        },
    };

    use tempfile::TempDir;
    use tokio::runtime::{Builder, Runtime};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::shards::Shards;

    const LIMIT: Duration = Duration::from_secs(60);
    /// So short that a test need not wait for it.
    const WATCHDOG: Duration = Duration::from_millis(30);

    /// What a manager hears.
    struct Ear {
        socket: UnixDatagram,
        path: OsString,
        _folder: TempDir,
    }

    impl Ear {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            Self { socket, path: path.into(), _folder: folder }
        }

        /// Has it told by a service, as if it had started the process.
        fn told(&self, watchdog: Option<Duration>) -> Service {
            let manager = Manager::of(|name| match name {
                "NOTIFY_SOCKET" => Some(self.path.clone()),
                "WATCHDOG_USEC" => watchdog.map(|watchdog| watchdog.as_micros().to_string().into()),
                _ => None,
            });
            Service::of(manager.unwrap().unwrap()).unwrap()
        }

        fn next(&self) -> String {
            let mut message = [0; 1024];
            let length = self.socket.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap()
        }

        /// Listens until a message has this in it; how many came before.
        fn until(&self, part: &str) -> usize {
            (0..).find(|_| self.next().contains(part)).unwrap()
        }

        /// All that has come and was not heard yet.
        fn rest(&self) -> Vec<String> {
            self.socket.set_nonblocking(true).unwrap();
            let mut message = [0; 1024];
            let heard = std::iter::from_fn(|| self.socket.recv(&mut message).ok().map(|length| message[..length].to_vec()));
            let heard = heard.map(|message| String::from_utf8(message).unwrap()).collect();
            self.socket.set_nonblocking(false).unwrap();
            heard
        }
    }

    fn stealing() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    fn serves(service: &Service, runtime: &Runtime, look: impl Fn() -> Looks + Send + Sync + 'static) {
        service.say(|| Word::Serves(Watched { look: Arc::new(look), runtime: runtime.handle().clone() }));
    }

    #[test]
    fn a_manager_hears_of_start_state_and_stop() {
        let (ear, runtime) = (Ear::new(), stealing());
        let service = ear.told(None);
        assert_eq!(ear.next(), "STATUS=starting");
        serves(&service, &runtime, || Looks { is_live: true, connections: (7, 50) });
        assert_eq!(ear.next(), "READY=1");
        assert_eq!(ear.next(), "STATUS=active: 7/50");
        service.reloads();
        assert_eq!(ear.next(), "RELOADING=1");
        service.reloaded();
        assert_eq!(ear.next(), "READY=1");
        service.stops(Duration::from_millis(31_500));
        assert_eq!(ear.next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=31500000");
    }

    #[test]
    fn the_watchdog_starves_while_a_shard_is_held_up() {
        let (ear, runtime) = (Ear::new(), stealing());
        let (shards, threads) = Shards::start(2).unwrap();
        let (stuck, busy) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let theirs = (Arc::clone(&stuck), Arc::clone(&busy));
        let tasks = TaskTracker::new();
        shards.spawn(Some(1), &tasks, async move {
            theirs.1.wait();
            theirs.0.wait();
        });
        busy.wait();
        // Seen from then, a shard that beats after now is not overdue by this much, and one that does not is.
        let much_later = Instant::now() + LIMIT * 2;
        let (looked, looks) = mpsc::channel();
        let service = ear.told(Some(WATCHDOG));
        serves(&service, &runtime, move || {
            let is_live = shards.overdue(much_later) < LIMIT * 2 - Duration::from_secs(1);
            let _ = looked.send(is_live);
            Looks { is_live, connections: (0, 1) }
        });
        ear.until("READY=1");
        for _ in 0..5 {
            assert!(!looks.recv_timeout(LIMIT).unwrap());
        }
        assert_eq!(ear.rest().iter().filter(|message| message.contains("WATCHDOG")).count(), 0);
        stuck.wait();
        ear.until("WATCHDOG=1");
        threads.stop(LIMIT);
    }

    #[test]
    fn the_watchdog_starves_when_the_runtime_answers_nobody() {
        let ear = Ear::new();
        // Nobody drives it.
        let runtime = Builder::new_current_thread().build().unwrap();
        let asked = Arc::new(AtomicBool::new(false));
        let service = ear.told(Some(WATCHDOG));
        let answered = Arc::clone(&asked);
        serves(&service, &runtime, move || {
            answered.store(true, Ordering::Relaxed);
            Looks { is_live: true, connections: (0, 1) }
        });
        ear.until("READY=1");
        // Longer than it would have been in coming.
        ear.socket.set_read_timeout(Some(WATCHDOG * 3)).unwrap();
        assert!(ear.socket.recv(&mut [0; 64]).is_err(), "something was said");
        assert!(!asked.load(Ordering::Relaxed));
        // A stop is told all the same.
        ear.socket.set_read_timeout(Some(LIMIT)).unwrap();
        service.stops(Duration::ZERO);
        assert_eq!(ear.next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=0");
    }

    #[test]
    fn who_has_no_manager_says_nothing() {
        assert!(Manager::of(|_| None).unwrap().is_none());
        assert!(Manager::of(|_| Some(OsString::new())).unwrap().is_none());
        Service::default().stops(Duration::ZERO);
    }

    #[test]
    fn what_a_manager_says_is_read_as_systemd_means_it() {
        let of = |socket: &str, rest: &[(&str, String)]| {
            Manager::of(|name| match name {
                "NOTIFY_SOCKET" => Some(socket.into()),
                _ => rest.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
            })
        };
        let watchdog = |rest: &[(&str, String)]| of("/run/notify", rest).unwrap().unwrap().watchdog;
        let micros = ("WATCHDOG_USEC", "30000000".to_owned());
        assert_eq!(watchdog(&[]), None);
        assert_eq!(watchdog(slice::from_ref(&micros)), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(&[micros.clone(), ("WATCHDOG_PID", process::id().to_string())]), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(&[micros, ("WATCHDOG_PID", "1".to_owned())]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "0".to_owned())]), None);
        let manager = of("@wharf", &[]).unwrap().unwrap();
        assert_eq!(manager.address.as_abstract_name(), Some(&b"wharf"[..]));
        for (socket, rest, said) in [
            ("vsock:2:1", Vec::new(), "NOTIFY_SOCKET is neither a path nor an abstract name: \"vsock:2:1\""),
            ("/run/notify", vec![("WATCHDOG_USEC", "soon".to_owned())], "WATCHDOG_USEC is not a number: \"soon\""),
        ] {
            assert_eq!(of(socket, &rest).unwrap_err().to_string(), said);
        }
    }
}

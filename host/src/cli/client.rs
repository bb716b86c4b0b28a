//! Asks a running host, through its socket or over its address.

use std::{
    env, fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Method, Request, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Asked, Failure, table::lines};
use crate::config;

/// Until a host has answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;
/// Where the token stands if not in a file.
const TOKEN: &str = "WHARF_ADMIN_TOKEN";
/// Its port, where the address has none.
const PORT: u16 = 80;

/// One host.
#[derive(Debug)]
pub(super) struct Client {
    place: Place,
    authorization: Option<HeaderValue>,
}

/// Where a host is asked.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    Socket(PathBuf),
    /// An address or a name, with a port.
    Address(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Address(address) => write!(f, "http://{address}"),
        }
    }
}

/// What is read of a problem document.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    reasons: Vec<String>,
}

impl Client {
    /// The host that is meant: the one that is named, else that of the configuration.
    ///
    /// # Errors
    /// [`Failure::Usage`] and [`Failure::Input`] when none is, or no token can be read.
    pub(super) fn find(asked: &Asked) -> Result<Self, Failure> {
        let place = match asked.host.as_deref().filter(|host| !host.is_empty()) {
            Some(host) => named(host).map_err(Failure::Usage)?,
            None => configured(&asked.config)?,
        };
        let token = match &asked.token_file {
            Some(file) => {
                let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()));
                Some(text.map_err(Failure::Usage)?)
            }
            None => env::var(TOKEN).ok(),
        };
        // Editors and `echo` end a file with a line break that is no part of it.
        let token = token.as_deref().map(str::trim).filter(|token| !token.is_empty());
        let authorization = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose();
        let mut authorization =
            authorization.map_err(|_| Failure::Usage(anyhow!("the token has characters that no header carries")))?;
        if let Some(authorization) = &mut authorization {
            authorization.set_sensitive(true);
        }
        Ok(Self { place, authorization })
    }

    /// The document that answers.
    ///
    /// # Bounds
    /// Ten seconds, 64 MiB.
    /// # Errors
    /// When no host answers there, or it refuses; the message says what to do.
    pub(super) async fn ask(&self, method: Method, path: &str) -> anyhow::Result<Bytes> {
        self.ask_within(PATIENCE, method, path).await
    }

    /// The document that answers, of what takes longer.
    ///
    /// # Bounds
    /// As long as it is waited for, 64 MiB.
    /// # Errors
    /// As of [`Client::ask`].
    pub(super) async fn ask_within(&self, patience: Duration, method: Method, path: &str) -> anyhow::Result<Bytes> {
        let asking = async {
            match &self.place {
                Place::Socket(at) => {
                    let stream = UnixStream::connect(at).await.map_err(|error| self.unreachable(&error))?;
                    self.exchange(stream, "localhost", method, path).await
                }
                Place::Address(at) => {
                    let stream = TcpStream::connect(at).await.map_err(|error| self.unreachable(&error))?;
                    self.exchange(stream, at, method, path).await
                }
            }
        };
        let late = |_| Err(anyhow!("{} has not answered within {} s", self.place, patience.as_secs()));
        timeout(patience, asking).await.unwrap_or_else(late)
    }

    async fn exchange<S>(&self, stream: S, host: &str, method: Method, path: &str) -> anyhow::Result<Bytes>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let (Some(authorization), Place::Address(_)) = (&self.authorization, &self.place) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| self.turned_away(&error))?;
        // Moves the bytes for as long as somebody waits for them.
        let _moving = AbortOnDropHandle::new(tokio::spawn(connection.map(drop)));
        let response = sender.send_request(request).await.map_err(|error| self.turned_away(&error))?;
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, MAX_ANSWER).collect().await;
        let document = collected.map_err(|error| anyhow!("{} has broken off its answer: {error}", self.place))?.to_bytes();
        if parts.status == StatusCode::OK { Ok(document) } else { Err(self.refused(parts.status, path, &document)) }
    }

    fn unreachable(&self, error: &io::Error) -> anyhow::Error {
        match (&self.place, error.kind()) {
            (Place::Socket(path), io::ErrorKind::PermissionDenied) => {
                anyhow!("only user {} and root may ask the host at {}: run this as one of them", owner(path), self.place)
            }
            _ => anyhow!(
                "no host answers at {}: {error}; is it running? `--host`, WHARF_ADMIN or `--config` may name another",
                self.place
            ),
        }
    }

    /// Why a connection was closed without an answer: hosts do so to programs of other users.
    fn turned_away(&self, error: &hyper::Error) -> anyhow::Error {
        match &self.place {
            Place::Socket(path) if !is_mine(path) => {
                anyhow!("{} serves only its owner, user {}, and root: run this as one of them", self.place, owner(path))
            }
            _ => anyhow!("{} has closed the connection: {error}", self.place),
        }
    }

    fn refused(&self, status: StatusCode, path: &str, document: &[u8]) -> anyhow::Error {
        let place = &self.place;
        let problem: Option<Problem> = serde_json::from_slice(document).ok();
        match (status, problem) {
            (StatusCode::UNAUTHORIZED, _) if self.authorization.is_some() => anyhow!("{place} does not take this token"),
            (StatusCode::UNAUTHORIZED, _) => anyhow!(
                "{place} wants its token: give it by {TOKEN} or `--token-file`, or ask through its socket (`--host unix:PATH`)"
            ),
            (StatusCode::MISDIRECTED_REQUEST, _) => {
                anyhow!("the host does not go by the name in {place}: use its address, or add the name to its `admin.hosts`")
            }
            (_, Some(Problem { code, .. })) if code == "no-route" => {
                anyhow!("{place} does not know {path}: it is no admin listener, or that of an older wharf")
            }
            (_, Some(Problem { detail, reasons, .. })) => {
                let reasons: String = reasons.iter().map(|reason| format!("\n  {reason}")).collect();
                // Reasons have names that components were built with.
                anyhow!("{place} refuses: {}", lines(&format!("{}{reasons}", detail.trim_end_matches('.'))))
            }
            (_, None) => anyhow!("{place} answers {status}, which no admin listener does"),
        }
    }
}

/// A host by its place on the command line.
fn named(text: &str) -> anyhow::Result<Place> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Place::Socket(path.into()));
    }
    let authority = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let authority: Option<Authority> = authority.and_then(|authority| authority.parse().ok());
    match authority.filter(|authority| !authority.as_str().contains('@')) {
        Some(authority) if authority.port().is_some() => Ok(Place::Address(authority.to_string())),
        Some(authority) => Ok(Place::Address(format!("{authority}:{PORT}"))),
        None => Err(anyhow!("`{text}` is no place of a host: write `unix:PATH`, or `http://ADDRESS:PORT`")),
    }
}

/// The host of a configuration, whatever else is wrong with that.
fn configured(path: &Path) -> Result<Place, Failure> {
    let file = if path.is_dir() { path.join(config::FILE_NAME) } else { path.to_owned() };
    if !file.exists() {
        let nowhere = anyhow!(
            "no host is named, and there is no `{}`: give `--host` or WHARF_ADMIN, or the configuration by `--config`",
            file.display()
        );
        return Err(Failure::Usage(nowhere));
    }
    let (config, _) = config::read(path, &config::process_environment)?;
    if let Some(socket) = config.admin.socket {
        return Ok(Place::Socket(socket));
    }
    let address = config.server.admin.filter(|address| address.port() != 0);
    let Some(mut address) = address else {
        let nowhere = anyhow!("`{}` names neither a socket nor a port to ask the host at: give `--host`", file.display());
        return Err(Failure::Usage(nowhere));
    };
    if address.ip().is_unspecified() {
        // Every address is meant, so that of the machine itself as well.
        let here: std::net::IpAddr =
            if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(here);
    }
    Ok(Place::Address(address.to_string()))
}

/// The number of the user whose the socket is or, where that cannot be seen, the folder that hides it.
fn owner(path: &Path) -> String {
    let seen = path.ancestors().find_map(|path| fs::symlink_metadata(path).ok());
    seen.map_or_else(|| "unknown".to_owned(), |seen| seen.uid().to_string())
}

/// Whether a socket serves who runs this: its owner and root.
fn is_mine(path: &Path) -> bool {
    let me = fs::metadata("/proc/self").map(|me| me.uid());
    let owner = fs::symlink_metadata(path).map(|socket| socket.uid());
    matches!((me, owner), (Ok(me), Ok(owner)) if me == 0 || me == owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_by_its_socket_or_its_address() {
        let address = |text: &str| Some(Place::Address(text.to_owned()));
        for (text, expected) in [
            ("unix:/run/wharf.sock", Some(Place::Socket("/run/wharf.sock".into()))),
            ("unix:.wharf/run/admin.sock", Some(Place::Socket(".wharf/run/admin.sock".into()))),
            ("http://127.0.0.1:3001", address("127.0.0.1:3001")),
            ("http://[::1]:3001/", address("[::1]:3001")),
            ("http://wharf.internal", address("wharf.internal:80")),
            ("unix:", None),
            ("http://", None),
            ("http://user@host:1", None),
            ("http://host:1/calls", None),
            ("https://host:1", None),
            ("127.0.0.1:3001", None),
        ] {
            assert_eq!(named(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_host_of_a_configuration_is_at_its_socket_or_else_at_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let place = |toml: &str| {
            fs::write(folder.path().join(config::FILE_NAME), toml).unwrap();
            configured(folder.path())
        };
        let socket = Place::Socket(folder.path().join(".wharf/run/admin.sock"));
        // Whatever else is wrong.
        assert_eq!(place("[databases.main]\nurl = \"${NOBODY_SETS_THIS}\"").unwrap(), socket);
        let at = |address: &str| {
            place(&format!("[server]\nadmin = \"{address}\"\n[admin]\nsocket = \"off\"\ntoken = \"{}\"", "t".repeat(16)))
        };
        for (address, asked) in [("10.0.0.1:99", "10.0.0.1:99"), ("0.0.0.0:99", "127.0.0.1:99"), ("[::]:99", "[::1]:99")] {
            assert_eq!(at(address).unwrap(), Place::Address(asked.to_owned()), "{address}");
        }
        assert!(matches!(at("127.0.0.1:0"), Err(Failure::Usage(_))));
        assert!(matches!(at("off"), Err(Failure::Usage(_))));
        assert!(matches!(configured(&folder.path().join("elsewhere")), Err(Failure::Usage(_))));
    }

    #[test]
    fn what_a_host_refuses_is_told_with_what_to_do() {
        let place = Place::Address("localhost:1".to_owned());
        let problem = |code: &str, detail: &str| format!("{{\"code\":\"{code}\",\"detail\":\"{detail}\",\"status\":1}}");
        for (has_token, status, document, expected) in [
            (false, 401, String::new(), "wants its token"),
            (true, 401, String::new(), "does not take this token"),
            (false, 421, problem("misdirected", ""), "admin.hosts"),
            (false, 404, problem("no-route", "No route fits this path."), "does not know /calls"),
            (
                false,
                404,
                problem("not-found", "There is no database of this name."),
                "refuses: There is no database of this name",
            ),
            (
                false,
                409,
                "{\"code\":\"reload-refused\",\"detail\":\"It is refused.\",\"reasons\":[\"a\\u001b[2J\",\"b\"]}".to_owned(),
                "refuses: It is refused\n  a\u{fffd}[2J\n  b",
            ),
            (false, 200, "<html>".to_owned(), "which no admin listener does"),
        ] {
            let authorization = has_token.then(|| HeaderValue::from_static("Bearer token"));
            let client = Client { place: place.clone(), authorization };
            let told = client.refused(StatusCode::from_u16(status).unwrap(), "/calls", document.as_bytes()).to_string();
            assert!(told.contains(expected) && told.contains("localhost:1"), "{told}");
        }
    }
}

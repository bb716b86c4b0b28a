//! Where spans are sent.

use http::{Uri, uri::Scheme};
use tokio_rustls::rustls::pki_types::ServerName;

/// The path, where the URL has none.
const PATH: &str = "/v1/traces";

/// Whoever takes spans by OTLP over HTTP, in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// As requests name it.
    pub(super) authority: String,
    pub(super) path: String,
    /// By which name it has to prove who it is, where TLS is spoken.
    pub(super) proves: Option<ServerName<'static>>,
}

impl Endpoint {
    /// Reads a URL; without a path, `/v1/traces` is meant.
    ///
    /// # Errors
    /// What is wrong with it, without the URL.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "is no URL")?;
        let is_secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err("does not begin with `http://` or `https://`"),
        };
        let authority = uri.authority().ok_or("is no URL")?;
        if authority.as_str().contains('@') {
            return Err("holds a credential, which belongs in `headers_file`");
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (port, has_port) = (authority.port_u16(), authority.as_str() != authority.host());
        if host.is_empty() || (has_port && port.is_none_or(|port| port == 0)) {
            return Err("names no host, or no port that there is");
        }
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => PATH,
            path => path,
        };
        let proves = is_secure.then(|| ServerName::try_from(host.clone())).transpose();
        Ok(Self {
            host,
            port: port.unwrap_or(if is_secure { 443 } else { 80 }),
            authority: authority.to_string(),
            path: path.to_owned(),
            proves: proves.map_err(|_| "names a host that no certificate is for")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, host, port, authority, path, is_secure) in [
            ("http://localhost:4318", "localhost", 4318, "localhost:4318", "/v1/traces", false),
            ("http://localhost:4318/", "localhost", 4318, "localhost:4318", "/v1/traces", false),
            ("https://otlp.example.org", "otlp.example.org", 443, "otlp.example.org", "/v1/traces", true),
            ("http://[::1]:4318/otlp?a=b", "::1", 4318, "[::1]:4318", "/otlp?a=b", false),
            ("https://[::1]/v1/traces", "::1", 443, "[::1]", "/v1/traces", true),
            ("HTTPS://10.0.0.7:1/x", "10.0.0.7", 1, "10.0.0.7:1", "/x", true),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.authority.as_str()), (host, port, authority), "{url}");
            assert_eq!((endpoint.path.as_str(), endpoint.proves.is_some()), (path, is_secure), "{url}");
        }
    }

    #[test]
    fn what_nobody_can_be_asked_at_is_refused() {
        for url in [
            "",
            "/v1/traces",
            "localhost:4318",
            "grpc://localhost:4317",
            "http://",
            "http://:4318",
            "http://localhost:",
            "http://localhost:0",
            "http://localhost:65536",
            "http://a b",
            "http://user@localhost",
            "https://user:hunter2@localhost",
            "https://a_b..c",
        ] {
            let wrong = Endpoint::parse(url).expect_err(url);
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }
}

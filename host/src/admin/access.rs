//! Who may ask: by the name that is asked, the page that asks, and the token.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use http::{HeaderMap, HeaderName, Method, header, request, uri::Authority};
use sha2::{Digest, Sha256};

use super::{Refusal, Way};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Who may ask what.
pub struct Settings {
    /// Whether only programs of this machine reach the listener's address.
    pub is_loopback: bool,
    /// What changes something takes it, and what looks does off loopback or without `open_views`.
    pub token: Option<Token>,
    /// By which names the host may be asked besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Whether looking takes no token on loopback.
    pub open_views: bool,
    /// How many may watch at once.
    pub max_viewers: usize,
}

/// What asking for something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Neither token nor socket, ever, and it may be linked to: there is no data in it.
    Page,
    /// Neither token nor socket, ever.
    Nothing,
    /// One of them where others may reach the host, or its views are not open.
    Look,
    /// One of them.
    Change,
}

/// A token, kept so that comparing with it tells nothing by the time it takes: digests under a key that nobody knows are compared.
#[derive(PartialEq, Eq)]
pub struct Token {
    digest: [u8; 32],
}

impl Token {
    /// Keeps it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { digest: digest(text.as_bytes()) }
    }

    fn is(&self, text: &[u8]) -> bool {
        digest(text) == self.digest
    }
}

fn digest(text: &[u8]) -> [u8; 32] {
    // One for all tokens of the process, so that one can be told from the next.
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(rand::random);
    Sha256::new().chain_update(*KEY).chain_update(text).finalize().into()
}

/// Decides.
pub(super) struct Access(Settings);

impl Access {
    pub(super) fn new(settings: Settings) -> Self {
        Self(settings)
    }

    /// Whether a request may ask for what has such a need.
    ///
    /// The first two rules keep out pages in a browser that reaches the host, be it by a name that a page's owner has led here: addresses
    /// cannot be led anywhere, and browsers say which page asks.
    pub(super) fn check(&self, request: &request::Parts, way: Way, need: Need) -> Result<(), Refusal> {
        let authority = authority(request).filter(|authority| self.is_ours(authority)).ok_or(Refusal::Misdirected)?;
        let is_followed = need == Need::Page && is_followed_link(request);
        if !is_followed && !is_same_site(&request.headers, authority) {
            return Err(Refusal::CrossSite);
        }
        let is_open = match need {
            Need::Page | Need::Nothing => true,
            Need::Look => self.is_open(),
            Need::Change => false,
        };
        if is_open || way == Way::Socket {
            return Ok(());
        }
        let given = bearer(&request.headers).ok_or(Refusal::NoToken)?;
        let is_right = self.0.token.as_ref().is_some_and(|token| token.is(given));
        if is_right { Ok(()) } else { Err(Refusal::WrongToken) }
    }

    /// Whether whoever looked by `before` may go on.
    pub(super) fn lets_look_on(&self, before: &Self) -> bool {
        self.is_open() || (!before.is_open() && self.0.token == before.0.token)
    }

    /// Whether looking takes no token.
    fn is_open(&self) -> bool {
        self.0.is_loopback && self.0.open_views
    }

    /// An address, `localhost`, or one of the names that were configured, with or without a port.
    fn is_ours(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(host) => host.parse::<Ipv6Addr>().is_ok(),
            None => {
                let is_name = |name: &str| host.eq_ignore_ascii_case(name);
                host.parse::<Ipv4Addr>().is_ok() || is_name("localhost") || self.0.hosts.iter().any(|name| is_name(name))
            }
        }
    }
}

/// What the request calls the host; `None` when it says nothing, or two things.
fn authority(request: &request::Parts) -> Option<&str> {
    let mut headers = request.headers.get_all(header::HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (None, _) => None,
        (Some(header), None) => Some(header.to_str().ok()?),
        (Some(_), Some(_)) => return None,
    };
    match (request.uri.authority(), header) {
        (Some(target), Some(header)) if !header.eq_ignore_ascii_case(target.as_str()) => None,
        (Some(target), _) => Some(target.as_str()),
        (None, header) => header,
    }
}

/// Whether the page that asks, if one does, is one that this host has served, under the same name.
fn is_same_site(headers: &HeaderMap, authority: &str) -> bool {
    let is_own = |origin: &str| {
        let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(authority))
    };
    headers.get_all(header::ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own))
        && headers.get_all(SEC_FETCH_SITE).iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Whether somebody follows a link: the window is to show what is asked for, and the page that has the link is told nothing of it. Browsers give
/// no `Origin` then.
fn is_followed_link(request: &request::Parts) -> bool {
    let mut modes = request.headers.get_all(SEC_FETCH_MODE).iter();
    let is_navigation = modes.next().is_some_and(|mode| mode == "navigate") && modes.next().is_none();
    is_navigation && request.method == Method::GET && !request.headers.contains_key(header::ORIGIN)
}

/// The only token that is given.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn access(is_loopback: bool, open_views: bool, token: bool) -> Access {
        let hosts = vec!["wharf.internal".to_owned()];
        Access::new(Settings { is_loopback, token: token.then(|| Token::new(TOKEN)), hosts, open_views, max_viewers: 1 })
    }

    fn request(uri: &str, headers: &[(HeaderName, &str)]) -> request::Parts {
        let (mut parts, ()) = Request::builder().method(Method::GET).uri(uri).body(()).unwrap().into_parts();
        for (name, value) in headers {
            parts.headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        parts
    }

    /// The host asked by these names, and whether it is meant.
    const HOSTS: [(&str, bool); 22] = [
        ("127.0.0.1", true),
        ("127.0.0.1:3001", true),
        ("10.1.2.3:80", true),
        ("[::1]:3001", true),
        ("[fe80::1]", true),
        ("localhost", true),
        ("LocalHost:3001", true),
        ("wharf.internal:3001", true),
        ("WHARF.internal", true),
        ("", false),
        (":3001", false),
        ("evil.example", false),
        ("evil.example:3001", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example:3001", false),
        ("127.0.0.1@evil.example", false),
        ("evil.example@127.0.0.1", false),
        ("2130706433", false),
        ("0x7f.0.0.1", false),
        ("127.1", false),
        ("[::1", false),
        ("[localhost]", false),
    ];

    /// What a browser says of the page that asks, and what for, of a host that is called `HOST`, and whether it is one of
    /// the host's own.
    const PAGES: [([Option<&str>; 3], bool); 22] = [
        ([None, None, None], true),
        ([Some("http://HOST"), None, None], true),
        ([Some("https://HOST"), Some("same-origin"), None], true),
        ([None, Some("same-origin"), None], true),
        ([None, Some("none"), None], true),
        ([Some("null"), None, None], false),
        ([Some(""), None, None], false),
        ([Some("HOST"), None, None], false),
        ([Some("ftp://HOST"), None, None], false),
        ([Some("http://HOST.evil.example"), None, None], false),
        ([Some("http://evil.example"), None, None], false),
        ([Some("http://HOST/"), None, None], false),
        ([Some("http://HOST"), Some("same-site"), None], false),
        ([Some("http://HOST"), Some("cross-site"), None], false),
        ([None, Some("cross-site"), None], false),
        ([None, Some(""), None], false),
        ([None, Some("none"), Some("navigate")], true),
        ([None, Some("cross-site"), Some("navigate")], false),
        ([None, Some("same-site"), Some("navigate")], false),
        ([None, Some("cross-site"), Some("no-cors")], false),
        ([None, Some("cross-site"), Some("cors")], false),
        ([Some("http://evil.example"), Some("cross-site"), Some("navigate")], false),
    ];

    /// What stands in `Authorization`, and whether it is the token.
    const TOKENS: [(&[&str], bool); 9] = [
        (&[], false),
        (&["Bearer 0123456789abcdef"], true),
        (&["bearer 0123456789abcdef"], true),
        (&["Bearer 0123456789abcdeF"], false),
        (&["Bearer 0123456789abcde"], false),
        (&["Bearer "], false),
        (&["Bearer"], false),
        (&["Basic 0123456789abcdef"], false),
        (&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"], false),
    ];

    /// Every host, page, token, way, need and setting with every other.
    #[test]
    fn who_may_ask_what() {
        let mut tried = 0;
        for (is_loopback, open_views, has_token) in
            [0, 1, 2, 3, 4, 5, 6, 7].map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0))
        {
            let access = access(is_loopback, open_views, has_token);
            let pages = HOSTS.into_iter().flat_map(|host| PAGES.map(|page| (host, page)));
            for ((host, is_ours), ([origin, site, mode], is_own)) in pages {
                for (authorization, is_token) in TOKENS {
                    let mut headers = vec![(header::HOST, host.to_owned())];
                    headers.extend(origin.map(|origin| (header::ORIGIN, origin.replace("HOST", host))));
                    headers.extend(site.map(|site| (SEC_FETCH_SITE, site.to_owned())));
                    headers.extend(mode.map(|mode| (SEC_FETCH_MODE, mode.to_owned())));
                    headers.extend(authorization.iter().map(|text| (header::AUTHORIZATION, (*text).to_owned())));
                    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
                    let request = request("/health/live", &headers);
                    for (way, need) in [Way::Network, Way::Socket]
                        .into_iter()
                        .flat_map(|way| [Need::Page, Need::Nothing, Need::Look, Need::Change].map(|need| (way, need)))
                    {
                        let is_free = match (way, need) {
                            (Way::Socket, _) | (_, Need::Page | Need::Nothing) => true,
                            (_, Need::Look) => is_loopback && open_views,
                            (_, Need::Change) => false,
                        };
                        let is_own = is_own || (need == Need::Page && mode == Some("navigate") && origin.is_none());
                        let answer = access.check(&request, way, need);
                        let fits = match answer {
                            Ok(()) => is_ours && is_own && (is_free || (is_token && has_token)),
                            Err(Refusal::Misdirected) => !is_ours,
                            Err(Refusal::CrossSite) => is_ours && !is_own,
                            Err(Refusal::NoToken | Refusal::WrongToken) => {
                                is_ours && is_own && !is_free && !(is_token && has_token)
                            }
                            Err(_) => false,
                        };
                        assert!(fits, "{host:?} {origin:?} {site:?} {mode:?} {authorization:?} {way:?} {need:?}: {answer:?}");
                        tried += 1;
                    }
                }
            }
        }
        assert_eq!(tried, 8 * HOSTS.len() * PAGES.len() * TOKENS.len() * 8);
    }

    #[test]
    fn a_link_from_another_site_is_followed_by_get_alone() {
        let access = access(false, false, false);
        for (method, mode, is_followed) in [
            (Method::GET, "navigate", true),
            (Method::HEAD, "navigate", false),
            (Method::POST, "navigate", false),
            (Method::GET, "Navigate", false),
        ] {
            let headers = [(header::HOST, "localhost"), (SEC_FETCH_SITE, "cross-site"), (SEC_FETCH_MODE, mode)];
            let mut request = request("/", &headers);
            request.method = method;
            let answer = access.check(&request, Way::Network, Need::Page);
            assert_eq!(answer, if is_followed { Ok(()) } else { Err(Refusal::CrossSite) }, "{} {mode}", request.method);
        }
    }

    #[test]
    fn who_looks_goes_on_unless_it_takes_another_token_now() {
        let with = |open_views, text: &str| {
            let token = Some(Token::new(text));
            Access::new(Settings { is_loopback: true, token, hosts: Vec::new(), open_views, max_viewers: 1 })
        };
        for (before, after, goes_on) in [
            (with(true, "a"), with(true, "b"), true),
            (with(false, "a"), with(true, "b"), true),
            (with(false, "a"), with(false, "a"), true),
            (with(false, "a"), with(false, "b"), false),
            (with(true, "a"), with(false, "a"), false),
            (access(true, false, true), access(true, false, false), false),
        ] {
            assert_eq!(after.lets_look_on(&before), goes_on);
        }
    }

    #[test]
    fn who_is_asked_is_said_once() {
        let access = access(true, true, false);
        let table: [(&str, &[&str], bool); 7] = [
            ("/", &[], false),
            ("/", &["localhost", "localhost"], false),
            ("http://127.0.0.1:3001/", &[], true),
            ("http://127.0.0.1:3001/", &["127.0.0.1:3001"], true),
            ("http://127.0.0.1:3001/", &["localhost:3001"], false),
            ("http://evil.example/", &["127.0.0.1:3001"], false),
            ("http://127.0.0.1:3001/", &["evil.example"], false),
        ];
        for (uri, hosts, is_ours) in table {
            let headers: Vec<_> = hosts.iter().map(|host| (header::HOST, *host)).collect();
            let answer = access.check(&request(uri, &headers), Way::Network, Need::Nothing);
            assert_eq!(answer, if is_ours { Ok(()) } else { Err(Refusal::Misdirected) }, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn a_header_that_is_no_text_lets_nobody_in() {
        let access = access(true, true, false);
        for name in [header::HOST, header::ORIGIN, SEC_FETCH_SITE] {
            let mut request = request("/", &[(header::HOST, "localhost")]);
            request.headers.insert(name, HeaderValue::from_bytes(b"\xff").unwrap());
            assert!(access.check(&request, Way::Socket, Need::Nothing).is_err());
        }
    }
}

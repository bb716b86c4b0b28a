//! Who a request comes from: the peer, or whom a proxy that is believed names.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::Peer;

/// Which proxies are believed, and where they say who asked them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxies {
    /// The networks they are in. None is believed by default.
    pub trusted: Vec<IpNet>,
    /// The header to which each of them adds whom it was asked by. The other one is what a client wrote, and never looked at.
    pub header: ForwardedHeader,
}

/// Where proxies say who asked them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), of which `for` counts.
    Forwarded,
}

/// Who a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: Peer,
    /// The address of whoever asked first, as far as it is vouched for; none through a Unix socket.
    pub client: Option<IpAddr>,
    /// Whether the peer is a proxy that is believed, so that what else it says of the client counts too.
    pub is_vouched: bool,
}

impl Origin {
    /// Of what comes from the peer itself.
    pub(super) fn direct(peer: Peer) -> Self {
        let client = match peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        };
        Self { peer, client, is_vouched: false }
    }

    pub(super) fn of(peer: Peer, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let direct = Self::direct(peer);
        match direct.client {
            Some(address) if proxies.trusts(address) => {
                let client = proxies.client(headers).unwrap_or(address);
                Self { peer, client: Some(client), is_vouched: true }
            }
            _ => direct,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.client {
            Some(address) => address.fmt(f),
            None => self.peer.fmt(f),
        }
    }
}

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Whom the chain of proxies names: seen from this end, the first that is no proxy of ours, or else the last that is one. What cannot
    /// be read ends the chain, since who wrote what is behind it is not known.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, read): (HeaderName, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), address),
            ForwardedHeader::Forwarded => (header::FORWARDED, forwarded_for),
        };
        // A comma in quotes parts as well: no proxy of ours writes one, and a quote that a client left open must hide nothing.
        let values = headers.get_all(name);
        let links = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        links.fold(None, |known: Option<IpAddr>, link| {
            let named = std::str::from_utf8(link).ok().and_then(read)?;
            known.filter(|_| self.trusts(named)).or(Some(named))
        })
    }
}

/// The one `for` of a link of `Forwarded`.
fn forwarded_for(link: &str) -> Option<IpAddr> {
    let mut pairs = link.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let node = node.trim();
    address(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse::<IpAddr>().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies(header: ForwardedHeader) -> Proxies {
        let trusted = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"].map(|network| network.parse::<IpNet>().unwrap()).to_vec();
        Proxies { trusted, header }
    }

    /// Who a request from `peer` with these lines of `name` comes from, and whether that is vouched for.
    fn seen(header: ForwardedHeader, peer: &str, name: &'static str, lines: &[&[u8]]) -> (String, bool) {
        let peer = Peer::Tcp(SocketAddr::new(peer.parse().unwrap(), 1));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        let origin = Origin::of(peer, &headers, &proxies(header));
        assert_eq!(origin.peer, peer);
        (origin.to_string(), origin.is_vouched)
    }

    #[test]
    fn x_forwarded_for_counts_from_its_end_and_only_from_trusted_proxies() {
        let table: [(&str, &[&[u8]], &str, bool); 22] = [
            // Who is no proxy is the client, whatever it says.
            ("198.51.100.1", &[], "198.51.100.1", false),
            ("198.51.100.1", &[b"203.0.113.9"], "198.51.100.1", false),
            ("192.0.2.8", &[b"203.0.113.9"], "192.0.2.8", false),
            // A proxy.
            ("10.1.2.3", &[], "10.1.2.3", true),
            ("10.1.2.3", &[b"203.0.113.9"], "203.0.113.9", true),
            ("192.0.2.7", &[b"203.0.113.9"], "203.0.113.9", true),
            ("::ffff:10.1.2.3", &[b"203.0.113.9"], "203.0.113.9", true),
            ("fd00::1", &[b"2001:db8::5"], "2001:db8::5", true),
            // What stands before is the client's own.
            ("10.1.2.3", &[b"1.1.1.1, 203.0.113.9"], "203.0.113.9", true),
            ("10.1.2.3", &[b"10.9.9.9, 203.0.113.9"], "203.0.113.9", true),
            ("10.1.2.3", &[b"1.1.1.1", b"203.0.113.9"], "203.0.113.9", true),
            // Several proxies.
            ("10.1.2.3", &[b"1.1.1.1, 203.0.113.9, 10.4.4.4,fd00::2"], "203.0.113.9", true),
            ("10.1.2.3", &[b"1.1.1.1, 203.0.113.9", b"10.4.4.4"], "203.0.113.9", true),
            ("10.1.2.3", &[b"10.5.5.5, 10.4.4.4"], "10.5.5.5", true),
            // With ports, in brackets, mapped.
            ("10.1.2.3", &[b"203.0.113.9:4711"], "203.0.113.9", true),
            ("10.1.2.3", &[b"[2001:db8::5]:4711"], "2001:db8::5", true),
            ("10.1.2.3", &[b"[2001:db8::5]"], "2001:db8::5", true),
            ("10.1.2.3", &[b"203.0.113.9, ::ffff:10.4.4.4"], "203.0.113.9", true),
            // What cannot be read ends the way.
            ("10.1.2.3", &[b"203.0.113.9, unknown"], "10.1.2.3", true),
            ("10.1.2.3", &[b"203.0.113.9, , 10.4.4.4"], "10.4.4.4", true),
            ("10.1.2.3", &[b"\xe4, \"203.0.113.1, 203.0.113.9"], "203.0.113.9", true),
            ("10.1.2.3", &[b""], "10.1.2.3", true),
        ];
        for (peer, lines, client, is_vouched) in table {
            let seen = seen(ForwardedHeader::XForwardedFor, peer, "x-forwarded-for", lines);
            assert_eq!(seen, (client.to_owned(), is_vouched), "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded_counts_where_it_is_what_the_proxies_write() {
        let table: [(&[&[u8]], &str); 11] = [
            (&[], "10.1.2.3"),
            (&[b"for=203.0.113.9"], "203.0.113.9"),
            (&[b"For=\"203.0.113.9:4711\";proto=https;by=10.1.2.3"], "203.0.113.9"),
            (&[b"proto=https; for = \"[2001:db8::5]:4711\""], "2001:db8::5"),
            (&[b"for=\"[2001:db8::5]\""], "2001:db8::5"),
            (&[b"for=1.1.1.1, for=203.0.113.9;secret=x, for=10.4.4.4"], "203.0.113.9"),
            (&[b"for=1.1.1.1", b"for=203.0.113.9"], "203.0.113.9"),
            // A quote that the client left open hides nothing.
            (&[b"for=\"1.1.1.1, for=203.0.113.9"], "203.0.113.9"),
            (&[b"for=203.0.113.9, for=_hidden"], "10.1.2.3"),
            (&[b"for=203.0.113.9, proto=https"], "10.1.2.3"),
            (&[b"for=203.0.113.9, for=unknown, for=10.4.4.4"], "10.4.4.4"),
        ];
        for (lines, client) in table {
            let seen = seen(ForwardedHeader::Forwarded, "10.1.2.3", "forwarded", lines);
            assert_eq!(seen, (client.to_owned(), true), "{lines:?}");
        }
    }

    #[test]
    fn the_header_that_the_proxies_do_not_write_is_not_looked_at() {
        let x_forwarded_for = seen(ForwardedHeader::XForwardedFor, "10.1.2.3", "forwarded", &[b"for=203.0.113.9"]);
        let forwarded = seen(ForwardedHeader::Forwarded, "10.1.2.3", "x-forwarded-for", &[b"203.0.113.9"]);
        for (client, _) in [x_forwarded_for, forwarded] {
            assert_eq!(client, "10.1.2.3");
        }
    }

    #[test]
    fn nobody_is_believed_by_default_and_through_a_unix_socket() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        let peer = Peer::Tcp(SocketAddr::from(([127, 0, 0, 1], 1)));
        let origin = Origin::of(peer, &headers, &Proxies::default());
        assert_eq!((origin.to_string().as_str(), origin.is_vouched), ("127.0.0.1", false));
        let origin = Origin::of(Peer::Unix, &headers, &proxies(ForwardedHeader::XForwardedFor));
        assert_eq!((origin.to_string().as_str(), origin.client, origin.is_vouched), ("unix", None, false));
    }
}

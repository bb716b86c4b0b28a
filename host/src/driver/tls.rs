//! Why there is no TLS session, in words that name no address.
//!
//! sqlx hides the errors of rustls in others, and rustls is no dependency here, so they are told apart by the names of their variants. A
//! name that changes makes a message vaguer and nothing else; the tests of every failure would see it.

use std::{error::Error, io};

/// The server wants a certificate of its client.
pub(super) const CLIENT_CERTIFICATE: &str =
    "the server demands a client certificate; name one that it trusts by `sslcert` and `sslkey`";

/// What is found in the error of rustls, and what it means; the first that is found counts.
const REASONS: [(&str, &str); 15] = [
    ("InvalidCertificate(UnknownIssuer", UNKNOWN_AUTHORITY),
    // An authority that only has the name of the right one.
    ("InvalidCertificate(BadSignature", UNKNOWN_AUTHORITY),
    (
        "InvalidCertificate(NotValidForName",
        "its certificate is not valid for the host that the URL names; use the name in the certificate, or `sslmode=verify-ca`",
    ),
    ("InvalidCertificate(Expired", "its certificate has expired; renew it at the server"),
    ("InvalidCertificate(NotValidYet", "its certificate is not valid yet; look at both clocks"),
    ("InvalidCertificate(Revoked", "its certificate was revoked; renew it at the server"),
    (
        "CaUsedAsEndEntity",
        "its certificate is that of an authority, which no server may show; have the authority sign one for the server",
    ),
    ("InvalidCertificate(", "its certificate cannot be used; renew it at the server"),
    ("AlertReceived(CertificateRequired", CLIENT_CERTIFICATE),
    ("AlertReceived(UnknownCA", CLIENT_REFUSED),
    ("AlertReceived(BadCertificate", CLIENT_REFUSED),
    ("AlertReceived(CertificateUnknown", CLIENT_REFUSED),
    ("AlertReceived(UnsupportedCertificate", CLIENT_REFUSED),
    ("AlertReceived(CertificateExpired", "the server says that the client certificate has expired; renew the file of `sslcert`"),
    ("InconsistentKeys", "`sslkey` is not the key of `sslcert`"),
];

const UNKNOWN_AUTHORITY: &str =
    "its certificate was not issued by an authority that is trusted here; name the right one by `sslrootcert`";
const CLIENT_REFUSED: &str = "the server does not trust the client certificate; see `sslcert`";

/// What TLS has against the server, or the server against us; `None` when the error is none of TLS.
pub(super) fn reason(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?;
    let told = format!("{inner:?}");
    let known = REASONS.iter().find(|(name, _)| told.contains(name)).map(|(_, reason)| *reason);
    let is_tls = error.kind() == io::ErrorKind::InvalidData || inner.to_string().starts_with("tls handshake");
    known.or(is_tls.then_some("server and host do not agree on a version, a cipher or a certificate"))
}

/// What sqlx refused before or after the handshake.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> &'static str {
    let told = format!("{error:?}");
    if told.contains("does not support TLS") {
        return "it offers none; switch it on at the server, or say `sslmode=prefer`";
    }
    if told.contains("InvalidDnsNameError") {
        return "the host that the URL names can be in no certificate";
    }
    let known = REASONS.iter().find(|(name, _)| told.contains(name)).map(|(_, reason)| *reason);
    known.unwrap_or("a certificate or key that the URL names cannot be read")
}

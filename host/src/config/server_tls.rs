//! Reads `server.tls`: the certificate that the host shows.

use std::{error::Error, time::Duration};

use super::{
    model::Tls,
    reader::Table,
    values::{HOUR, LEAST, PathText, reason},
};
use crate::server::{self, TlsError};

/// Reads it, and tries certificate and key; `None` when it is absent or was reported.
pub(super) fn read(server: &mut Table<'_>) -> Option<Tls> {
    let mut table = server.table("tls")?;
    let certificate = read_path(&mut table, "certificate");
    let key = read_path(&mut table, "key");
    let check_interval = table.duration("check_interval", Duration::from_secs(10), LEAST, HOUR).value;
    let context = table.context;
    table.finish();
    let (certificate, key) = (certificate?, key?);
    if let Err(error) = server::Tls::load(&certificate.value, &key.value) {
        let (of, hint) = match &error {
            TlsError::Unreadable(path, _) if *path == key.value => (&key, "the host's user must be able to read it"),
            TlsError::Unreadable(..) => (&certificate, "relative paths begin at the folder of wharf.toml"),
            TlsError::NoCertificate(_) => (&certificate, "the host's certificate comes first, those that vouch for it behind it"),
            TlsError::NoKey(_) => (&key, "store the key without a passphrase, readable by nobody else"),
            TlsError::Mismatch => (&key, "both files are renewed together"),
            TlsError::Expired | TlsError::NotValidYet => (&certificate, "renew it, or look at the clock"),
            TlsError::Unusable(_) => {
                (&certificate, "keys are RSA, ECDSA (P-256, P-384) or Ed25519, certificates X.509 of version 3")
            }
        };
        let why = match &error {
            TlsError::Unreadable(_, why) => format!(": {}", reason(why)),
            error => error.source().map(|why| format!(": {why}")).unwrap_or_default(),
        };
        context.error(of.at, format!("`server.tls` cannot be used: {error}{why}"), hint);
        return None;
    }
    Some(Tls { certificate: certificate.value, key: key.value, check_interval })
}

fn read_path(table: &mut Table<'_>, key: &'static str) -> Option<PathText> {
    if !table.has(key) {
        table.context.missing(table.at, format!("`server.tls` has no `{key}`"), format!("add `{key} = \"{key}.pem\"`"));
    }
    table.path(key)
}

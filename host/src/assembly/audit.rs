//! The audit log of a host: opened before its databases, asked for the lines of every call, and closed after them.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};
use tokio::{task::spawn_blocking, time::timeout};

use super::StartError;
use crate::{
    call::PROBE,
    config::{self, Config},
    plugin::Plugin,
    server::{Exchange, Origin},
    telemetry::audit::{self, Audit, Key, Settings, Trail},
};

/// Bytes of who asks, at most.
const MAX_WHO: usize = 128;
/// What stands in place of who asks where that cannot be told.
const INVALID: &str = "invalid";
/// How long its last lines may take.
pub(super) const CLOSE: Duration = Duration::from_secs(2);

/// What the log is asked through, where one is kept.
#[derive(Clone)]
pub(super) struct Auditor {
    audit: Arc<Audit>,
    who_header: Option<HeaderName>,
}

impl Auditor {
    /// Opens the log that the configuration names, if it does.
    ///
    /// # Errors
    /// [`StartError::Audit`].
    pub(super) async fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(described) = &config.audit else { return Ok(None) };
        let (settings, who_header) = (settings(described)?, described.who_header.clone());
        let opening = spawn_blocking(move || Audit::start(settings)).await;
        let audit = opening.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?;
        Ok(Some(Self { audit: Arc::new(audit), who_header }))
    }

    /// How the log is.
    pub(super) fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Whose the lines of a call are.
    pub(super) fn trail(&self, plugin: &Plugin, exchange: &Exchange, headers: &HeaderMap) -> Arc<Trail> {
        let who = self.who_header.as_ref().and_then(|name| who(exchange.origin(), headers, name));
        let (request, name) = (exchange.id().to_shared(), Arc::clone(plugin.name()));
        Arc::new(Trail::new(Arc::clone(&self.audit), request, name, plugin.digest(), who))
    }

    /// Whose the lines are of a plugin that is asked something before it is in force.
    pub(super) fn trail_of_probe(&self, plugin: &Plugin) -> Arc<Trail> {
        let name = Arc::clone(plugin.name());
        Arc::new(Trail::new(Arc::clone(&self.audit), PROBE.into(), name, plugin.digest(), None))
    }

    /// Says in the log that the host stops; whether all lines are written. Nothing asks for a line any more.
    ///
    /// # Bounds
    /// Two seconds.
    pub(super) async fn close(&self) -> bool {
        let why = match timeout(CLOSE, self.audit.close()).await {
            Ok(Ok(_head)) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "it could not be closed in time".to_owned(),
        };
        tracing::error!(target: "wharf::audit", why, "the audit log is not whole");
        false
    }
}

/// What the header says, if whoever wrote it is trusted.
fn who(origin: Origin, headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter().filter(|_| origin.is_vouched);
    let first = values.next()?;
    let text = first.to_str().ok().filter(|text| (1..=MAX_WHO).contains(&text.len()) && values.next().is_none());
    Some(text.unwrap_or(INVALID).to_owned())
}

fn settings(described: &config::Audit) -> Result<Settings, audit::StartError> {
    let config::Audit {
        file,
        key,
        durability,
        sync_interval,
        when_unavailable,
        max_file_size,
        max_files,
        statement_bytes,
        head_interval,
        who_header: _,
    } = described.clone();
    let mut settings = Settings::new(file, Key::new(key.expose()).map_err(std::io::Error::other)?);
    settings.durability = durability;
    settings.sync_interval = sync_interval;
    settings.when_unavailable = when_unavailable;
    settings.max_file_size = max_file_size as u64;
    settings.max_files = max_files;
    settings.statement_bytes = statement_bytes;
    settings.head_interval = head_interval;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::server::Peer;

    #[test]
    fn who_asks_is_what_a_trusted_proxy_says_once_and_briefly() {
        let name = HeaderName::from_static("x-forwarded-user");
        let longest = "x".repeat(MAX_WHO);
        let too_long = "x".repeat(MAX_WHO + 1);
        let table: [(&[&[u8]], Option<&str>); 7] = [
            (&[], None),
            (&[b"dr.who"], Some("dr.who")),
            (&[longest.as_bytes()], Some(&longest)),
            (&[too_long.as_bytes()], Some(INVALID)),
            (&[b""], Some(INVALID)),
            (&[b"dr\xffwho"], Some(INVALID)),
            (&[b"dr.who", b"root"], Some(INVALID)),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&name, HeaderValue::from_bytes(value).unwrap());
            }
            let origin = |is_vouched| Origin { peer: Peer::Unix, client: None, is_vouched };
            assert_eq!(who(origin(true), &headers, &name).as_deref(), expected, "{headers:?}");
            assert_eq!(who(origin(false), &headers, &name), None, "{headers:?}");
        }
    }
}

//! TLS of clients to the host, and who the access log says they are.

use std::{path::Path, time::Duration};

use support::{
    host::{Host, Setup},
    wait::until,
};
use tokio::process::Command;

use super::certificates::{Authority, Certified};

const PATIENCE: Duration = Duration::from_secs(30);

fn write(folder: &Path, shown: &Certified) {
    std::fs::write(folder.join("certificate.pem"), &shown.certificate).unwrap();
    std::fs::write(folder.join("key.pem"), &shown.key).unwrap();
}

/// A host that shows what an authority signed, looks often for something new, and believes whoever is on this machine.
pub(crate) async fn start(authority: &Authority, arguments: &[&str]) -> Host {
    let mut setup = Setup::new().server(
        "tls = { certificate = \"certificate.pem\", key = \"key.pem\", check_interval = \"20ms\" }\ntrusted_proxies = [\"127.0.0.1\"]",
    );
    write(setup.folder(), &authority.sign("localhost"));
    for argument in arguments {
        setup = setup.argument(argument);
    }
    setup.plugin("probe", "probe", "").start().await
}

/// What curl gets of a path, and in which version of HTTP, where it trusts this authority alone; or how it ends.
async fn curl(host: &Host, trusted: &Authority, path: &str, arguments: &[&str]) -> Result<String, Option<i32>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, trusted.pem()).unwrap();
    let port = host.address().port();
    let mut command = Command::new("curl");
    command.args(["-s", "--max-time", "20", "-w", " %{http_version}", "--noproxy", "*"]).arg("--cacert").arg(&file);
    command.arg("--resolve").arg(format!("localhost:{port}:127.0.0.1")).args(arguments);
    let output = command.arg(format!("https://localhost:{port}{path}")).output().await.unwrap();
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(output.status.code()) }
}

#[tokio::test]
async fn another_client_speaks_both_versions_to_it_and_handlers_see_https() {
    let (authority, stranger) = (Authority::new("right"), Authority::new("wrong"));
    let host = start(&authority, &[]).await;
    assert_eq!(curl(&host, &authority, "/probe/scheme", &[]).await, Ok("https 2".to_owned()));
    assert_eq!(curl(&host, &authority, "/probe/scheme", &["--http1.1"]).await, Ok("https 1.1".to_owned()));
    assert_eq!(curl(&host, &authority, "/probe/scheme", &["--http1.1", "--tls-max", "1.2"]).await, Ok("https 1.1".to_owned()));
    assert_eq!(
        curl(&host, &stranger, "/probe/scheme", &[]).await,
        Err(Some(60)),
        "curl's word for a certificate it does not trust"
    );
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("listening on https://127.0.0.1:"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_restart_and_a_wrong_one_is_told_and_not_shown() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let host = start(&first, &[]).await;
    host.logged("shows a certificate", PATIENCE).await;
    let (wrong, other) = (first.sign_expired("localhost"), first.sign("localhost"));
    write(host.folder(), &Certified { certificate: wrong.certificate, key: other.key.clone() });
    let told = host.logged("the key is not that of the certificate", PATIENCE).await;
    assert!(told.contains("the one before is still shown"), "{told}");
    assert_eq!(curl(&host, &first, "/probe/hello", &[]).await, Ok("hello 2".to_owned()));
    let renewed = second.sign("localhost");
    write(host.folder(), &renewed);
    until("the new certificate", PATIENCE, || async {
        curl(&host, &second, "/probe/hello", &[]).await.map_err(|code| format!("{code:?}"))
    })
    .await;
    host.logged("shows a new certificate", PATIENCE).await;
    assert_eq!(curl(&host, &first, "/probe/hello", &[]).await, Err(Some(60)));
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for line in renewed.key.lines().chain(other.key.lines()).filter(|line| !line.starts_with("---")) {
        assert!(!ended.stderr.contains(line) && !ended.stdout.contains(line), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_shown_stops_the_start() {
    let setup = Setup::new().server("tls = { certificate = \"certificate.pem\", key = \"key.pem\" }");
    write(setup.folder(), &Authority::new("right").sign_expired("localhost"));
    let ended = setup.plugin("probe", "probe", "").fail().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`server.tls` cannot be used: the certificate has expired"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_access_log_names_the_client_behind_a_trusted_proxy_in_either_format() {
    let authority = Authority::new("right");
    let forwarded = ["-H", "x-forwarded-for: 1.1.1.1, 203.0.113.9"];
    for (arguments, through_proxy, direct) in [
        (&["--log-format", "json"], "\"client\":\"203.0.113.9\"", "\"client\":\"127.0.0.1\""),
        (&["--log-format", "human"], "client=203.0.113.9", "client=127.0.0.1"),
    ] {
        let host = start(&authority, arguments).await;
        for (headers, expected) in [(&forwarded[..], through_proxy), (&forwarded[..0], direct)] {
            assert_eq!(curl(&host, &authority, "/probe/hello", headers).await, Ok("hello 2".to_owned()));
            let line = host.logged(expected, PATIENCE).await;
            assert!(line.contains("/probe/hello") && line.contains("answered"), "{line}");
        }
        let ended = host.stop().await;
        assert!(!ended.stderr.contains("1.1.1.1"), "{}", ended.stderr);
    }
}

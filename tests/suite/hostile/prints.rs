//! Handlers that print more than anybody wants to read, or what is not meant to be read.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn endless_output_is_bounded(engine) {
        let mut bed = on(engine).start("prints").await;
        for variant in ["", "/stderr", "/line"] {
            let before = bed.host.log().len();
            let (status, code) = bed.call(variant).await.problem();
            assert!([(500, "fuel-exhausted"), (504, "deadline-exceeded")].contains(&(status, code.as_str())), "{variant}: {status} {code}");
            let written = bed.host.log().len() - before;
            assert!(written < 8 << 20, "{variant}: {written} bytes in the log");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }

    async fn output_is_told_with_plugin_and_request_and_cannot_forge_the_log(engine) {
        let mut bed = on(engine).start("prints").await;
        let reply = bed.call("/forged").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "printed"));
        let line = bed.host.logged("harmless", std::time::Duration::from_secs(5)).await;
        let id = reply.headers["x-request-id"].to_str().unwrap();
        assert!(line.contains("prints") && line.contains(id), "{line}");
        let log = bed.host.log();
        assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR wharf")), "{log}");
        assert!(!log.contains(['\u{7}', '\0']) && !log.contains("\u{1b}[2J"), "{log}");
        bed.recovers().await;
        bed.ends_well().await;
    }
}

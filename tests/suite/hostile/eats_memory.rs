//! Handlers that take more memory than they may have, their own and the host's.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn memory_ends_at_its_limit(engine) {
        let mut bed = on(engine).start("eats_memory").await;
        assert_eq!(bed.call("").await.problem(), (500, "memory-exhausted".into()));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn a_handler_that_takes_no_for_an_answer_goes_on(engine) {
        let mut bed = on(engine).start("eats_memory").await;
        let reply = bed.call("/asks").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "refused"));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn memory_of_the_host_is_limited_too(engine) {
        let mut bed = on(engine).start("eats_memory").await;
        for variant in ["/headers", "/handles"] {
            let before = resident(bed.host.pid());
            let reply = bed.call(variant).await;
            let grown = resident(bed.host.pid()).saturating_sub(before);
            assert!(grown < 128 << 20, "{variant}: {grown} bytes more, {reply:?}");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }
}

/// Resident bytes of a process, by Linux.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

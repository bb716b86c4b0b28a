//! Instances that serve several calls: what a handler keeps in its memory tells which calls came into one.

use futures::future::join_all;

use super::{
    bed::{Bed, REUSED, on},
    on_every_engine,
};

async fn counted(bed: &Bed, variant: &str) -> String {
    let reply = bed.call(variant).await;
    assert_eq!(reply.status, 200, "{variant}: {reply:?}\n{}", bed.host.log());
    reply.text().to_owned()
}

/// What of a call makes it the last one of its instance, on either line of WASI.
async fn every_doubt_ends_an_instance(guest: &str, doubts: &[(&str, u16)], engine: super::bed::Engine) {
    let mut bed = REUSED.scope((), on(engine).start(guest)).await;
    for (doubt, status) in doubts {
        let first: u32 = counted(&bed, "/counts").await.parse().unwrap();
        assert_eq!(counted(&bed, "/counts").await, (first + 1).to_string());
        assert_eq!(bed.call(doubt).await.status, *status, "{doubt}");
        assert_eq!(counted(&bed, "/counts").await, "1", "after {doubt}");
    }
    bed.recovers().await;
    bed.ends_well().await;
}

on_every_engine! {
    async fn nothing_is_kept_unless_asked_for(engine) {
        for guest in ["counts", "counts_async"] {
            let bed = on(engine).start(guest).await;
            let expected = if REUSED.try_with(|()| ()).is_ok() { ["1", "2", "3"] } else { ["1"; 3] };
            for expected in expected {
                assert_eq!(counted(&bed, "/counts").await, expected);
            }
            bed.ends_well().await;
        }
    }

    async fn what_a_call_leaves_behind_ends_its_instance(engine) {
        let doubts = [("/keeps", 200), ("/leaks", 200), ("/prints", 200), ("/exits", 500), ("/traps", 500)];
        every_doubt_ends_an_instance("counts", &doubts, engine).await;
        let doubts = [("/keeps", 200), ("/leaks", 200), ("/prints", 200), ("/traps", 500)];
        every_doubt_ends_an_instance("counts_async", &doubts, engine).await;
    }
}

#[tokio::test]
async fn no_instance_serves_two_calls_at_once() {
    for guest in ["counts", "counts_async"] {
        let bed = REUSED.scope((), on(super::bed::Engine::Sqlite).start(guest)).await;
        let calls = (0..8).map(|_| async {
            let mut most = 0;
            for _ in 0..50 {
                most = counted(&bed, "/waits?ms=1").await.parse::<u32>().unwrap().max(most);
            }
            most
        });
        let most = join_all(calls).await.into_iter().max().unwrap();
        // They were used again, so the absence of "entered twice" means something.
        assert!(most > 10, "{most}");
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn an_instance_serves_as_many_calls_as_were_asked_for() {
    for guest in ["counts", "counts_async"] {
        let bed = REUSED.scope((), on(super::bed::Engine::Sqlite).start(guest)).await;
        let mut counts = Vec::new();
        for _ in 0..super::bed::REUSE + 1 {
            counts.push(counted(&bed, "/counts").await.parse::<u32>().unwrap());
        }
        let expected: Vec<u32> = (1..=super::bed::REUSE).chain([1]).collect();
        assert_eq!(counts, expected);
        bed.ends_well().await;
    }
}

#[tokio::test]
async fn a_task_that_outlives_its_answer_keeps_its_instance_to_itself() {
    let bed = REUSED.scope((), on(super::bed::Engine::Sqlite).start("counts_async")).await;
    assert_eq!(counted(&bed, "/lingers").await, "1");
    // It still works on, so this one needs another.
    assert_eq!(counted(&bed, "/counts").await, "1");
    bed.ends_well().await;
}

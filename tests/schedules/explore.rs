//! Tries one scenario under many schedules.

use std::{
    cell::Cell,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Instant,
};

use futures::future::BoxFuture;
use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    scheduler::{RandomScheduler, Schedule, Scheduler, Task, TaskId},
};
use wharf::telemetry::logs;

/// How many schedules of each scenario, unless `WHARF_SCHEDULES` says otherwise.
const SCHEDULES: usize = 20_000;

/// A schedule that takes more steps goes round in circles.
const STEPS: usize = 200_000;

/// How likely it is in an impatient schedule that time passes although somebody has something to do, in 1,024ths.
const HURRIES: u64 = 32;

/// Scenarios have the clock as their first task, after the main one.
const CLOCK: usize = 1;

/// Runs the scenario under every schedule that is asked for.
///
/// # Panics
/// With the first one that fails, after its seed was printed.
pub(crate) fn explore(name: &str, scenario: fn(Patience) -> BoxFuture<'static, ()>) {
    if let Ok(filter) = std::env::var("WHARF_SCHEDULES_LOG") {
        // Another scenario may have been the first.
        let _ = logs::init(logs::Format::Human, &filter, logs::Color::Never);
    }
    let asked = std::env::var("WHARF_SCHEDULES").ok();
    let schedules = asked.map_or(SCHEDULES, |number| number.parse().unwrap_or_else(|error| panic!("WHARF_SCHEDULES: {error}")));
    assert!(schedules > 0, "WHARF_SCHEDULES: none would find nothing");
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    // The seed says it all, in fewer characters.
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true;
    let started = Instant::now();
    let runner = Runner::new(Moody { random: RandomScheduler::new(schedules), stays: 0 }, config);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            stand_in::time::reset();
            drop(shuttle::future::spawn(stand_in::time::run()));
            shuttle::future::block_on(scenario(Patience::of_this_schedule()));
        })
    }));
    match ran {
        Ok(tried) => {
            assert_eq!(tried, schedules);
            // Past the test harness, which would keep the output of a test that passes; whoever closed the output does not want it.
            let _ = writeln!(io::stdout(), "{name}: {tried} schedules in {:.1} s", started.elapsed().as_secs_f64());
        }
        Err(panic) => {
            let seed = SEED.get();
            eprintln!("to try it again: SHUTTLE_RANDOM_SEED={seed} WHARF_SCHEDULES=1 tests/run {name}");
            resume_unwind(panic);
        }
    }
}

/// Whether time passes only when nobody has anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Yes: whoever waits for the clock had nothing else to wait for.
    Patient,
    /// Any time limit may be over at any moment.
    Impatient,
}

thread_local! {
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience::Patient) };
    static SEED: Cell<u64> = const { Cell::new(0) };
}

impl Patience {
    /// That of the schedule that runs.
    fn of_this_schedule() -> Self {
        PATIENCE.get()
    }
}

/// From now on time passes only when nobody has anything to do.
pub(crate) fn be_patient() {
    PATIENCE.set(Patience::Patient);
}

/// Chooses at random whose turn it is, in one of several moods a schedule: those with few changes find other things than those with many.
#[derive(Debug)]
struct Moody {
    random: RandomScheduler,
    /// How likely it is that whoever had the last turn has the next, in 1,024ths.
    stays: u64,
}

impl Moody {
    fn happens(&mut self, of_1024: u64) -> bool {
        of_1024 > 0 && self.random.next_u64() % 1024 < of_1024
    }
}

impl Scheduler for Moody {
    fn new_execution(&mut self) -> Option<Schedule> {
        let schedule = self.random.new_execution()?;
        SEED.set(schedule.seed);
        self.stays = [0, 0, 512, 922][self.random.next_u64() as usize % 4];
        PATIENCE.set(if self.happens(256) { Patience::Impatient } else { Patience::Patient });
        Some(schedule)
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let is_clock = |task: &Task| task.id() == TaskId::from(CLOCK);
        let others: Vec<&Task> = runnable.iter().copied().filter(|task| !is_clock(task)).collect();
        if others.len() < runnable.len()
            && (others.is_empty() || (PATIENCE.get() == Patience::Impatient && self.happens(HURRIES)))
        {
            return Some(TaskId::from(CLOCK));
        }
        if let Some(current) = current.filter(|current| others.iter().any(|task| task.id() == *current))
            && self.happens(self.stays)
        {
            return Some(current);
        }
        self.random.next_task(&others, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.random.next_u64()
    }
}

//! Writes the seed data of the clinic example: `cargo run --release -p clinic --example seed`.
//!
//! The same numbers come out each time. Names are put together from lists and belong to nobody.

use std::fmt::Write;
use std::path::Path;

use wharf_sdk::{Date, Time, TimestampTz};

const PATIENTS: usize = 1_000;
const VISITS: usize = 5_100;
const ROWS_PER_INSERT: usize = 250;

const GIVEN: [&str; 32] = [
    "Ada", "Bela", "Caro", "Dario", "Edda", "Faro", "Gita", "Hanno", "Ilka", "Jaro", "Keziah", "Lior", "Mirela", "Nilo", "Oda",
    "Piet", "Quirin", "Runa", "Silvan", "Tavi", "Ulla", "Vero", "Wenzel", "Xenia", "Yara", "Zoë", "André", "Bożena", "Émile",
    "Søren", "İnci", "Łucja",
];
const FAMILY: [&str; 40] = [
    "Alderfen",
    "Birkmoor",
    "Caldweir",
    "Dunhollow",
    "Elmsgarth",
    "Fernholt",
    "Glasswater",
    "Hollowell",
    "Ivermark",
    "Juniperly",
    "Kestrelby",
    "Larkenfold",
    "Mossbridge",
    "Nettlecombe",
    "O'Fenn",
    "Pellworthy",
    "Quillmere",
    "Rooksend",
    "Saltmarsh-Wynd",
    "Thornquay",
    "Umberleigh",
    "Vantrow",
    "Willowmere",
    "Yarrowgate",
    "Zellbach",
    "Ångholm",
    "Bröckelau",
    "Čapkovar",
    "D'Orlemont",
    "Esterházna",
    "Fjällvik",
    "Grünwedel",
    "Høstmark",
    "Île-Noire",
    "Jørnefjell",
    "Kőhalmi",
    "Łęgowska",
    "Müllenrode",
    "Nuñalba",
    "Ørstedal",
];
const REASONS: [&str; 10] =
    ["check-up", "vaccination", "follow-up", "blood test", "fever", "back pain", "prescription", "injury", "cough", "referral"];

/// Which engine the text is for; they differ only in how the next key is told.
#[derive(Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

struct Patient {
    name: String,
    born: Date,
    last_seen: Option<TimestampTz>,
    visits: usize,
}

struct Visit {
    at: TimestampTz,
    patient: usize,
    reason: &'static str,
}

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than `bound`, which is a usize")]
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Patients, and their visits in order of time.
fn clinic() -> (Vec<Patient>, Vec<Visit>) {
    let mut random = Random(0x5eed_0fc1_141c);
    let first_birth = Date::new(1930, 1, 1).map_or(0, Date::days);
    let first_day = Date::new(2022, 1, 3).map_or(0, Date::days);
    let mut patients: Vec<_> = (0..PATIENTS)
        .map(|_| Patient {
            name: format!("{} {}", random.pick(&GIVEN), random.pick(&FAMILY)),
            born: Date::from_days(first_birth + days(random.below(33_000))),
            last_seen: None,
            visits: 0,
        })
        .collect();
    let mut visits: Vec<_> = (0..VISITS)
        .map(|_| {
            // The clinic grows: of two days the later is taken. It is open on weekdays from 8 to 17.
            let weekday = random.below(780).max(random.below(780));
            let day = Date::from_days(first_day + days(weekday / 5 * 7 + weekday % 5));
            let minutes = 8 * 60 + random.below(36) * 15;
            let time = Time::from_micros(minutes as u64 * 60_000_000).unwrap_or(Time::MIDNIGHT);
            let at = TimestampTz::new(day, time).unwrap_or(TimestampTz::from_micros(0));
            Visit { at, patient: random.below(PATIENTS), reason: random.pick(&REASONS) }
        })
        .filter(|visit| visit.at.date() > patients[visit.patient].born)
        .collect();
    visits.sort_by_key(|visit| (visit.at, visit.patient));
    for visit in &visits {
        let patient = &mut patients[visit.patient];
        patient.visits += 1;
        patient.last_seen = Some(visit.at);
    }
    (patients, visits)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "some tens of thousands")]
fn days(number: usize) -> i32 {
    number as i32
}

/// The form in which the host writes an instant to SQLite; PostgreSQL reads it as well.
fn literal(at: TimestampTz) -> String {
    format!("'{} {}+00:00'", at.date(), at.time())
}

fn seed(engine: Engine) -> String {
    let (patients, visits) = clinic();
    let mut sql = String::from("-- Written by plugins/clinic/examples/seed.rs; do not edit.\n");
    let patients = patients.iter().enumerate().map(|(index, patient)| {
        let id = index + 1;
        let name = patient.name.replace('\'', "''");
        let last_seen = patient.last_seen.map_or("NULL".to_owned(), literal);
        format!("({id},'WC-{id:05}','{name}','{}',{last_seen},{})", patient.born, patient.visits)
    });
    insert(&mut sql, "patients (id, record_number, name, born, last_seen, visits_count)", patients.collect());
    let visits = visits.iter().map(|visit| format!("({},{},'{}')", visit.patient + 1, literal(visit.at), visit.reason));
    insert(&mut sql, "visits (patient_id, at, reason)", visits.collect());
    if let Engine::Postgres = engine {
        // Keys given by hand leave the sequence behind.
        sql += "SELECT setval(pg_get_serial_sequence('patients', 'id'), (SELECT max(id) FROM patients));\n";
    }
    sql
}

fn insert(sql: &mut String, target: &str, rows: Vec<String>) {
    for rows in rows.chunks(ROWS_PER_INSERT) {
        // Writing to a string cannot fail.
        let _ = write!(sql, "INSERT INTO {target} VALUES\n{};\n", rows.join(",\n"));
    }
}

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/clinic/seed");
    for (name, engine) in [("sqlite", Engine::Sqlite), ("postgres", Engine::Postgres)] {
        let file = folder.join(name).join("9000_seed.sql");
        let sql = seed(engine);
        std::fs::write(&file, &sql)?;
        println!("{}: {} bytes", file.display(), sql.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_is_what_is_written() {
        let committed = |engine| match engine {
            Engine::Sqlite => include_str!("../../../examples/clinic/seed/sqlite/9000_seed.sql"),
            Engine::Postgres => include_str!("../../../examples/clinic/seed/postgres/9000_seed.sql"),
        };
        for engine in [Engine::Sqlite, Engine::Postgres] {
            assert!(committed(engine) == seed(engine), "run `cargo run --release -p clinic --example seed`");
        }
    }

    #[test]
    fn counts_agree_with_the_visits() {
        let (patients, visits) = clinic();
        assert_eq!(patients.len(), PATIENTS);
        assert!(visits.len() >= 5_000);
        assert_eq!(patients.iter().map(|patient| patient.visits).sum::<usize>(), visits.len());
        assert!(patients.iter().all(|patient| patient.last_seen.is_some() == (patient.visits > 0)));
    }
}

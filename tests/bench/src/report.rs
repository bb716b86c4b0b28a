//! The table, for people: as text or as Markdown.

use crate::row::Row;

const COLUMNS: usize = 10;

/// What the columns are called.
const HEAD: [&str; COLUMNS] = [
    "case",
    "unit",
    "wharf",
    "reference",
    "ratio",
    "min to max",
    "target",
    "met",
    "p50, p99 in ms (reference)",
    "CPU in µs (reference)",
];

/// The table as text, with what has to be known below it.
pub(crate) fn text(rows: &[Row]) -> String {
    let cells: Vec<[String; COLUMNS]> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        let all = cells.iter().map(|row| row[column].chars().count());
        all.chain([HEAD[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = line(&HEAD.map(str::to_owned), &widths);
    for row in &cells {
        text += &line(row, &widths);
    }
    text + &below(rows)
}

/// The table as Markdown, short enough for a page: notes, latencies and processor time are left to the others.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| case | Wharf | reference | ratio | target | met |\n|---|--:|--:|--:|--:|---|\n");
    for [case, unit, wharf, reference, ratio, spread, target, met, ..] in rows.iter().map(cells) {
        let ratio = if spread.is_empty() { ratio } else { format!("{ratio} ({})", spread.replace(" to ", "–")) };
        text += &format!("| `{case}` | {wharf} {unit} | {reference} | {ratio} | {target} | {met} |\n");
    }
    let failures = failures(rows);
    let gap = if failures.is_empty() { "" } else { "\n" };
    text + gap + &failures + &measured_on(rows)
}

fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // Names to the left, figures to the right.
        let pad = " ".repeat(width - cell.chars().count());
        line += &if column < 2 || column == 7 { format!("{cell}{pad}  ") } else { format!("{pad}{cell}  ") };
    }
    line.trim_end().to_owned() + "\n"
}

fn cells(row: &Row) -> [String; COLUMNS] {
    let shown = |value: Option<f64>| value.map_or_else(String::new, number);
    let ratio = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    let met = match (&row.failed, row.met) {
        (Some(_), _) => "FAILED",
        (None, Some(true)) => "yes",
        (None, Some(false)) => "NO",
        (None, None) => "",
    };
    let spread = match (row.ratio_min, row.ratio_max) {
        (Some(min), Some(max)) => format!("{min:.2} to {max:.2}"),
        _ => String::new(),
    };
    let latencies = &row.latencies;
    let side = |p50: Option<f64>, p99: Option<f64>| Some(format!("{}, {}", number(p50?), number(p99?)));
    let wharf = side(latencies.wharf_p50_ms, latencies.wharf_p99_ms);
    let busy = latencies.reference_cpu_us.map(|us| format!(" ({})", number(us)));
    let reference = side(latencies.reference_p50_ms, latencies.reference_p99_ms).map(|side| format!(" ({side})"));
    [
        row.case.clone(),
        row.unit.to_owned(),
        shown(row.wharf),
        shown(row.reference),
        ratio(row.ratio_median),
        spread,
        row.target.map_or_else(String::new, |target| target.to_string()),
        met.to_owned(),
        wharf.unwrap_or_default() + &reference.unwrap_or_default(),
        shown(latencies.wharf_cpu_us) + &busy.unwrap_or_default(),
    ]
}

/// Notes, each once; failures, and where was measured.
fn below(rows: &[Row]) -> String {
    let mut notes: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows.iter().filter(|row| !row.note.is_empty()) {
        match notes.iter_mut().find(|(note, _)| *note == row.note) {
            Some((_, cases)) => cases.push(&row.case),
            None => notes.push((&row.note, vec![&row.case])),
        }
    }
    let mut text = String::from("\n");
    for (note, cases) in notes {
        text += &format!("- {}: {note}\n", cases.join(", "));
    }
    text + &failures(rows) + &measured_on(rows)
}

fn failures(rows: &[Row]) -> String {
    let failed = rows.iter().filter_map(|row| Some((row, row.failed.as_ref()?)));
    failed.fold(String::new(), |text, (row, why)| text + &format!("- {} FAILED: {why}\n", row.case))
}

fn measured_on(rows: &[Row]) -> String {
    let Some(row) = rows.first() else { return String::new() };
    let warning = if row.comparable { "" } else { "NOT COMPARABLE: every case was measured once and shortly.\n" };
    format!("\nMeasured on {}.\n{}{warning}", row.machine, stolen(rows))
}

/// From whom the machine took most, which makes every figure in milliseconds worse, and what was measured again for it.
fn stolen(rows: &[Row]) -> String {
    let told = rows.iter().filter_map(|row| Some((row, row.machine.stolen_percent?)));
    let most = told.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(row, most)| {
        let case = &row.case;
        format!("Others on the same hardware were given {most:.1} % of the time that programs wanted, at most, in {case}.\n")
    });
    let again = rows.iter().filter(|row| row.times > 1 && row.target.is_some());
    let again: Vec<_> = again.map(|row| format!("{} {} times", row.case, row.times)).collect();
    let again = (!again.is_empty()).then(|| format!("Measured again, and the least disturbed counts: {}.\n", again.join(", ")));
    [most, again].into_iter().flatten().collect()
}

/// Three digits, or all of them before the point, in groups.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{
        case::{Case, Figure, Measured, Pair, Target},
        machine::Machine,
    };

    fn rows(comparable: bool) -> Vec<Row> {
        let figures = vec![Figure::main("requests/s", Some(Target::AtLeast(0.9))), Figure::named("growth", "MiB", None)];
        let case = Case::new("row", figures, |_| async { Ok(Vec::new()) }.boxed()).note("a pool of 8");
        let pairs = Measured::pairs(vec![Pair { wharf: 12_000.0, reference: 16_000.0 }]);
        let [main, growth] = [case.figures[0], case.figures[1]];
        vec![
            Row::new(&case, &main, &pairs, &Machine::default(), comparable),
            Row::failed(&case, &growth, "an answer was 500", &Machine::default(), comparable),
        ]
    }

    #[test]
    fn the_table_tells_what_was_missed_and_what_failed() {
        let judged = text(&rows(true));
        assert!(judged.contains("16,000   0.75  0.75 to 0.75   ≥ 0.9  NO"), "{judged}");
        let text = text(&rows(false));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("case        unit        "), "{text}");
        assert!(lines[1].ends_with("12,000     16,000   0.75  0.75 to 0.75   ≥ 0.9"), "{text}");
        assert!(lines[2].starts_with("row/growth  MiB") && lines[2].ends_with("FAILED"), "{text}");
        for part in ["row, row/growth: a pool of 8", "row/growth FAILED: an answer was 500", "Measured on 0 x ", "NOT COMPARABLE"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_most_that_was_stolen_is_told_with_its_case() {
        let mut rows = rows(true);
        assert!(!text(&rows).contains("Others"));
        rows[0].machine.stolen_percent = Some(0.25);
        rows[1].machine.stolen_percent = Some(1.5);
        rows[0].times = 2;
        let told = "Others on the same hardware were given 1.5 % of the time that programs wanted, at most, in row/growth.\n\
                    Measured again, and the least disturbed counts: row 2 times.\n";
        assert!(text(&rows).ends_with(told) && markdown(&rows).ends_with(told), "{}", text(&rows));
    }

    #[test]
    fn markdown_has_the_ratio_with_its_spread() {
        let markdown = markdown(&rows(true));
        assert!(markdown.contains("| `row` | 12,000 requests/s | 16,000 | 0.75 (0.75–0.75) | ≥ 0.9 | NO |\n"), "{markdown}");
        assert!(markdown.contains("row/growth FAILED: an answer was 500"), "{markdown}");
        let table: Vec<&str> = markdown.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(table.len(), 4);
        assert!(table.iter().all(|line| line.matches('|').count() == 7), "{markdown}");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let shown: Vec<String> = [0.0, 0.1234, 1.234, 12.34, 123.4, 1234.0, 1_234_567.0, -1234.0].map(number).to_vec();
        assert_eq!(shown, ["0.000", "0.123", "1.23", "12.3", "123", "1,234", "1,234,567", "-1,234"]);
    }
}

//! Tables for a terminal, and the words in their cells.

use std::time::Duration;

use console::{measure_text_width, truncate_str};

/// What stands for a character that a terminal would obey, or by which text would look like other text.
const HIDDEN: char = '\u{fffd}';

/// Rows below a header, in columns as wide as their widest cell, two spaces apart.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).into()] }
    }

    /// Adds a row. Whatever handlers and clients have put into it, a terminal shows it and does nothing else.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| cell.chars().map(harmless).collect::<String>()).into());
    }

    /// Whether there is nothing below the header.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// As text, each line cut to a width if there is one.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let mut widths = vec![0; self.rows.iter().map(Vec::len).max().unwrap_or_default()];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = measure_text_width(cell).max(*width);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - measure_text_width(cell) + 2));
            }
            let line = line.trim_end();
            text.push_str(&width.map_or(line.into(), |width| truncate_str(line, width, "…")));
            text.push('\n');
        }
        text
    }
}

/// Text of several lines that a terminal shows, and does nothing else.
pub(super) fn lines(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { character } else { harmless(character) }).collect()
}

/// A document in one line as a terminal may be given it: what it would obey stands there by its number, which means the same.
pub(super) fn document(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            // Between the values, if at all: within them JSON has no such character.
            '\t' | '\n' | '\r' | ' ' => line.push(' '),
            // None of them takes more than four digits.
            character if harmless(character) != character => line.push_str(&format!("\\u{:04x}", u32::from(character))),
            character => line.push(character),
        }
    }
    line + "\n"
}

fn harmless(character: char) -> char {
    match character {
        // Marks of direction, and what takes no room.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => HIDDEN,
        character if character.is_control() => HIDDEN,
        character => character,
    }
}

/// A duration in a word or two.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
        _ => humantime::format_duration(Duration::from_secs(millis / 1_000)).to_string(),
    }
}

/// A large number in a word.
pub(super) fn count(number: u64) -> String {
    let (unit, name) = match number {
        0..10_000 => return number.to_string(),
        10_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "G"),
    };
    format!("{}.{}{name}", number / unit, number % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_shown_and_lines_are_cut() {
        let mut table = Table::new(["A", "LONG", "C"]);
        assert!(table.is_empty());
        table.row(["wide 字".to_owned(), "x".to_owned(), "a statement".to_owned()]);
        assert_eq!(table.render(None), "A        LONG  C\nwide 字  x     a statement\n");
        assert_eq!(table.render(Some(20)), "A        LONG  C\nwide 字  x     a st…\n");
    }

    #[test]
    fn a_terminal_is_not_made_to_do_anything() {
        let mut table = Table::new(["A"]);
        table.row(["\u{1b}[2Jx\ny\u{202e}z\u{9b}\u{7}".to_owned()]);
        assert_eq!(table.render(None), "A\n\u{fffd}[2Jx\u{fffd}y\u{fffd}z\u{fffd}\u{fffd}\n");
    }

    #[test]
    fn a_document_means_the_same_and_does_nothing_to_a_terminal() {
        let text = "\u{1b}[2J\u{9b}31m\u{202e}x\u{7f}\n字";
        let shown = document(&serde_json::to_vec(&serde_json::json!({ "statement": text })).unwrap());
        assert_eq!(shown, "{\"statement\":\"\\u001b[2J\\u009b31m\\u202ex\\u007f\\n字\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["statement"], text);
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(lines("a\n  b\u{1b}[2J\r\u{61c}c"), "a\n  b\u{fffd}[2J\u{fffd}\u{fffd}c");
    }

    #[test]
    fn numbers_are_short() {
        for (millis, expected) in
            [(0, "0ms"), (999, "999ms"), (1_250, "1.2s"), (59_999, "59.9s"), (200_000, "3m 20s"), (7_500_000, "2h 5m")]
        {
            assert_eq!(duration(millis), expected);
        }
        for (number, expected) in [(9_999, "9999"), (10_000, "10.0k"), (1_234_567, "1.2M"), (9_876_543_210, "9.8G")] {
            assert_eq!(count(number), expected);
        }
    }
}

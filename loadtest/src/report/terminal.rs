//! Tables for a terminal.

use super::document::Table;

/// `table` with its columns aligned, numbers to the right.
pub(crate) fn table(table: &Table) -> String {
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            let cells = table.rows.iter().filter_map(|row| row.get(column));
            cells.chain(&table.columns[column..=column]).map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let aligned = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let room = " ".repeat(width.saturating_sub(self::width(cell)));
            let cell = plain(cell);
            if table.is_number(column) { format!("{room}{cell}") } else { format!("{cell}{room}") }
        });
        format!("{}\n", aligned.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = String::new();
    if table.columns.iter().any(|name| !name.is_empty()) {
        text += &line(&table.columns);
    }
    text + &table.rows.iter().map(|row| line(row)).collect::<String>()
}

/// `text` in lines of at most 80 letters.
pub(crate) fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("never empty");
        if !last.is_empty() && width(last) + 1 + width(word) > COLUMNS {
            lines.push(word.into());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Without anything that would move a terminal's cursor or colour it.
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{a0}' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(plain).collect()
}

const COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_nothing_escapes() {
        let numbers = Table::new(["", "calls"], &[0])
            .row(["a\u{1b}[31m".into(), "7".into()])
            .row(["long name".into(), "1,234".into()]);
        assert_eq!(
            table(&numbers),
            "           calls\na\u{fffd}[31m         7\nlong name  1,234\n"
        );
        assert_eq!(wrapped(&"word ".repeat(20)).lines().next().map(str::len), Some(79));
    }
}

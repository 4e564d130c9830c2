//! A page as Markdown, without its pictures.

use std::fmt::Write;

use super::document::{Block, Document, Section, Table, Tone};

/// The page.
pub(crate) fn page(document: &Document) -> String {
    let mut text = format!("# {}\n\n**{}**\n\n", line(&document.title), line(&document.answer));
    let word = match document.tone {
        Tone::Plain => "",
        Tone::Good => "PASS: ",
        Tone::Bad => "FAIL: ",
        Tone::NoVerdict => "NO VERDICT: ",
    };
    for (at, verdict) in document.verdict.iter().enumerate() {
        let word = if at == 0 { word } else { "" };
        let _ = writeln!(text, "{word}{}\n", line(verdict));
    }
    let mut facts = Table::new(["", "", ""], &[0, 2]);
    for fact in &document.facts {
        facts = facts.row([fact.label.clone(), fact.value.clone(), fact.note.clone()]);
    }
    text += &table(&facts);
    for section in &document.sections {
        text += &section_of(section);
    }
    text
}

/// A table.
pub(crate) fn table(table: &Table) -> String {
    let mut text = row(&table.columns);
    text += "|";
    for column in 0..table.columns.len() {
        text += if table.is_number(column) { "---:|" } else { "---|" };
    }
    text.push('\n');
    text += &table.rows.iter().map(|cells| row(cells)).collect::<String>();
    text.push('\n');
    text
}

fn row(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!(" {} |", line(cell))).collect();
    format!("|{cells}\n")
}

fn section_of(section: &Section) -> String {
    let mut text = String::new();
    for block in &section.blocks {
        text += &match block {
            Block::Text(paragraph) => format!("{}\n\n", line(paragraph)),
            Block::Code(code) => fenced(code),
            Block::Table(rows) => table(rows),
            Block::Plots(_) => String::new(),
        };
    }
    match text.is_empty() {
        true => text,
        false => format!("## {}\n\n{text}", line(&section.title)),
    }
}

/// A fence longer than any in `code`, so that nothing gets out of it.
fn fenced(code: &str) -> String {
    let mut fence = "```".to_owned();
    while code.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{}\n{fence}\n\n", code.trim_end())
}

/// `text` as text on one line: what Markdown or HTML would read in it is escaped.
pub(crate) fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '&' => escaped += "&amp;",
            '|' | '*' | '`' | '[' | ']' | '\\' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\u{a0}' => escaped.push(' '),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    // Between letters an underscore is one; around words it would be emphasis.
    if escaped.starts_with('_') { format!("\\{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markdown_or_html() {
        for (text, escaped) in [
            ("a|b", "a\\|b"),
            ("<b>&", "&lt;b>&amp;"),
            ("`x`\n# y", "\\`x\\` # y"),
            ("[a](b)", "\\[a\\](b)"),
            ("late_p99.9<5ms", "late_p99.9&lt;5ms"),
        ] {
            assert_eq!(line(text), escaped);
        }
        assert_eq!(fenced("a\n```\nb"), "````text\na\n```\nb\n````\n\n");
    }
}

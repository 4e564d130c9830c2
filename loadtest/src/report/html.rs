//! A page as one HTML file that needs nothing else: no network, no script.

use std::fmt::Write;

use super::document::{Block, Document, Fact, Plot, Section, Table, Tone};

/// The page.
pub(crate) fn page(document: &Document) -> String {
    let mut html = String::with_capacity(64 << 10);
    let title = escape(&document.title);
    html += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    html += "<meta name=\"color-scheme\" content=\"light dark\">\n";
    html += &format!("<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n");
    html += &first_screen(document);
    for section in &document.sections {
        html += &section_of(section);
    }
    html += "</main>\n</body>\n</html>\n";
    html
}

/// `text` where HTML has text or an attribute's value.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn first_screen(document: &Document) -> String {
    let (class, word) = match document.tone {
        Tone::Plain => ("plain", ""),
        Tone::Good => ("good", "Pass"),
        Tone::Bad => ("bad", "Fail"),
        Tone::NoVerdict => ("none", "No verdict"),
    };
    let mut html = format!("<header class=\"{class}\">\n<p class=\"over\">");
    html += &escape(&document.title);
    html += &format!("</p>\n<h1>{}</h1>\n", escape(&document.answer));
    for (at, line) in document.verdict.iter().enumerate() {
        let badge = match (at, word) {
            (0, word) if !word.is_empty() => format!("<b class=\"badge\">{word}</b> "),
            _ => String::new(),
        };
        html += &format!("<p class=\"verdict\">{badge}{}</p>\n", escape(line));
    }
    html += "</header>\n<dl class=\"facts\">\n";
    html += &document.facts.iter().map(fact).collect::<String>();
    html += "</dl>\n";
    html
}

fn fact(fact: &Fact) -> String {
    let [label, value, note] = [&fact.label, &fact.value, &fact.note].map(|text| escape(text));
    format!("<div><dt>{label}</dt><dd><b>{value}</b><span>{note}</span></dd></div>\n")
}

fn section_of(section: &Section) -> String {
    let mut html = format!("<section>\n<h2>{}</h2>\n", escape(&section.title));
    for block in &section.blocks {
        html += &match block {
            Block::Text(text) => format!("<p>{}</p>\n", escape(text)),
            Block::Code(text) => format!("<pre>{}</pre>\n", escape(text)),
            Block::Table(table) => table_of(table),
            Block::Plots(plots) => {
                let plots: String = plots.iter().map(plot).collect();
                format!("<div class=\"plots\">\n{plots}</div>\n")
            }
        };
    }
    html += "</section>\n";
    html
}

fn table_of(table: &Table) -> String {
    let class = |column: usize| if table.is_number(column) { " class=\"n\"" } else { "" };
    let mut html = String::from("<div class=\"scroll\"><table>\n");
    if table.columns.iter().any(|name| !name.is_empty()) {
        html += "<thead><tr>";
        for (column, name) in table.columns.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(column), escape(name));
        }
        html += "</tr></thead>\n";
    }
    html += "<tbody>\n";
    for (at, row) in table.rows.iter().enumerate() {
        html += if table.marked == Some(at) { "<tr class=\"marked\">" } else { "<tr>" };
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(column), escape(cell));
        }
        html += "</tr>\n";
    }
    html += "</tbody>\n</table></div>\n";
    html
}

fn plot(plot: &Plot) -> String {
    let mut html = format!("<figure><figcaption><b>{}</b>", escape(&plot.title));
    for (class, name) in &plot.legend {
        let _ = write!(html, " <span class=\"key {class}\">{}</span>", escape(name));
    }
    let _ = writeln!(html, "</figcaption>\n{}</figure>", plot.svg);
    html
}

const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        for (text, escaped) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\"><img src='x'>", "&quot;&gt;&lt;img src=&#39;x&#39;&gt;"),
            ("a & b\u{0}\u{1b}[31m", "a &amp; b\u{fffd}\u{fffd}[31m"),
        ] {
            assert_eq!(escape(text), escaped);
        }
    }
}

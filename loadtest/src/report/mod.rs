//! Results for people: one self-contained HTML page, and Markdown.
//!
//! The first screen is for those who decide: the answer in one sentence, the verdict, what broke
//! first, what a call costs. Below it is what an engineer checks: every load, second and histogram,
//! and where it was measured. Start at [`write()`]; a `document` is what a page says before it is
//! HTML or Markdown.
//!
//! - `pages`: what the pages say.
//! - `plots`: their pictures.
//! - [`html`], [`markdown`]: how they are written.
//! - [`diff`]: two results beside each other.
//! - `call`: what a single call of [`crate::Phone`] was like.
//!
//! What this module does not do: judge. Verdicts come with the results.

mod call;
pub mod diff;
pub(crate) mod document;
pub(crate) mod html;
pub(crate) mod markdown;
pub(crate) mod numbers;
pub(crate) mod pages;
pub(crate) mod plots;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod terminal;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::results::ResultsFile;

pub use call::CallReport;
use document::Document;

/// Where a report was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub html: PathBuf,
    /// The same as Markdown, without the pictures.
    pub markdown: PathBuf,
}

/// Writes `report.html` and `report.md` of `results` into `directory`, which is made if need be.
pub fn write(results: &ResultsFile, directory: &Path) -> io::Result<Written> {
    fs::create_dir_all(directory)?;
    let written =
        Written { html: directory.join("report.html"), markdown: directory.join("report.md") };
    fs::write(&written.html, html(results))?;
    fs::write(&written.markdown, markdown(results))?;
    Ok(written)
}

/// The page as HTML that needs neither network nor script.
pub fn html(results: &ResultsFile) -> String {
    html::page(&document(results))
}

/// The page as Markdown, without pictures.
pub fn markdown(results: &ResultsFile) -> String {
    markdown::page(&document(results))
}

fn document(results: &ResultsFile) -> Document {
    match results {
        ResultsFile::Run(run) => pages::run::document(run),
        ResultsFile::Capacity(capacity) => pages::capacity::document(capacity),
    }
}

//! What a page says, before it is HTML or Markdown. All texts are plain: the writers escape them.

/// A page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// What it is about, in a few words.
    pub(crate) title: String,
    /// The answer, in one sentence.
    pub(crate) answer: String,
    /// Whether the answer is good news.
    pub(crate) tone: Tone,
    /// What stands right below the answer: the verdict and its reason.
    pub(crate) verdict: Vec<String>,
    /// The few figures a decision needs.
    pub(crate) facts: Vec<Fact>,
    /// Everything else.
    pub(crate) sections: Vec<Section>,
}

/// How an answer is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// There was nothing to judge by.
    #[default]
    Plain,
    /// What had to hold held.
    Good,
    /// It did not.
    Bad,
    /// Nothing can be said.
    NoVerdict,
}

/// A figure of the first screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fact {
    /// What it is.
    pub(crate) label: String,
    /// The figure, with its unit.
    pub(crate) value: String,
    /// What must be known to read it.
    pub(crate) note: String,
}

/// A part of a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    /// Its heading.
    pub(crate) title: String,
    /// What is in it, in order.
    pub(crate) blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    /// A paragraph.
    Text(String),
    /// A command or a file, as it is.
    Code(String),
    /// A table.
    Table(Table),
    /// Pictures that stand side by side where there is room.
    Plots(Vec<Plot>),
}

/// A table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// Heads of the columns.
    pub(crate) columns: Vec<String>,
    /// Which columns are texts; all others are numbers.
    pub(crate) texts: &'static [usize],
    /// Cells.
    pub(crate) rows: Vec<Vec<String>>,
    /// The row to be seen first.
    pub(crate) marked: Option<usize>,
}

/// A picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plot {
    /// What it shows, with the unit.
    pub(crate) title: String,
    /// An `<svg>` of ours.
    pub(crate) svg: String,
    /// Class of a colour, and what has it.
    pub(crate) legend: Vec<(&'static str, String)>,
}

impl Fact {
    pub(crate) fn new(label: &str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), note: note.into() }
    }
}

impl Section {
    pub(crate) fn new(title: &str, blocks: Vec<Block>) -> Self {
        Self { title: title.into(), blocks }
    }
}

impl Table {
    /// With these heads, of which those at `texts` are over texts.
    pub(crate) fn new<const N: usize>(columns: [&str; N], texts: &'static [usize]) -> Self {
        Self { columns: columns.map(String::from).into(), texts, ..Self::default() }
    }

    /// Whether a column's cells are numbers.
    pub(crate) fn is_number(&self, column: usize) -> bool {
        !self.texts.contains(&column)
    }

    /// With one more row.
    pub(crate) fn row<const N: usize>(mut self, cells: [String; N]) -> Self {
        self.rows.push(cells.into());
        self
    }
}

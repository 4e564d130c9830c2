use std::fmt;

use time::Date;

/// A recording's object name: flat, `<YYYYMMDD>-<session_id>.wav`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordingKey(String);

impl RecordingKey {
    /// For a call of `session_id` that began on `date` (UTC). What may not stand in a flat name
    /// becomes `_`.
    pub fn new(date: Date, session_id: &str) -> Self {
        let plain = |c: char| if is_plain(c) { c } else { '_' };
        let session: String = session_id.chars().take(SESSION_CHARS_MAX).map(plain).collect();
        let session = session.replace("..", "__");
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        Self(format!("{year:04}{month:02}{day:02}-{session}.wav"))
    }

    /// A key as somebody asks for it. `None` for whatever could leave the directory: separators,
    /// `..`, NUL, percent escapes, hidden names.
    pub fn parse(text: &str) -> Option<Self> {
        let flat = !text.is_empty() && text.len() <= KEY_BYTES_MAX && text.chars().all(is_plain);
        let tame = !text.starts_with('.') && !text.contains("..");
        (flat && tame).then(|| Self(text.to_owned()))
    }

    /// The same with `-suffix` (of plain characters) before the ending.
    pub(super) fn suffixed(&self, suffix: &str) -> Self {
        let stem = self.0.strip_suffix(".wav").unwrap_or(&self.0);
        Self(format!("{stem}-{suffix}.wav"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Leaves room for the date and the ending in a file name of 255 bytes.
const SESSION_CHARS_MAX: usize = 200;
const KEY_BYTES_MAX: usize = 220;

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_key_is_made_of_the_date_and_the_session() {
        let long = "x".repeat(500);
        let rows = [
            ("8f2c-1", "20260102-8f2c-1.wav".to_owned()),
            ("../etc/passwd", "20260102-___etc_passwd.wav".to_owned()),
            ("a b%2Fc\\d\0", "20260102-a_b_2Fc_d_.wav".to_owned()),
            ("", "20260102-.wav".to_owned()),
            (long.as_str(), format!("20260102-{}.wav", "x".repeat(200))),
        ];
        for (session, expected) in rows {
            let key = RecordingKey::new(date!(2026 - 01 - 02), session);
            assert_eq!(key.as_str(), expected);
            assert_eq!(RecordingKey::parse(&expected), Some(key));
        }
    }

    #[test]
    fn nothing_that_could_leave_the_directory_is_a_key() {
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            "a\\b",
            "..a",
            "a..b",
            "a\0b",
            "%2e%2e",
            "a%2Fb",
            ".hidden",
            "a b",
            "ä.wav",
            long.as_str(),
        ] {
            assert_eq!(RecordingKey::parse(text), None, "{text:?}");
        }
    }
}

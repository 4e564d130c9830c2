//! Scenarios that come with `voxload`.

/// A scenario that is compiled in.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its text: a start for one's own.
    pub toml: &'static str,
}

macro_rules! ready {
    ($($name:literal),* $(,)?) => {
        /// All of them.
        pub const READY: [Ready; [$($name),*].len()] = [$(Ready {
            name: $name,
            toml: include_str!(concat!("../../scenarios/", $name, ".toml")),
        }),*];
    };
}

ready!["echo", "speech", "rush-hour", "bad-network", "churn", "dial-out"];

impl Ready {
    /// What it is for: the `about` of its text.
    pub fn about(&self) -> String {
        let table = self.toml.parse::<toml::Table>().unwrap_or_default();
        table.get("about").and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    }
}

//! What the pages say.
//!
//! - [`capacity`]: a search.
//! - [`run`]: one load.
//! - [`parts`]: what both have.

pub(crate) mod capacity;
pub(crate) mod parts;
pub(crate) mod run;

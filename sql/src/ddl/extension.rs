//! CREATE EXTENSION: what an extension would bring is either part of the server or not there; the answer says which.

use super::Ddl;
use crate::error::{Error, Result, SqlState};

/// Extensions whose objects the server has built in.
pub(crate) const BUILT_IN: [&str; 1] = ["plpgsql"];

impl Ddl<'_> {
    pub(super) fn create_extension(&self, name: &str, if_not_exists: bool) -> Result<()> {
        if BUILT_IN.contains(&name) {
            let message = format!("extension \"{name}\" already exists");
            if if_not_exists {
                self.notice(format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("extension \"{name}\" is not available"))
            .detail("Serin has no loadable extensions.")
            .hint(match name {
                "uuid-ossp" | "pgcrypto" => "gen_random_uuid() is built in.",
                _ => "Objects of the extension would have to be built in.",
            }))
    }
}

use super::Registry;

pub fn register(_: &mut Registry) {}
pub fn quote_ident(name: &str) -> String { name.to_string() }

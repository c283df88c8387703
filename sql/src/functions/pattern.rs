use super::Registry;

pub fn register(_: &mut Registry) {}

use super::runtime::Runtime; use crate::column::Batch; use crate::error::Result; use crate::plan::short::Short;
pub fn run(_s: &Short, _r: &Runtime<'_>) -> Result<Option<Batch>> { todo!() }

use super::runtime::Runtime; use crate::error::Result; use crate::types::Datum; use crate::plan::Subquery;
pub fn value(_q: &Subquery, _row: &[Datum], _r: &Runtime<'_>) -> Result<Datum> { todo!() }

#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct Window {}
impl Window { pub fn new(_a: Executor, _b: Arc<[node::WindowCall]>, _c: Vec<Type>) -> Window { todo!() } }
impl Execute for Window { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }

#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct LockRows {}
impl LockRows { pub fn new(_a: Executor, _b: Arc<node::LockRows>, _c: Vec<Type>) -> LockRows { todo!() } }
impl Execute for LockRows { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }

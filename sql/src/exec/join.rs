#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct HashJoin {}
impl HashJoin { pub fn new(_a: Executor, _b: Executor, _c: Arc<node::HashJoin>, _d: Vec<Type>, _e: Vec<Type>) -> HashJoin { todo!() } }
impl Execute for HashJoin { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct NestedLoop {}
impl NestedLoop { pub fn new(_a: Executor, _b: Executor, _c: Arc<node::NestedLoop>, _d: Vec<Type>, _e: Vec<Type>) -> NestedLoop { todo!() } }
impl Execute for NestedLoop { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }

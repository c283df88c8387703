#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct FunctionScan {}
impl FunctionScan { pub fn new(_a: Arc<node::FunctionScan>, _b: Vec<Type>) -> FunctionScan { todo!() } }
impl Execute for FunctionScan { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct ProjectSet {}
impl ProjectSet { pub fn new(_a: Executor, _b: Arc<[node::SetCall]>, _c: Vec<Type>) -> ProjectSet { todo!() } }
impl Execute for ProjectSet { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }

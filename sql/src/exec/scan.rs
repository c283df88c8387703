#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct TableScan {}
impl TableScan { pub fn new(_a: Arc<node::TableScan>, _b: usize) -> TableScan { todo!() } }
impl Execute for TableScan { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct SystemScan {}
impl SystemScan { pub fn new(_a: Arc<node::SystemScan>, _b: Vec<Type>) -> SystemScan { todo!() } }
impl Execute for SystemScan { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }

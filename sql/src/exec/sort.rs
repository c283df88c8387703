#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct Sort {}
impl Sort { pub fn new(_a: Executor, _b: Arc<[node::Key]>, _c: Option<Arc<node::Limit>>, _d: Vec<Type>) -> Sort { todo!() } }
impl Execute for Sort { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct Encoded {}
impl Encoded { pub fn get(&self, _i: usize) -> &[u8] { todo!() } }
pub fn encode_keys(_k: &[node::Key], _b: &Batch, _r: &Runtime<'_>) -> Result<Encoded> { todo!() }

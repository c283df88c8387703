#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct CteScan {}
impl CteScan { pub fn new(_a: usize, _b: Vec<usize>) -> CteScan { todo!() } }
impl Execute for CteScan { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct Recursive {}
impl Recursive { pub fn new(_a: Executor, _b: Executor, _c: usize, _d: bool, _e: Vec<Type>) -> Recursive { todo!() } }
impl Execute for Recursive { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct WorkTable {}
impl WorkTable { pub fn new(_a: usize) -> WorkTable { todo!() } }
impl Execute for WorkTable { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub fn finish_writers(_p: &crate::plan::Plan, _r: &Runtime<'_>) -> Result<()> { todo!() }

#![allow(unused)]
use super::operator::*; use super::runtime::Runtime; use crate::plan::node; use crate::types::Type; use crate::column::Batch; use crate::error::Result; use crate::expr::Expr; use crate::parse::ast::SetOperator; use std::sync::Arc;
pub struct Distinct {}
impl Distinct { pub fn new(_a: Executor, _b: Option<Arc<[Expr]>>, _c: Vec<Type>) -> Distinct { todo!() } }
impl Execute for Distinct { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct Append {}
impl Append { pub fn new(_a: Vec<Executor>) -> Append { todo!() } }
impl Execute for Append { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }
pub struct SetOperation {}
impl SetOperation { pub fn new(_a: Executor, _b: Executor, _c: SetOperator, _d: bool, _e: Vec<Type>) -> SetOperation { todo!() } }
impl Execute for SetOperation { fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> { todo!() } fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> { todo!() } }

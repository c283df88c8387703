//! Window functions: not yet. The binder refuses them before a plan could contain one.

use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use crate::column::Batch;
use crate::error::{Error, Result};
use crate::plan::node::WindowCall;
use crate::types::Type;
use std::sync::Arc;

pub struct Window {
    input: Executor,
}

impl Window {
    pub fn new(input: Executor, _calls: Arc<[WindowCall]>, _types: Vec<Type>) -> Window {
        Window { input }
    }
}

impl Execute for Window {
    fn next(&mut self, _rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        Err(Error::unsupported("a window function"))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.input.rescan(rt)
    }
}

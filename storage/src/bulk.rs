use crate::base::TreeRoot;
use crate::{PageId, Result, Tree, Writer};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct BulkLoad {
    pub root: TreeRoot,
    pub extents: Vec<(PageId, u64)>,
}

pub struct BulkLoader {
    _tree: Arc<Tree>,
}

impl BulkLoader {
    pub(crate) fn new(tree: Arc<Tree>) -> Result<BulkLoader> {
        Ok(BulkLoader { _tree: tree })
    }
    pub fn append(&mut self, _key: &[u8], _value: &[u8]) -> Result<()> {
        todo!()
    }
    /// Makes the loaded pages the tree's base for the writer, and for everyone when it commits.
    pub fn finish(self, _writer: &mut Writer) -> Result<u64> {
        todo!()
    }
}

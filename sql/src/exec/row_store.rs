//! Batches of rows that are kept to be read again: in memory first, then in a temporary file. (PostgreSQL's tuplestore.)
//!
//! Common tables, the inner side of a nested loop, the rows of a subquery and of a recursive query's round are of this kind: written once,
//! in order, and read from the start by any number of readers, while more may still be appended. Batches are known by number; what memory
//! does not take goes to the file's end as one piece and is read back by its place, so that readers and the writer share no position.
//!
//! The limits are those of `spill.rs`: columns of type record have no encoding, and fail at the statement's limit.

use super::basic::check_budget;
use super::runtime::Runtime;
use super::spill::{decoder, encode_row, should_spill, take_batch};
use crate::column::Batch;
use crate::error::{Error, Result};
use crate::table::sorter::{RunWriter, io_error};
use crate::types::Type;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[derive(Default)]
pub struct RowStore {
    /// The first ones.
    memory: Vec<Batch>,
    bytes: usize,
    file: Option<Tail>,
}

/// The batches behind those in memory: each row as its length (u32, little-endian) and its encoding.
struct Tail {
    file: File,
    /// Where each ends, and so the next begins.
    ends: Vec<u64>,
}

impl RowStore {
    /// Rows that are in memory anyway.
    pub fn of(batches: impl IntoIterator<Item = Batch>) -> RowStore {
        let memory: Vec<Batch> = batches.into_iter().collect();
        RowStore { bytes: memory.iter().map(Batch::bytes).sum(), memory, file: None }
    }

    /// Empty batches are not kept. `what` is what the error calls the rows, where they can neither be held nor spilled.
    pub fn append(&mut self, batch: Batch, types: &[Type], rt: &Runtime<'_>, what: &str) -> Result<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        let bytes = self.bytes + batch.bytes();
        if self.file.is_none() && !should_spill(bytes, types, rt) {
            check_budget(bytes, rt, what)?;
            self.bytes = bytes;
            self.memory.push(batch);
            return Ok(());
        }
        let tail = match &mut self.file {
            Some(tail) => tail,
            none => {
                let file = RunWriter::create(rt.context.catalog.runtime().temporary_dir())?.finish()?;
                none.insert(Tail { file, ends: Vec::new() })
            }
        };
        let (mut encoded, mut row_bytes) = (Vec::new(), Vec::new());
        for row in 0..batch.rows {
            row_bytes.clear();
            encode_row(&batch, row, types, &mut row_bytes);
            encoded.extend_from_slice(&(row_bytes.len() as u32).to_le_bytes());
            encoded.extend_from_slice(&row_bytes);
        }
        let start = tail.ends.last().copied().unwrap_or(0);
        tail.file.write_all_at(&encoded, start).map_err(|error| io_error("write", &error))?;
        tail.ends.push(start + encoded.len() as u64);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.file.is_none()
    }

    /// The batch of this number; `None` behind the last one.
    pub fn get(&self, number: usize, types: &[Type]) -> Result<Option<Batch>> {
        if let Some(batch) = self.memory.get(number) {
            return Ok(Some(batch.clone()));
        }
        let Some(tail) = &self.file else { return Ok(None) };
        let at = number - self.memory.len();
        let Some(end) = tail.ends.get(at) else { return Ok(None) };
        let start = at.checked_sub(1).map_or(0, |before| tail.ends[before]);
        let mut encoded = vec![0; (end - start) as usize];
        tail.file.read_exact_at(&mut encoded, start).map_err(|error| io_error("read", &error))?;
        let mut decoder = decoder(types);
        let mut rest = &encoded[..];
        while let Some((length, more)) = rest.split_first_chunk::<4>() {
            let row = more.split_at_checked(u32::from_le_bytes(*length) as usize);
            let (row, more) =
                row.ok_or_else(|| Error::internal("a temporary file's rows have other lengths"))?;
            decoder.append(row)?;
            rest = more;
        }
        Ok(Some(take_batch(&mut decoder)))
    }
}

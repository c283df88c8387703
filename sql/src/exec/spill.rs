//! Rows in temporary files, for operators that hold more than their memory.
//!
//! - A *sort* goes on as the external sort of index builds (`table/sorter.rs`): runs on disk, merged.
//! - A *hash join* that can't keep its right side becomes a Grace hash join: both sides are parted by the hash of their keys into
//!   [`PARTITIONS`] files each, and every pair of files is joined by a join of its own, which may part it again by other bits of the hash.
//!   Equal keys meet in one pair, so this is right for every kind of join; rows with a null in the key go to the first pair.
//! - An *aggregate* keeps the groups that it has, and puts rows of other groups into files by the hash of the group. Each is aggregated for
//!   itself afterwards. All rows of a group take the same way, in their order. Each of several grouping sets has files of its own.
//! - *DISTINCT*, *INTERSECT* and *EXCEPT* do likewise, see `set.rs`; *windows* are computed partition by partition from a sort, see `window.rs`.
//! - What is kept to be read again (common tables, inner sides of nested loops, …) is a [`RowStore`](super::row_store::RowStore).
//!
//! Files have no names once they are open: nothing is left behind, whatever ends the process. A full disk is 53100 for the statement.
//!
//! `work_mem` counts rows as PostgreSQL packs them; columns and hash tables of ours take more, so operators begin to spill at
//! [`SPILL_FACTOR`] times it. Records have no encoding that keeps their fields' names: with one among its columns an operator does not
//! spill, and fails at the statement's limit as before.

use super::operator::Execute;
use super::runtime::Runtime;
use crate::column::{BATCH_ROWS, Batch};
use crate::error::Result;
use crate::table::row::{self, RowDecoder};
use crate::table::sorter::{RunReader, RunWriter};
use crate::types::{Repr, Type};
use std::fs::File;
use std::hash::Hasher;

const SPILL_FACTOR: usize = 4;
pub const PARTITIONS: usize = 16;
/// Parting again does not help where all rows have one key: then the statement's limit decides.
pub const DEPTH_MAX: u32 = 5;

/// Whether an operator that holds this much shall go on in files.
pub fn should_spill(bytes: usize, types: &[Type], rt: &Runtime<'_>) -> bool {
    bytes > rt.context.work_mem_bytes.saturating_mul(SPILL_FACTOR) && can_spill(types)
}

pub fn can_spill(types: &[Type]) -> bool {
    types.iter().all(|data_type| data_type.repr() != Repr::Record)
}

/// One row of a batch, encoded.
pub fn encode_row(batch: &Batch, row: usize, types: &[Type], out: &mut Vec<u8>) {
    let values: Vec<_> = batch.columns.iter().map(|column| column.get(row)).collect();
    row::encode(&values, types, out);
}

pub fn decoder(types: &[Type]) -> RowDecoder {
    let all: Vec<usize> = (0..types.len()).collect();
    RowDecoder::new(types, &all, &[])
}

/// The rows that a decoder has gathered. (Of no columns, too.)
pub fn take_batch(decoder: &mut RowDecoder) -> Batch {
    let rows = decoder.rows();
    Batch { columns: decoder.finish().into_iter().map(std::sync::Arc::new).collect(), rows }
}

/// Rows on their way into files by the hash of a key.
pub struct Parting {
    types: Vec<Type>,
    depth: u32,
    files: Vec<Option<RunWriter>>,
    encoded: Vec<u8>,
}

impl Parting {
    pub fn new(types: &[Type], depth: u32) -> Parting {
        let files = (0..PARTITIONS).map(|_| None).collect();
        Parting { types: types.to_vec(), depth, files, encoded: Vec::new() }
    }

    /// Puts a row where its key belongs; `None`: it has none that could match.
    pub fn push(&mut self, key: Option<&[u8]>, batch: &Batch, row: usize, rt: &Runtime<'_>) -> Result<()> {
        let at = key.map_or(0, |key| partition(key, self.depth));
        self.encoded.clear();
        encode_row(batch, row, &self.types, &mut self.encoded);
        let file = match &mut self.files[at] {
            Some(file) => file,
            none => none.insert(RunWriter::create(rt.context.catalog.runtime().temporary_dir())?),
        };
        file.append(&[], &self.encoded)
    }

    /// One source of rows for each part.
    pub fn finish(self) -> Result<Vec<Spilled>> {
        let Parting { types, files, .. } = self;
        let finish = |file: Option<RunWriter>| {
            Ok(Spilled { file: file.map(RunWriter::finish).transpose()?, types: types.clone(), reader: None })
        };
        files.into_iter().map(finish).collect()
    }
}

/// By other bits of the hash at each depth.
pub fn partition(key: &[u8], depth: u32) -> usize {
    // Fixed keys: only the spread matters.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(key);
    (hasher.finish() >> (depth * PARTITIONS.ilog2())) as usize % PARTITIONS
}

/// Rows of a temporary file, as an operator.
pub struct Spilled {
    file: Option<File>,
    types: Vec<Type>,
    reader: Option<(RunReader, RowDecoder)>,
}

impl Spilled {
    /// No rows.
    pub fn empty() -> Spilled {
        Spilled { file: None, types: Vec::new(), reader: None }
    }

    pub fn is_empty(&self) -> bool {
        self.file.is_none()
    }
}

impl Execute for Spilled {
    fn next(&mut self, rt: &Runtime<'_>, _: usize) -> Result<Option<Batch>> {
        rt.check_interrupt()?;
        let Some(file) = &self.file else { return Ok(None) };
        if self.reader.is_none() {
            self.reader = Some((RunReader::open(file)?, decoder(&self.types)));
        }
        let (reader, decoder) = self.reader.as_mut().expect("made above");
        while decoder.rows() < BATCH_ROWS && reader.advance()? {
            decoder.append(reader.value())?;
        }
        match take_batch(decoder) {
            batch if batch.rows == 0 => Ok(None),
            batch => Ok(Some(batch)),
        }
    }

    fn rescan(&mut self, _: &Runtime<'_>) -> Result<()> {
        self.reader = None;
        Ok(())
    }
}

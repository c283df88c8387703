//! Recovery: the newest valid meta page, then the log.
//!
//! 1. The meta page with the higher generation gives the base, the free list, and where to replay from.
//! 2. Every valid record from there on, in order, is applied to the delta as one committed transaction; records at or
//!    below the fold timestamp are in the base already.
//! 3. The log ends at the first invalid record. `wal.rs` explains when that is a torn tail and when it is damage.
//! 4. What is behind the end is cut off, and the log goes on in a new segment, so that bytes of the dropped
//!    tail can never be taken for a record that follows what is written next.

use crate::meta::{META_PAGES, Meta};
use crate::mutation::{Mutation, planted};
use crate::page::PAGE_SIZE;
use crate::vfs::{IoContext, Vfs, VfsFile};
use crate::wal::{
    RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, WalPosition, decode_segment_header,
    parse_segment_name,
};
use crate::{Error, Lsn, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads both meta pages. `None`: the file is new. An error: neither is valid.
pub(crate) fn read_meta(file: &dyn VfsFile, path: &Path) -> Result<Option<Meta>> {
    let length = file.len().context("read the size of", path)?;
    let mut newest: Option<Meta> = None;
    let mut seen_bytes = false;
    for page in 0..META_PAGES {
        let offset = page * PAGE_SIZE as u64;
        if length < offset + PAGE_SIZE as u64 {
            continue;
        }
        let mut bytes = vec![0; PAGE_SIZE];
        file.read_at(&mut bytes, offset).context("read", path)?;
        seen_bytes |= bytes.iter().any(|byte| *byte != 0);
        if let Some(meta) = Meta::decode(&bytes, path)?
            && meta.page().0 == page
            && newest.is_none_or(|newest| newest.generation < meta.generation)
        {
            newest = Some(meta);
        }
    }
    // The first generation is written to page 1 when the store is created; until that is synced there is no store.
    if newest.is_none() && (seen_bytes || length > META_PAGES * PAGE_SIZE as u64) {
        let detail = "neither meta page is valid".to_owned();
        return Err(Error::Corrupt { file: path.to_owned(), offset: 0, detail, tree: None });
    }
    Ok(newest)
}

/// A segment file as found.
pub(crate) struct SegmentFile {
    pub start: Lsn,
    pub path: PathBuf,
    pub file: Arc<dyn VfsFile>,
    pub bytes: u64,
}

/// Reads the log from `replay_start`, handing each record to `apply` in order. Changes nothing on disk.
pub(crate) struct LogReader {
    pub segments: Vec<SegmentFile>,
    pub spares: Vec<PathBuf>,
    /// Segments that are not needed any more, or not valid as such.
    pub stale: Vec<PathBuf>,
}

const WINDOW_BYTES: u64 = 1 << 20;

/// A piece of a segment in memory, so that small records don't cost system calls.
#[derive(Default)]
struct Window {
    segment: usize,
    offset: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Up to `bytes` bytes.
    fn read(&mut self, reader: &LogReader, segment: usize, offset: u64, bytes: u64) -> Result<&[u8]> {
        let within = |window: &Window| {
            let from = offset.checked_sub(window.offset)? as usize;
            (window.segment == segment).then(|| window.bytes.get(from..from + bytes as usize)).flatten()?;
            Some(from)
        };
        let from = match within(self) {
            Some(from) => from,
            None => {
                self.bytes = reader.read(segment, offset, bytes.max(WINDOW_BYTES))?;
                (self.segment, self.offset) = (segment, offset);
                0
            }
        };
        Ok(&self.bytes[from..self.bytes.len().min(from + bytes as usize)])
    }
}

/// Where reading ended.
pub(crate) struct LogEnd {
    pub lsn: Lsn,
    /// Index into `LogReader::segments`, and the offset there.
    pub segment: usize,
    pub offset: u64,
}

impl LogReader {
    pub fn open(vfs: &dyn Vfs, dir: &Path, replay_start: Lsn) -> Result<LogReader> {
        let (mut segments, mut spares, mut stale) = (Vec::new(), Vec::new(), Vec::new());
        for name in vfs.list(dir).context("list", dir)? {
            let path = dir.join(&name);
            if name.starts_with("spare-") && name.ends_with(".wal") {
                spares.push(path);
                continue;
            }
            let Some(start) = parse_segment_name(&name) else { continue };
            let file = vfs.open(&path, false).context("open", &path)?;
            let bytes = file.len().context("read the size of", &path)?;
            segments.push(SegmentFile { start, path, file, bytes });
        }
        segments.sort_by_key(|segment| segment.start);
        // Needed from the last one that starts at or below the position.
        let first = segments.partition_point(|segment| segment.start <= replay_start);
        if first == 0 {
            let path = dir.join(crate::wal::segment_name(replay_start));
            let detail = format!("the log segment with LSN {replay_start} is missing");
            return Err(Error::Corrupt { file: path, offset: 0, detail, tree: None });
        }
        stale.extend(segments.drain(..first - 1).map(|segment| segment.path));
        let reader = LogReader { segments, spares, stale };
        let header = reader.read(0, 0, SEGMENT_HEADER_BYTES)?;
        let first = &reader.segments[0];
        if decode_segment_header(&header, &first.path)? != Some(first.start) {
            let detail = "the segment header is invalid".to_owned();
            return Err(Error::Corrupt { file: first.path.clone(), offset: 0, detail, tree: None });
        }
        Ok(reader)
    }

    /// Up to `bytes` bytes.
    fn read(&self, segment: usize, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        let segment = &self.segments[segment];
        let available = segment.bytes.saturating_sub(offset).min(bytes);
        let mut buffer = vec![0; available as usize];
        segment.file.read_at(&mut buffer, offset).context("read", &segment.path)?;
        Ok(buffer)
    }

    /// The valid record at this place, if there is one.
    fn record_at<'w>(
        &self,
        window: &'w mut Window,
        segment: usize,
        offset: u64,
    ) -> Result<Option<(RecordHeader, &'w [u8])>> {
        let header = window.read(self, segment, offset, RECORD_HEADER_BYTES as u64)?;
        let Some(header) = RecordHeader::decode(header) else { return Ok(None) };
        let at = Lsn(self.segments[segment].start.0 + offset - SEGMENT_HEADER_BYTES);
        if header.lsn != at {
            return Ok(None);
        }
        let body_at = offset + RECORD_HEADER_BYTES as u64;
        let body = window.read(self, segment, body_at, u64::from(header.body_bytes))?;
        let sound = crc32c::crc32c(body) == header.body_crc || planted(Mutation::AcceptTornRecord);
        let valid = body.len() == header.body_bytes as usize && sound;
        Ok(valid.then_some((header, body)))
    }

    /// Ends at `until` at the latest.
    pub fn replay(
        &self,
        replay_start: Lsn,
        until: Option<Lsn>,
        apply: &mut dyn FnMut(&RecordHeader, &[u8]) -> Option<()>,
    ) -> Result<LogEnd> {
        let mut segment = 0;
        let mut lsn = replay_start;
        let mut window = Window::default();
        loop {
            let offset = lsn.0 - self.segments[segment].start.0 + SEGMENT_HEADER_BYTES;
            if until == Some(lsn) {
                return Ok(LogEnd { lsn, segment, offset });
            }
            if let Some((header, body)) = self.record_at(&mut window, segment, offset)? {
                if apply(&header, body).is_none() {
                    let detail = format!("the record at LSN {lsn} is valid but can't be applied");
                    return Err(Error::Corrupt {
                        file: self.segments[segment].path.clone(),
                        offset,
                        detail,
                        tree: None,
                    });
                }
                lsn.0 += RECORD_HEADER_BYTES as u64 + body.len() as u64;
                continue;
            }
            if let Some(next) = self.segments.get(segment + 1)
                && next.start == lsn
                && decode_segment_header(&self.read(segment + 1, 0, SEGMENT_HEADER_BYTES)?, &next.path)?
                    == Some(lsn)
            {
                segment += 1;
                continue;
            }
            self.refuse_damage(segment, offset, lsn)?;
            return Ok(LogEnd { lsn, segment, offset });
        }
    }

    /// Whether a record follows that was written when `lsn` had been synced already.
    fn refuse_damage(&self, segment: usize, offset: u64, lsn: Lsn) -> Result<()> {
        for later in segment..self.segments.len() {
            let from = if later == segment { offset } else { SEGMENT_HEADER_BYTES };
            let Some(found) = self.record_synced_after(later, from, lsn)? else { continue };
            let detail =
                format!("the record at LSN {lsn} is damaged, though the one at LSN {found} follows it");
            return Err(Error::Corrupt {
                file: self.segments[segment].path.clone(),
                offset,
                detail,
                tree: None,
            });
        }
        Ok(())
    }

    fn record_synced_after(&self, segment: usize, from: u64, lsn: Lsn) -> Result<Option<Lsn>> {
        let file = &self.segments[segment];
        let mut at = from;
        let mut found = Window::default();
        while at < file.bytes {
            let window = self.read(segment, at, WINDOW_BYTES + RECORD_HEADER_BYTES as u64)?;
            for start in 0..(window.len().saturating_sub(RECORD_HEADER_BYTES - 1)).min(WINDOW_BYTES as usize)
            {
                let expected = file.start.0 + at + start as u64 - SEGMENT_HEADER_BYTES;
                if let Some(header) = RecordHeader::decode_quick(&window[start..])
                    && header.lsn.0 == expected
                    && header.batch_start > lsn
                    && self.record_at(&mut found, segment, at + start as u64)?.is_some()
                {
                    return Ok(Some(header.lsn));
                }
            }
            at += WINDOW_BYTES;
        }
        Ok(None)
    }

    /// Cuts off the torn tail; the log goes on behind `end`.
    pub fn cut(self, vfs: &dyn Vfs, dir: &Path, end: &LogEnd, last: crate::Timestamp) -> Result<WalPosition> {
        let mut segments = Vec::new();
        for (index, segment) in self.segments.into_iter().enumerate() {
            if index > end.segment {
                vfs.remove(&segment.path).context("remove", &segment.path)?;
                continue;
            }
            // A segment without a record stays until the new one, of the same name, replaces it: there must always be
            // a segment to replay from.
            if segment.start == end.lsn {
                continue;
            }
            if index == end.segment && segment.bytes > end.offset {
                segment.file.truncate(end.offset).context("truncate", &segment.path)?;
                segment.file.sync_data().context("sync", &segment.path)?;
            }
            segments.push((segment.start, segment.path));
        }
        for path in self.stale {
            vfs.remove(&path).context("remove", &path)?;
        }
        vfs.sync_dir(dir).context("sync", dir)?;
        Ok(WalPosition { end: end.lsn, last, segments, spares: self.spares })
    }
}

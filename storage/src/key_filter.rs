//! Which keys a layer may have: a split block Bloom filter (Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters",
//! 2007, as Apache Parquet has it).
//!
//! A transaction that changes keys in no order has layers that all reach across the whole tree, and each further write of it asks every one
//! of them for its key. Nearly all of those questions are about keys that are not there; with the filter they cost one line of memory
//! each instead of a page of each layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One wrong "maybe" in about a hundred.
const BITS_PER_KEY: usize = 10;
const BLOCK_BITS: usize = 256;
/// One bit is set in each word of a block, chosen by the product of the hash with its salt. (The values of the Parquet specification.)
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

pub(crate) struct KeyFilter {
    blocks: Box<[[u32; 8]]>,
    /// What all filters of the store take together, in bytes.
    used: Arc<AtomicUsize>,
}

impl KeyFilter {
    /// For at most this many keys. `None`: all filters together would take more than `limit` bytes.
    pub fn new(keys: usize, used: &Arc<AtomicUsize>, limit: usize) -> Option<KeyFilter> {
        let blocks = (keys * BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
        let bytes = blocks * BLOCK_BITS / 8;
        if used.fetch_add(bytes, Ordering::Relaxed) + bytes > limit {
            used.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(KeyFilter { blocks: vec![[0; 8]; blocks].into(), used: used.clone() })
    }

    pub fn insert(&mut self, key: &[u8]) {
        let (block, hash) = self.place(key);
        let salted = self.blocks[block].iter_mut().zip(SALTS);
        salted.for_each(|(word, salt)| *word |= bit(hash, salt));
    }

    /// False: the key was not inserted.
    pub fn may_have(&self, key: &[u8]) -> bool {
        let (block, hash) = self.place(key);
        self.blocks[block].iter().zip(SALTS).all(|(word, salt)| word & bit(hash, salt) != 0)
    }

    /// The key's block, and a hash that is independent of it.
    fn place(&self, key: &[u8]) -> (usize, u32) {
        // Fixed, so that runs of the simulator repeat. Odd multipliers spread the sum over 64 bits.
        let hash = u64::from(crc32c::crc32c(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (high, low) = ((hash >> 32) as u32, hash as u32);
        (((u64::from(high) * self.blocks.len() as u64) >> 32) as usize, low ^ high)
    }
}

fn bit(hash: u32, salt: u32) -> u32 {
    1 << (hash.wrapping_mul(salt) >> 27)
}

impl Drop for KeyFilter {
    fn drop(&mut self) {
        self.used.fetch_sub(self.blocks.len() * BLOCK_BITS / 8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_inserted_is_found_and_few_others() {
        let used = Arc::new(AtomicUsize::new(0));
        for keys in [1, 100, 50_000u64] {
            // As row keys are: mostly alike.
            let key = |number: u64| [&b"\x80\0\0\x01"[..], &number.to_be_bytes()].concat();
            let mut filter = KeyFilter::new(keys as usize, &used, usize::MAX).unwrap();
            (0..keys).for_each(|number| filter.insert(&key(number * 3)));
            assert!((0..keys).all(|number| filter.may_have(&key(number * 3))));
            let wrong = (0..keys).filter(|number| filter.may_have(&key(number * 3 + 1))).count();
            assert!(wrong as u64 <= keys / 40, "{wrong} of {keys}");
        }
        assert_eq!(used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn all_filters_together_keep_to_the_limit() {
        let used = Arc::new(AtomicUsize::new(0));
        let first = KeyFilter::new(10_000, &used, 20_000);
        assert!(first.is_some() && KeyFilter::new(10_000, &used, 20_000).is_none());
        drop(first);
        assert!(KeyFilter::new(10_000, &used, 20_000).is_some());
    }
}

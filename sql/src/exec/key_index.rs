//! Keys met so far, numbered in the order in which they came: what grouping and hash joins find their rows by. The keys lie back to back, so
//! that one more costs no allocation of its own.

use crate::column::Strings;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

#[derive(Default)]
pub struct KeyIndex {
    numbers: HashTable<u32>,
    keys: Strings,
    hasher: DefaultHashBuilder,
}

impl KeyIndex {
    pub fn get(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.numbers.find(hash, |number| self.keys.get(*number as usize) == key).copied()
    }

    /// The key's number, and whether it is a new one.
    pub fn insert(&mut self, key: &[u8]) -> (u32, bool) {
        let KeyIndex { numbers, keys, hasher } = self;
        let hash = hasher.hash_one(key);
        if let Some(number) = numbers.find(hash, |number| keys.get(*number as usize) == key) {
            return (*number, false);
        }
        let number = keys.len() as u32;
        keys.push(key);
        numbers.insert_unique(hash, number, |number| hasher.hash_one(keys.get(*number as usize)));
        (number, true)
    }

    /// A rough size in memory, for budgets.
    pub fn bytes(&self) -> usize {
        self.keys.bytes.len() + self.keys.len() * 8 + self.numbers.capacity() * 5
    }
}

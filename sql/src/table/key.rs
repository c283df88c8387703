//! Order-preserving key encoding: `a < b ⇔ encode(a) < encode(b)` bytewise, for one column after another.

use crate::types::{Datum, Type};

/// How one key column sorts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyOrder {
    pub descending: bool,
    pub nulls_first: bool,
}

/// Appends one column. A value is self-delimiting, so that columns can follow each other.
pub fn encode(_value: &Datum, _data_type: Type, _order: KeyOrder, _out: &mut Vec<u8>) {
    todo!()
}

/// Where the first encoded column ends, for keys whose prefix was given (index → table key). None: malformed.
pub fn skip(_bytes: &[u8], _data_type: Type, _order: KeyOrder) -> Option<usize> {
    todo!()
}

/// The smallest byte string above every string that begins with `prefix` (None: there is none).
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

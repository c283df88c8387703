//! The window functions proper. They are computed by `exec/window.rs`, which knows the partition and the frame.

use super::Registry;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
}

pub fn register(r: &mut Registry) {
    use WindowFunction as W;
    for (name, function) in [
        ("window:row_number", W::RowNumber),
        ("window:rank", W::Rank),
        ("window:dense_rank", W::DenseRank),
        ("window:percent_rank", W::PercentRank),
        ("window:cume_dist", W::CumeDist),
        ("window:ntile", W::Ntile),
        ("window:lag", W::Lag),
        ("window:lead", W::Lead),
        ("window:first_value", W::FirstValue),
        ("window:last_value", W::LastValue),
        ("window:nth_value", W::NthValue),
    ] {
        r.window(name, function);
    }
}

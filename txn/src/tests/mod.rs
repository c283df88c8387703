//! Tests of the transaction layer over a real store. `harness` drives interleavings; nothing here sleeps.

mod exhaustive;
mod false_positives;
mod harness;
mod histories;
mod isolation;
mod locks;
mod queued;
mod savepoints;
mod speed;

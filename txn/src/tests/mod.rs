//! Tests of the transaction layer over a real store. `harness` drives interleavings; nothing here sleeps.

#[cfg(not(feature = "shuttle"))]
mod exhaustive;
#[cfg(not(feature = "shuttle"))]
mod false_positives;
#[cfg(not(feature = "shuttle"))]
mod harness;
#[cfg(not(feature = "shuttle"))]
mod histories;
#[cfg(not(feature = "shuttle"))]
mod isolation;
#[cfg(not(feature = "shuttle"))]
mod locks;
#[cfg(not(feature = "shuttle"))]
mod queued;
#[cfg(not(feature = "shuttle"))]
mod savepoints;
#[cfg(feature = "shuttle")]
mod schedules;
#[cfg(not(feature = "shuttle"))]
mod speed;

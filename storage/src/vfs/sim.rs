//! Placeholder until the simulation lands.

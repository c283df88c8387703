//! How fast a restart replays: writes transactions of four row changes each, drops the store as a crash would, opens it again.
//!
//! ```text
//! cargo run --release -p serin-storage --example recovery -- DIR [MILLIONS of changes]
//! ```

use serin_storage::{CommandId, Intent, Store, StoreOptions};
use std::time::Instant;

const CHANGES_PER_TRANSACTION: u64 = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("which directory?")?;
    let millions: u64 = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let changes = millions * 1_000_000;
    let options = || {
        let mut options = StoreOptions::new(dir.as_ref());
        // Nothing may be folded, or there would be less to replay.
        (options.delta_bytes_soft, options.delta_bytes_high, options.delta_bytes_max) =
            (8 << 30, 12 << 30, 16 << 30);
        options.wal_bytes_soft = 64 << 30;
        options.fold_interval_ms = 3_600_000;
        options
    };
    let store = Store::open(options())?;
    let mut writer = store.writer();
    let tree = store.create_tree(&mut writer);
    let mut last = writer.commit()?;
    let mut number = 0u64;
    while number < changes {
        let mut writer = store.writer();
        for _ in 0..CHANGES_PER_TRANSACTION {
            // Scattered over a million keys, as updates of accounts are.
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000;
            let value = [number as u8; 64];
            let installed =
                writer.install(&tree, &key.to_be_bytes(), Some(&value), Intent::Modify, CommandId(0))?;
            installed.map_err(|_| "nobody else writes")?;
            number += 1;
        }
        last = writer.commit()?;
    }
    store.wait_durable(last.ok_or("nothing was written")?)?;
    let log_bytes = store.stats().wal_replay_bytes;
    drop((tree, store));
    let started = Instant::now();
    let store = Store::open(options())?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{changes} row changes, {} MB of log: {seconds:.2} s, {:.0} changes/s, {} keys",
        log_bytes >> 20,
        changes as f64 / seconds,
        store.stats().delta_keys
    );
    Ok(())
}

//! Shows that the simulation finds what it is there to find: each fault planted into the store must be caught within a number of
//! seeds that the store itself passes.

mod common;

use common::simulation::run_caught;
use serin_storage::{Mutation, plant};

/// The hardest to find so far took a fifth of them.
const SEEDS: u64 = 3000;

#[test]
fn every_planted_fault_is_caught() {
    // Assertions of the store that catch one panic: that is a verdict, not news.
    std::panic::set_hook(Box::new(|_| {}));
    let verdicts: Vec<(Mutation, Option<(u64, String)>)> = std::thread::scope(|scope| {
        let halves: Vec<_> = Mutation::ALL
            .chunks(Mutation::ALL.len().div_ceil(2))
            .map(|half| {
                scope.spawn(|| {
                    half.iter()
                        .map(|mutation| {
                            plant(Some(*mutation));
                            let caught = (0..SEEDS).find_map(|seed| Some((seed, run_caught(seed).err()?)));
                            plant(None);
                            (*mutation, caught)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        halves.into_iter().flat_map(|half| half.join().expect("verdicts do not panic")).collect()
    });
    let _ = std::panic::take_hook();
    for (mutation, caught) in &verdicts {
        match caught {
            Some((seed, what)) => {
                let line = what.lines().take(2).collect::<Vec<_>>().join(" ");
                eprintln!("{mutation:?}: caught by seed {seed}: {line}");
            }
            None => eprintln!("{mutation:?}: NOT CAUGHT"),
        }
    }
    let missed: Vec<_> = verdicts.iter().filter(|(_, caught)| caught.is_none()).map(|(m, _)| m).collect();
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

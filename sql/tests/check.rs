//! `serin check`'s comparison of tables with their indexes finds what is planted, and nothing where nothing is.

mod common;

use common::{connect, run};
use serin_sql::catalog::Relation;
use serin_sql::{Engine, check};
use serin_storage::{KeyRange, Store, StoreOptions, Tree};
use serin_txn::{Isolation, Mode, SessionHandle, Transaction, TransactionOptions};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

fn open(dir: &Path) -> Arc<Store> {
    Store::open(StoreOptions::new(dir)).unwrap()
}

/// Runs `damage` on the tree of an index of `t`, then checks.
fn problems_after(index: &str, damage: impl FnOnce(&mut Transaction, &Arc<Tree>)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    {
        let engine = Engine::open(open(&data), &[]).unwrap();
        let mut session = connect(&engine);
        run(
            &mut session,
            "create table t (id int primary key, v int, name text);
             create index t_v on t (v);
             create unique index t_lower on t (lower(name)) where v > 1;
             insert into t values (1, 1, 'A'), (2, 2, 'B'), (3, 3, null);
             update t set v = 30 where id = 3",
        )
        .unwrap();
        let catalog = engine.catalog();
        let Some(Relation::Table(table)) = catalog.find_relation(Some("public"), "t", &[]) else {
            panic!("the table was made")
        };
        let tree = table.indexes.iter().find(|found| found.name == index).unwrap().tree;
        let tree = engine.store().tree(tree).unwrap();
        let mut transaction = engine.transactions().begin(TransactionOptions {
            mode: Mode::Ssi,
            isolation: Isolation::ReadCommitted,
            read_only: false,
            deferrable: false,
            session: SessionHandle::new(99),
        });
        damage(&mut transaction, &tree);
        if let Some(at) = transaction.commit().unwrap().durable_at {
            engine.store().wait_durable(at).unwrap();
        }
    }
    check(open(&data)).unwrap().problems
}

fn first_key(transaction: &mut Transaction, tree: &Arc<Tree>) -> Vec<u8> {
    let range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut scan = transaction.catalog_scan(tree, range).unwrap();
    let mut first = Vec::new();
    scan.next_batch(transaction, 1, &mut |key, _| {
        first = key.to_vec();
        false
    })
    .unwrap();
    first
}

#[test]
fn sound_indexes_have_no_problems() {
    assert_eq!(problems_after("t_v", |_, _| {}), Vec::<String>::new());
}

#[test]
fn a_missing_entry_is_found() {
    let problems = problems_after("t_v", |transaction, tree| {
        let key = first_key(transaction, tree);
        transaction.put(tree, &key, None).unwrap();
    });
    assert_eq!(problems, ["index \"t_v\" of table postgres.public.t: a row has no entry: (v)=(1)"]);
}

#[test]
fn an_orphan_is_found() {
    let problems = problems_after("t_v", |transaction, tree| {
        let mut key = first_key(transaction, tree);
        // The last byte of the row's key: a row 101 that nobody has.
        *key.last_mut().unwrap() ^= 100;
        transaction.put(tree, &key, Some(&[])).unwrap();
    });
    assert_eq!(
        problems,
        ["index \"t_v\" of table postgres.public.t: an entry leads to no row that has it: (v)=(1)"]
    );
}

#[test]
fn a_unique_entry_that_leads_elsewhere_is_found() {
    let problems = problems_after("t_lower", |transaction, tree| {
        let key = first_key(transaction, tree);
        let wrong = [1, 0x80, 0, 0, 1];
        transaction.put(tree, &key, Some(&wrong)).unwrap();
    });
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("a row's entry leads to another row"), "{problems:?}");
    assert!(problems[1].contains("an entry leads to no row that has it"), "{problems:?}");
}

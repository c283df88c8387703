//! READ COMMITTED: a statement that meets a row which somebody else changed judges its latest version again (PostgreSQL's
//! EvalPlanQual). Each case: session a changes something in an open transaction; session b's statement runs into it and waits; a
//! ends; b's outcome and the table are as PostgreSQL 15 has them. The wait is seen through `pg_blocking_pids`, never assumed.

mod common;

use common::{connect, engine, run};

struct Case<'a> {
    /// Runs in a's open transaction.
    first: &'a str,
    /// Runs into it.
    second: &'a str,
    /// How a ends.
    end: &'a str,
    /// b's tag and rows, joined by spaces.
    outcome: &'a str,
    table: &'a str,
}

fn check(case: Case<'_>) {
    let (_dir, engine) = engine(&[]);
    let mut a = connect(&engine);
    run(&mut a, "create table t (id int primary key, v int); insert into t values (1, 10), (2, 20), (3, 30)")
        .unwrap();
    run(&mut a, "create table u (id int primary key, w int); insert into u values (1, 100), (2, 200)")
        .unwrap();
    run(
        &mut a,
        "create table p (id int, v int) partition by range (id);
         create table p1 partition of p for values from (0) to (10);
         create table p2 (v int, id int);
         alter table p attach partition p2 for values from (10) to (20);
         insert into p values (1, 10), (11, 20)",
    )
    .unwrap();
    run(&mut a, "begin").unwrap();
    run(&mut a, case.first).unwrap();
    let mut b = connect(&engine);
    let blockers = format!("select pg_blocking_pids({})", b.pid());
    let second = case.second.to_string();
    let waiting = std::thread::spawn(move || run(&mut b, &second));
    let mut watcher = connect(&engine);
    while run(&mut watcher, &blockers).unwrap().1 == ["{}"] {
        assert!(!waiting.is_finished(), "{}: did not wait", case.second);
        std::thread::yield_now();
    }
    run(&mut a, case.end).unwrap();
    let outcome = match waiting.join().unwrap() {
        Ok((tag, rows)) => std::iter::once(tag).chain(rows).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(outcome, case.outcome, "{} after {}", case.second, case.first);
    let table = run(&mut a, "select id, v from t order by id").unwrap().1.join(" ");
    assert_eq!(table, case.table, "{} after {}", case.second, case.first);
}

#[test]
fn an_update_by_key_starts_from_the_latest_version() {
    check(Case {
        first: "update t set v = v + 1 where id = 1",
        second: "update t set v = v * 2 where id = 1 returning v",
        end: "commit",
        outcome: "UPDATE 1 22",
        table: "1|22 2|20 3|30",
    });
}

#[test]
fn after_a_rollback_the_version_read_is_the_latest() {
    check(Case {
        first: "update t set v = v + 1 where id = 1",
        second: "update t set v = v * 2 where id = 1 returning v",
        end: "rollback",
        outcome: "UPDATE 1 20",
        table: "1|20 2|20 3|30",
    });
}

#[test]
fn a_row_that_no_longer_matches_is_left_alone() {
    check(Case {
        first: "update t set v = 11 where id = 1",
        second: "update t set v = 0 where v = 10",
        end: "commit",
        outcome: "UPDATE 0",
        table: "1|11 2|20 3|30",
    });
    check(Case {
        first: "update t set v = 11 where id = 1",
        second: "delete from t where v < 11",
        end: "commit",
        outcome: "DELETE 0",
        table: "1|11 2|20 3|30",
    });
}

#[test]
fn a_row_that_matches_only_now_was_not_read() {
    check(Case {
        first: "update t set v = v + 10",
        second: "update t set v = v + 1 where v >= 20 returning id, v",
        end: "commit",
        outcome: "UPDATE 2 2|31 3|41",
        table: "1|20 2|31 3|41",
    });
}

#[test]
fn a_deleted_row_is_gone() {
    check(Case {
        first: "delete from t where id = 2",
        second: "update t set v = v + 1",
        end: "commit",
        outcome: "UPDATE 2",
        table: "1|11 3|31",
    });
    check(Case {
        first: "delete from t where id = 2",
        second: "update t set v = v + 1 where id = 2",
        end: "commit",
        outcome: "UPDATE 0",
        table: "1|10 3|30",
    });
}

#[test]
fn a_join_is_judged_with_the_other_tables_rows_as_they_were() {
    check(Case {
        first: "update t set v = 5 where id = 1",
        second: "update t set v = t.v + u.w from u where u.id = t.id and t.v < 20 returning t.id, t.v",
        end: "commit",
        outcome: "UPDATE 1 1|105",
        table: "1|105 2|20 3|30",
    });
    check(Case {
        first: "update t set v = 50 where id = 1",
        second: "update t set v = t.v + u.w from u where u.id = t.id and t.v < 20",
        end: "commit",
        outcome: "UPDATE 0",
        table: "1|50 2|20 3|30",
    });
}

#[test]
fn locking_reads_return_the_latest_version() {
    check(Case {
        first: "update t set v = 15 where id = 1",
        second: "select id, v from t where v < 20 order by id for update",
        end: "commit",
        outcome: "SELECT 1 1|15",
        table: "1|15 2|20 3|30",
    });
    check(Case {
        first: "update t set v = 50 where id = 1",
        second: "select id, v from t where v <= 20 order by id for share",
        end: "commit",
        outcome: "SELECT 1 2|20",
        table: "1|50 2|20 3|30",
    });
}

#[test]
fn on_conflict_updates_a_row_that_its_snapshot_does_not_show() {
    check(Case {
        first: "insert into t values (4, 40)",
        second: "insert into t values (4, 1) on conflict (id) do update set v = t.v + excluded.v returning v",
        end: "commit",
        outcome: "INSERT 0 1 41",
        table: "1|10 2|20 3|30 4|41",
    });
    check(Case {
        first: "insert into t values (4, 40)",
        second: "insert into t values (4, 1) on conflict (id) do update set v = t.v + excluded.v returning v",
        end: "rollback",
        outcome: "INSERT 0 1 1",
        table: "1|10 2|20 3|30 4|1",
    });
    check(Case {
        first: "delete from t where id = 1",
        second: "insert into t values (1, 7) on conflict (id) do update set v = t.v + excluded.v returning v",
        end: "commit",
        outcome: "INSERT 0 1 7",
        table: "1|7 2|20 3|30",
    });
    check(Case {
        first: "insert into t values (4, 40)",
        second: "insert into t values (4, 1) on conflict do nothing",
        end: "commit",
        outcome: "INSERT 0 0",
        table: "1|10 2|20 3|30 4|40",
    });
}

/// Of a partitioned table: rows are judged again each by its own table's columns, and one that has moved is not taken for deleted.
#[test]
fn partitions() {
    const UNCHANGED: &str = "1|10 2|20 3|30";
    const MOVED: &str =
        "tuple to be locked was already moved to another partition due to concurrent update (40001)";
    let committed = |first, second, outcome| {
        check(Case { first, second, end: "commit", outcome, table: UNCHANGED });
    };
    committed(
        "update p set v = v + 1 where id = 11",
        "update p set v = v * 2 where v = 20 returning id, v",
        "UPDATE 0",
    );
    committed(
        "update p set v = v + 1 where id = 11",
        "update p set v = v * 2 where v >= 20 returning id, v",
        "UPDATE 1 11|42",
    );
    committed(
        "update p set v = v + 1 where id = 11",
        "select id, v from p where v >= 20 for update",
        "SELECT 1 11|21",
    );
    // In a block, as a statement by itself is tried again, and then finds no row.
    committed("update p set id = 12 where id = 1", "update p set v = 0 where id = 1", "UPDATE 0");
    committed("update p set id = 12 where id = 1", "begin; update p set v = 0 where id = 1", MOVED);
    committed("update p set id = 12 where id = 1", "begin; delete from p1 where id = 1", MOVED);
    committed("update p set id = 12 where id = 1", "begin; select * from p where id = 1 for update", MOVED);
    committed("delete from p where id = 1", "update p set v = 0 where id = 1", "UPDATE 0");
    check(Case {
        first: "update p set id = 12 where id = 1",
        second: "update p set v = 0 where id = 1 returning id, v",
        end: "rollback",
        outcome: "UPDATE 1 1|0",
        table: UNCHANGED,
    });
}

/// A row whose primary key changes is at another place of the tree; who waited for it at the old one goes on with it at the new one.
#[test]
fn a_row_is_followed_to_its_new_key() {
    let committed = |first, second, outcome, table| {
        check(Case { first, second, end: "commit", outcome, table });
    };
    let moves = "update t set id = 9 where id = 3";
    let moved = "1|10 2|20 9|30";
    committed(
        moves,
        "update t set v = v + 1 where v = 30 returning id, v",
        "UPDATE 1 9|31",
        "1|10 2|20 9|31",
    );
    committed(moves, "delete from t where v = 30 returning id, v", "DELETE 1 9|30", "1|10 2|20");
    committed(moves, "select id, v from t where v = 30 for key share", "SELECT 1 9|30", moved);
    committed(moves, "update t set v = v + 1 where id = 3", "UPDATE 0", moved);
    committed(
        moves,
        "merge into t using (values (30)) s (x) on t.v = s.x
         when matched then update set v = v + 5 when not matched then insert values (77, s.x)",
        "MERGE 1",
        "1|10 2|20 9|35",
    );
    committed(
        "update t set id = 9, v = 31 where id = 3",
        "update t set v = v + 1 where v = 30",
        "UPDATE 0",
        "1|10 2|20 9|31",
    );
    committed(
        "update t set id = 9 where id = 3; update t set id = 8 where id = 9",
        "select id, v from t where v >= 20 order by id for update",
        "SELECT 2 2|20 8|30",
        "1|10 2|20 8|30",
    );
    // Under a fixed snapshot it is an update, not a deletion, that came in between.
    committed(
        moves,
        "begin isolation level repeatable read; select from t; delete from t where v = 30",
        "could not serialize access due to concurrent update (40001)",
        moved,
    );
    check(Case {
        first: moves,
        second: "delete from t where v = 30 returning id, v",
        end: "rollback",
        outcome: "DELETE 1 3|30",
        table: "1|10 2|20",
    });
}

/// What took its place at the new key is another row, although the same transaction had once moved it there.
#[test]
fn a_row_that_was_replaced_is_not_followed() {
    for first in [
        "update t set id = 9 where id = 3; delete from t where id = 9; insert into t values (9, 99)",
        "savepoint s; update t set id = 9 where id = 3; rollback to s;
         delete from t where id = 3; insert into t values (9, 99)",
    ] {
        let second = "update t set v = v + 1 where v >= 30";
        check(Case { first, second, end: "commit", outcome: "UPDATE 0", table: "1|10 2|20 9|99" });
    }
    check(Case {
        first: "update t set id = 9 where id = 3; delete from t where id = 9",
        second: "delete from t where v >= 30",
        end: "commit",
        outcome: "DELETE 0",
        table: "1|10 2|20",
    });
}

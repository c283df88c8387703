//! Texts that differ only in their integers share a plan (`session/shape.rs`), and nobody may notice: every text is run in two sessions,
//! as it stands and with a comment behind it, which keeps it from having a shape. Answers, errors with their positions and
//! the tables afterwards are the same.

mod common;

use common::{connect, engine, run};
use serin_sql::{Error, Session};

const TABLES: &str = "
    create table t (id int primary key, v int, b bigint default 7, s smallint, n numeric(6, 2), x text, f float8, d date);
    create table big (id bigint primary key, v int check (v < 1000));
    create table small (id smallint primary key, v int);
    create table num (id numeric primary key, v int);
    create table pair (a int, b bigint, v text default 'none', primary key (a, b));
    create table part (id int, v int) partition by range (id);
    create table part1 partition of part for values from (0) to (10);
    create table partial (id int, v int);
    create unique index on partial (id) where v > 5;
    insert into t (id, v, n, x) select g, g * 10, g / 4.0, 'x' || g from generate_series(1, 50) g;
    insert into big select g, g from generate_series(1, 50) g;
    insert into small select g, g from generate_series(1, 50) g;
    insert into num select g, g from generate_series(1, 50) g;
    insert into pair select g % 5, g from generate_series(1, 50) g;";

/// `#` stands for an integer.
const TEXTS: &[&str] = &[
    "select * from t where id = #",
    "SELECT v, v + #, -#, x || # FROM t WHERE id = #;",
    "select # from t where id = # and v > #",
    "select v / (# - 5) from t where id = 1",
    "select id from t where v = #",
    "select id from t where id > # and id < #",
    "select count(*) from t where id in (#, #, #)",
    "select id from t where id = # or id = #",
    "select * from big where id = #",
    "select * from small where id = #",
    "select * from num where id = #",
    "select * from pair where a = # and b = #",
    "select v from t where id = # limit #",
    "select v from t where id = # for update",
    "select v::numeric(8, #) from t where id = #",
    "select v::varchar(#) from t where id = #",
    "select interval '1 day' * # from t where id = #",
    "select substring(x from # for #), (array[10, 20, 30])[#] from t where id = 3",
    "select case when # = 3 then 'three' else 'other' end from t where id = #",
    "select nothing from t where id = #",
    "select v from nowhere where id = #",
    "select v from t where id = # and and v = 1",
    "select v from t where id = 'a' or id = #",
    "select v from t where #",
    "select v from t where id = # and x = #",
    "select a from pair where a = # order by #",
    "select generate_series(#, #)",
    "select #, #::text, pg_typeof(#)",
    "insert into t (id, v) values (1#, #)",
    "insert into t (id, v, s, n, x, f) values (2#, #, #, #, #, #) returning id, n, x, f",
    "insert into t values (3#, #, #, #)",
    "insert into t (id, d) values (4#, #)",
    "insert into t (id, s) values (5#, 7000#)",
    "insert into t (id, n) values (6#, 99999#)",
    "insert into t (id, v) values (7#, #), (8#, #)",
    "insert into t (id, v) values (#, #) on conflict (id) do update set v = t.v + #",
    "insert into t (id, v) values (#, #) on conflict do nothing",
    "insert into partial values (#, #) on conflict (id) where v > # do nothing",
    "insert into partial values (#, 9) on conflict (id) where v > 5 do nothing",
    "insert into big values (10000#, #)",
    "insert into big values (20000#, 99#) returning *",
    "insert into part values (#, #)",
    "insert into part values (1#, #)",
    "insert into pair values (#, 6#, #)",
    "update t set v = v + # where id = #",
    "update t set v = v + -# where id = # returning id, v",
    "update t set s = 3276# where id = #",
    "update t set x = #, n = n * # where id = #",
    "update t set v = # where v = #",
    "update big set v = v + 99# where id = #",
    "update pair set b = # where a = # and b = #",
    "update nowhere set v = # where id = #",
    "delete from t where id = # and v > #",
    "delete from pair where a = # and b = # returning *",
    "delete from part where id = #",
    "select count(*) from t; select # from t where id = #",
    "begin; update t set v = # where id = #; rollback",
];

fn shown(result: Result<(String, Vec<String>), Error>) -> String {
    match result {
        Ok((tag, rows)) => format!("{tag} {}", rows.join(" ")),
        Err(error) => {
            let fields = error.fields();
            format!("{} {} {:?} {:?}", fields.state.as_str(), fields.message, fields.detail, fields.position)
        }
    }
}

/// Every `#` replaced by what comes next.
fn filled(text: &str, values: &mut impl Iterator<Item = i64>) -> String {
    let mut parts = text.split('#');
    let mut filled = parts.next().expect("there is a first part").to_string();
    for part in parts {
        filled.push_str(&values.next().expect("endless").to_string());
        filled.push_str(part);
    }
    filled
}

#[test]
fn a_shared_plan_never_shows() {
    let (_plain_dir, plain_engine) = engine(&[]);
    let (_dir, shared_engine) = engine(&[]);
    let (mut plain, mut shared) = (connect(&plain_engine), connect(&shared_engine));
    for session in [&mut plain, &mut shared] {
        run(session, TABLES).unwrap();
    }
    // Small, so that keys are met again; now and then one beyond an integer.
    let mut state = 1u64;
    let mut values = std::iter::from_fn(|| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let value = (state >> 33) % 12;
        Some(if value == 11 { 3_000_000_000 } else { value as i64 })
    });
    let both = |plain: &mut Session, shared: &mut Session, text: &str| {
        let alone = shown(run(plain, &format!("{text} /* no shape */")));
        let together = shown(run(shared, text));
        assert_eq!(together, alone, "{text}");
    };
    for round in 0..12 {
        for text in TEXTS {
            // Thrice in a row: seen, admitted, used.
            for _ in 0..3 {
                both(&mut plain, &mut shared, &filled(text, &mut values));
            }
        }
        for table in ["t", "big", "pair", "part", "partial"] {
            both(&mut plain, &mut shared, &format!("select * from {table} order by {table}"));
        }
        // A shared plan goes with what it was made for.
        let change = match round {
            3 => "alter table t rename column v to w; alter table t rename column b to v",
            5 => "alter table big drop constraint big_pkey",
            7 => "alter table small alter column id type text",
            9 => "drop table pair; create table pair (a text, b int, v int)",
            _ => continue,
        };
        both(&mut plain, &mut shared, change);
    }
}

#[test]
fn others_see_the_text_as_it_was_sent() {
    let (_dir, engine) = engine(&[]);
    let mut session = connect(&engine);
    run(&mut session, "create table t (id int primary key, q text)").unwrap();
    run(&mut session, "insert into t values (4, ''), (5, ''), (6, '')").unwrap();
    let own = "(select query from pg_stat_activity where pid = pg_backend_pid())";
    run(&mut session, &format!("create function own() returns text language sql as $$select {own}$$"))
        .unwrap();
    for id in [4, 5, 6] {
        let text = format!("update t set q = own() where id = {id} returning q");
        assert_eq!(run(&mut session, &format!("  {text} ; ")).unwrap().1, [text]);
    }
}

//! Diesel: migrations, queries, inserts of many, upserts, associations, errors. `run` compares print-schema with `schema.rs`.

use bigdecimal::BigDecimal;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use serin_clients::{Checks, Outcome, same, url};
use std::str::FromStr;

#[path = "../schema.rs"]
mod schema;
use schema::{post_likes, posts, users};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/diesel");

#[derive(Queryable, Selectable, Identifiable, Debug, PartialEq)]
#[diesel(table_name = users, check_for_backend(Pg))]
struct User {
    id: i32,
    name: String,
    hair_color: Option<String>,
}

#[derive(Queryable, Selectable, Identifiable, Associations, Debug, PartialEq)]
#[diesel(table_name = posts, belongs_to(User), check_for_backend(Pg))]
struct Post {
    id: i64,
    user_id: i32,
    title: String,
    tags: Vec<Option<String>>,
    rating: Option<BigDecimal>,
    published: bool,
}

#[derive(Insertable)]
#[diesel(table_name = users)]
struct NewUser<'a> {
    name: &'a str,
    hair_color: Option<&'a str>,
}

fn migrations(connection: &mut PgConnection) -> Outcome {
    same!(connection.run_pending_migrations(MIGRATIONS)?.len(), 2);
    same!(connection.has_pending_migration(MIGRATIONS)?, false);
    connection.revert_last_migration(MIGRATIONS)?;
    connection.revert_last_migration(MIGRATIONS)?;
    same!(connection.run_pending_migrations(MIGRATIONS)?.len(), 2);
    Ok(())
}

fn inserts(connection: &mut PgConnection) -> Outcome {
    let rows = [NewUser { name: "Sean", hair_color: Some("black") }, NewUser { name: "Tess", hair_color: None }];
    let made: Vec<User> =
        diesel::insert_into(users::table).values(&rows[..]).returning(User::as_returning()).get_results(connection)?;
    same!(made[1], User { id: 2, name: "Tess".into(), hair_color: None });
    let upserted: User = diesel::insert_into(users::table)
        .values(NewUser { name: "Tess", hair_color: Some("red") })
        .on_conflict(users::name)
        .do_update()
        .set(users::hair_color.eq(diesel::upsert::excluded(users::hair_color)))
        .returning(User::as_returning())
        .get_result(connection)?;
    same!((upserted.id, upserted.hair_color.as_deref()), (2, Some("red")));
    let nothing = diesel::insert_into(users::table).values(&rows[..]).on_conflict_do_nothing().execute(connection)?;
    same!(nothing, 0);
    let many: Vec<_> = (0..300)
        .map(|i| {
            let title = posts::title.eq(format!("post {i}"));
            (posts::user_id.eq(1 + i % 2), title, posts::tags.eq(vec![format!("t{}", i % 3)]), posts::rating.eq(BigDecimal::from(i)))
        })
        .collect();
    same!(diesel::insert_into(posts::table).values(many).execute(connection)?, 300);
    Ok(())
}

fn queries(connection: &mut PgConnection) -> Outcome {
    use diesel::dsl::{avg, count_star, exists, max, select};
    let all = users::table.order(users::name.desc()).select(User::as_select()).load(connection)?;
    same!(all.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["Tess", "Sean"]);
    let mine = Post::belonging_to(&all).select(Post::as_select()).load(connection)?;
    let grouped = mine.grouped_by(&all);
    same!(grouped.iter().map(Vec::len).collect::<Vec<_>>(), [150, 150]);
    let joined: Vec<(String, Option<String>)> = users::table
        .left_join(posts::table.on(posts::user_id.eq(users::id).and(posts::title.eq("post 1"))))
        .select((users::name, posts::title.nullable()))
        .order(users::id)
        .load(connection)?;
    same!(joined, [("Sean".into(), None), ("Tess".into(), Some("post 1".into()))]);
    let tagged = posts::table.filter(posts::tags.contains(vec!["t0"])).select(count_star()).first::<i64>(connection)?;
    same!(tagged, 100);
    let figures: (Option<i64>, Option<BigDecimal>) =
        posts::table.select((max(posts::id), avg(posts::rating))).first(connection)?;
    same!(figures, (Some(300), Some(BigDecimal::from_str("149.5")?)));
    same!(select(exists(posts::table.filter(posts::title.ilike("POST 2%")))).get_result::<bool>(connection)?, true);
    let by_user: Vec<(i32, i64)> = posts::table
        .group_by(posts::user_id)
        .having(count_star().gt(10))
        .select((posts::user_id, count_star()))
        .order(posts::user_id)
        .load(connection)?;
    same!(by_user, [(1, 150), (2, 150)]);
    let boxed = posts::table.into_boxed().filter(posts::id.eq_any(vec![1i64, 2, 3])).select(posts::id).order(posts::id.desc());
    same!(boxed.limit(2).load::<i64>(connection)?, [3, 2]);
    let locked = users::table.select(users::id).for_update().skip_locked().load::<i32>(connection)?;
    same!(locked.len(), 2);
    Ok(())
}

fn changes(connection: &mut PgConnection) -> Outcome {
    let published: Vec<i64> = diesel::update(posts::table.filter(posts::rating.lt(BigDecimal::from(2))))
        .set(posts::published.eq(true))
        .returning(posts::id)
        .get_results(connection)?;
    same!(published.len(), 2);
    diesel::insert_into(post_likes::table)
        .values((post_likes::post_id.eq(published[0]), post_likes::user_id.eq(1)))
        .execute(connection)?;
    let twice = diesel::insert_into(post_likes::table)
        .values((post_likes::post_id.eq(published[0]), post_likes::user_id.eq(1)))
        .execute(connection);
    match twice {
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, information)) => {
            same!(information.constraint_name(), Some("post_likes_pkey"));
            same!(information.table_name(), Some("post_likes"));
        }
        other => return Err(format!("{other:?}").into()),
    }
    match diesel::delete(users::table.filter(users::id.eq(1))).execute(connection) {
        Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {}
        other => return Err(format!("{other:?}").into()),
    }
    same!(diesel::delete(users::table.find(2)).execute(connection)?, 1);
    same!(posts::table.count().get_result::<i64>(connection)?, 150);
    Ok(())
}

fn transactions(connection: &mut PgConnection) -> Outcome {
    let undone = connection.transaction::<(), Error, _>(|connection| {
        diesel::delete(posts::table).execute(connection)?;
        let inner = connection.transaction::<(), Error, _>(|_| Err(Error::RollbackTransaction));
        assert!(inner.is_err());
        Err(Error::RollbackTransaction)
    });
    same!(undone, Err(Error::RollbackTransaction));
    let count = connection
        .build_transaction()
        .serializable()
        .read_only()
        .run(|connection| posts::table.count().get_result::<i64>(connection))?;
    same!(count, 150);
    let raw = diesel::sql_query("with recursive n as (select 1 as i union all select i + 1 from n where i < 5) select sum(i) as total from n")
        .get_result::<Total>(connection)?;
    same!(raw.total, 15);
    Ok(())
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    total: i64,
}

fn main() {
    let mut connection = PgConnection::establish(&url("rust_diesel")).expect("the server is there");
    diesel::connection::SimpleConnection::batch_execute(
        &mut connection,
        "set client_min_messages = warning; drop schema if exists rust_diesel cascade; create schema rust_diesel",
    )
    .expect("a schema of its own");
    let mut checks = Checks::new("diesel");
    checks.note("migrations, back and forth", migrations(&mut connection));
    checks.note("inserts, upserts, RETURNING", inserts(&mut connection));
    checks.note("queries, joins, aggregates, locks", queries(&mut connection));
    checks.note("updates, deletes, errors", changes(&mut connection));
    checks.note("transactions", transactions(&mut connection));
    checks.finish();
}

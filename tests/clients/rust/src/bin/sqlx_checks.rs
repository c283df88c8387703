//! sqlx. That it compiles says that the server describes statements as the macros expect: types, nullability, enums.

use serin_clients::{Checks, Outcome, same, url};
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::types::chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::{BigDecimal, Json, Uuid};
use sqlx::{Acquire, Executor, PgPool, Row};
use std::collections::HashMap;
use std::str::FromStr;

#[derive(sqlx::Type, Debug, Clone, Copy, PartialEq)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Ok,
    Happy,
}

#[derive(sqlx::FromRow, Debug, PartialEq)]
struct Author {
    id: i64,
    name: String,
    mood: Mood,
    born: Option<NaiveDate>,
    tags: Vec<String>,
}

async fn macros(pool: &PgPool) -> Outcome {
    let born = NaiveDate::from_ymd_opt(1903, 6, 25);
    let id = sqlx::query_scalar!(
        "insert into author (name, mood, born, settings, tags) values ($1, $2, $3, $4, $5) returning id",
        "George",
        Mood::Happy as Mood,
        born,
        serde_json::json!({ "a": [1, null] }),
        &["x".to_owned(), "y,z".to_owned()][..],
    )
    .fetch_one(pool)
    .await?;
    let row = sqlx::query!(
        r#"select id, name, mood as "mood: Mood", born, settings, tags, made from author where id = $1"#,
        id
    )
    .fetch_one(pool)
    .await?;
    same!((row.id, row.name.as_str(), row.mood, row.born), (id, "George", Mood::Happy, born));
    same!(row.settings, serde_json::json!({ "a": [1, null] }));
    same!(row.tags, ["x", "y,z"]);
    let made: DateTime<Utc> = row.made;
    same!((Utc::now() - made).num_hours(), 0);
    let author = sqlx::query_as!(
        Author,
        r#"select id, name, mood as "mood: _", born, tags from author where name = any($1)"#,
        &["George".to_owned()][..]
    )
    .fetch_one(pool)
    .await?;
    same!(author, Author { id, name: "George".into(), mood: Mood::Happy, born, tags: vec!["x".into(), "y,z".into()] });
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from author a left join book b on b.author_id = a.id"#)
        .fetch_one(pool)
        .await?;
    same!(count, 1);
    // What may be null is an Option: columns of an outer join's other side, expressions.
    let row = sqlx::query!("select a.name as \"name!\", b.title as \"title?\", lower(a.name) as low from author a left join book b on b.author_id = a.id")
        .fetch_one(pool)
        .await?;
    same!((row.name.as_str(), row.title, row.low.as_deref()), ("George", None::<String>, Some("george")));
    Ok(())
}

async fn types(pool: &PgPool) -> Outcome {
    let price = BigDecimal::from_str("12345678.90")?;
    let token = Uuid::new_v4();
    let network: sqlx::types::ipnetwork::IpNetwork = "10.1.0.0/16".parse()?;
    let row = sqlx::query("select $1::numeric, $2::uuid, $3::bytea, $4::float8, $5::inet, $6::int4range, $7::interval, $8::time, null::int")
        .bind(&price)
        .bind(token)
        .bind(vec![0u8, 255])
        .bind(0.1f64)
        .bind(network)
        .bind(sqlx::postgres::types::PgRange::from(1..5))
        .bind(sqlx::postgres::types::PgInterval { months: 1, days: 2, microseconds: 3 })
        .bind(sqlx::types::chrono::NaiveTime::from_hms_opt(1, 2, 3))
        .fetch_one(pool)
        .await?;
    same!(row.get::<BigDecimal, _>(0), price);
    same!(row.get::<Uuid, _>(1), token);
    same!(row.get::<Vec<u8>, _>(2), [0, 255]);
    same!(row.get::<f64, _>(3), 0.1);
    same!(row.get::<sqlx::types::ipnetwork::IpNetwork, _>(4), network);
    same!(row.get::<sqlx::postgres::types::PgRange<i32>, _>(5), (1..5).into());
    same!(row.get::<sqlx::postgres::types::PgInterval, _>(6).days, 2);
    same!(row.get::<Option<i32>, _>(8), None);
    let moods: Vec<Mood> = sqlx::query_scalar("select array['sad', 'ok']::mood[]").fetch_one(pool).await?;
    same!(moods, [Mood::Sad, Mood::Ok]);
    let json: Json<HashMap<String, i32>> = sqlx::query_scalar("select '{\"k\": 1}'::json").fetch_one(pool).await?;
    same!(json.0["k"], 1);
    Ok(())
}

async fn transactions(pool: &PgPool) -> Outcome {
    let mut transaction = pool.begin().await?;
    transaction.execute("insert into author (name) values ('in')").await?;
    let mut inner = transaction.begin().await?;
    let error = inner.execute("insert into author (name) values ('in')").await.unwrap_err();
    let database = error.as_database_error().ok_or("not the database's error")?;
    same!(database.is_unique_violation(), true);
    same!(database.constraint(), Some("author_name_key"));
    same!(database.table(), Some("author"));
    inner.rollback().await?;
    same!(sqlx::query_scalar::<_, i64>("select count(*) from author where name = 'in'").fetch_one(&mut *transaction).await?, 1);
    drop(transaction);
    same!(sqlx::query_scalar::<_, i64>("select count(*) from author where name = 'in'").fetch_one(pool).await?, 0);
    Ok(())
}

async fn changes(pool: &PgPool) -> Outcome {
    let mut bulk = sqlx::QueryBuilder::new("insert into author (name, mood) ");
    bulk.push_values((0..500).map(|i| format!("bulk {i}")), |mut row, name| {
        row.push_bind(name).push_bind(Mood::Sad);
    });
    same!(bulk.build().execute(pool).await?.rows_affected(), 500);
    let names: Vec<String> = (500..1000).map(|i| format!("bulk {i}")).collect();
    let done = sqlx::query("insert into author (name) select * from unnest($1::text[]) on conflict (name) do update set mood = 'sad'")
        .bind(&names)
        .execute(pool)
        .await?;
    same!(done.rows_affected(), 500);
    same!(sqlx::query("delete from author where name like 'bulk %'").execute(pool).await?.rows_affected(), 1000);
    Ok(())
}

async fn copy_and_listen(pool: &PgPool) -> Outcome {
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw("copy author (name) from stdin (format csv)").await?;
    copy.send("\"copied, 1\"\ncopied 2\n".as_bytes()).await?;
    same!(copy.finish().await?, 2);
    drop(connection);
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("rust").await?;
    pool.execute("select pg_notify('rust', 'hello')").await?;
    let heard = tokio::time::timeout(std::time::Duration::from_secs(20), listener.recv()).await??;
    same!((heard.channel(), heard.payload()), ("rust", "hello"));
    Ok(())
}

async fn streams(pool: &PgPool) -> Outcome {
    let rows = sqlx::query("select i from generate_series(1, 10000) i").fetch_all(pool).await?;
    same!(rows.len(), 10000);
    let mut several = pool.acquire().await?;
    several.execute("create temp table a (i int); insert into a values (1); drop table a").await?;
    let described = (&mut *several).describe("select id, name, $1::int from author where made < $2").await?;
    same!(described.nullable(0), Some(false));
    same!(described.columns().len(), 3);
    Ok(())
}

#[tokio::main]
async fn main() {
    let pool = PgPoolOptions::new().max_connections(4).connect(&url("rust_sqlx")).await.expect("the server is there");
    let mut checks = Checks::new("sqlx");
    checks.run("query! and its kin", macros(&pool)).await;
    checks.run("types both ways", types(&pool)).await;
    checks.run("transactions, savepoints, errors", transactions(&pool)).await;
    checks.run("bulk inserts, upserts, deletes", changes(&pool)).await;
    checks.run("COPY, LISTEN", copy_and_listen(&pool)).await;
    checks.run("large results, several statements, describe", streams(&pool)).await;
    checks.finish();
}

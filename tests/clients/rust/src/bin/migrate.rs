//! sqlx's migrations, up to what the `query!` macros of the `sqlx` binary are checked against when it is compiled.

use sqlx::{Connection, Executor, PgConnection};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = PgConnection::connect(&serin_clients::url("rust_sqlx")).await?;
    connection.execute("drop schema if exists rust_sqlx cascade; create schema rust_sqlx").await?;
    let migrator = sqlx::migrate!("migrations/sqlx");
    migrator.run(&mut connection).await?;
    // Again: nothing to do. Back, and again.
    migrator.run(&mut connection).await?;
    migrator.undo(&mut connection, 1).await?;
    migrator.run(&mut connection).await?;
    Ok(())
}

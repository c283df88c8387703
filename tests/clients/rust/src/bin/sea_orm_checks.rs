//! SeaORM: tables made from entities, relations, active records, pagination, upserts, transactions, errors.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    Condition, ConnectionTrait, Database, DatabaseConnection, FromQueryResult, JoinType, Order, QueryOrder, QuerySelect, Schema, SqlErr,
    Statement, TransactionTrait,
};
use serin_clients::{Checks, Outcome, same, url};

mod cake {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "taste")]
    pub enum Taste {
        #[sea_orm(string_value = "sweet")]
        Sweet,
        #[sea_orm(string_value = "salty")]
        Salty,
    }

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "cake")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub name: String,
        pub taste: Taste,
        pub details: Option<Json>,
        pub tags: Vec<String>,
        pub baked: Option<DateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::fruit::Entity")]
        Fruit,
    }

    impl Related<super::fruit::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Fruit.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod fruit {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "fruit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub cake_id: Option<i32>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(belongs_to = "super::cake::Entity", from = "Column::CakeId", to = "super::cake::Column::Id", on_delete = "Cascade")]
        Cake,
    }

    impl Related<super::cake::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Cake.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

async fn tables(db: &DatabaseConnection) -> Outcome {
    let backend = db.get_database_backend();
    let schema = Schema::new(backend);
    for made in schema.create_enum_from_entity(cake::Entity) {
        db.execute(backend.build(&made)).await?;
    }
    db.execute(backend.build(&schema.create_table_from_entity(cake::Entity))).await?;
    db.execute(backend.build(&schema.create_table_from_entity(fruit::Entity))).await?;
    Ok(())
}

fn cake(name: &str) -> cake::ActiveModel {
    cake::ActiveModel {
        id: NotSet,
        name: Set(name.to_owned()),
        taste: Set(cake::Taste::Sweet),
        details: Set(Some(serde_json::json!({ "layers": 3 }))),
        tags: Set(vec!["a".into(), "b,c".into()]),
        baked: Set(Some(chrono::DateTime::UNIX_EPOCH)),
    }
}

async fn records(db: &DatabaseConnection) -> Outcome {
    let made = cake("torte").insert(db).await?;
    same!((made.id, made.taste.clone(), made.tags.clone()), (1, cake::Taste::Sweet, vec!["a".to_owned(), "b,c".to_owned()]));
    same!(made.details, Some(serde_json::json!({ "layers": 3 })));
    same!(made.baked, Some(chrono::DateTime::UNIX_EPOCH));
    let mut changed: cake::ActiveModel = made.into();
    changed.taste = Set(cake::Taste::Salty);
    same!(changed.update(db).await?.taste, cake::Taste::Salty);
    same!(cake::Entity::insert_many((0..50).map(|i| cake(&format!("cake {i}")))).exec(db).await?.last_insert_id, 51);
    let upsert = cake::Entity::insert(cake("torte"))
        .on_conflict(OnConflict::column(cake::Column::Name).update_column(cake::Column::Taste).to_owned())
        .exec_with_returning(db)
        .await?;
    same!((upsert.id, upsert.taste), (1, cake::Taste::Sweet));
    let deleted = cake::Entity::delete_many().filter(cake::Column::Name.ends_with("9")).exec(db).await?;
    same!(deleted.rows_affected, 5);
    Ok(())
}

async fn relations(db: &DatabaseConnection) -> Outcome {
    for name in ["apple", "pear"] {
        let fruit = fruit::ActiveModel { id: Set(Uuid::new_v4()), name: Set(name.into()), cake_id: Set(Some(1)) };
        fruit.insert(db).await?;
    }
    let with = cake::Entity::find().find_with_related(fruit::Entity).order_by_asc(cake::Column::Id).all(db).await?;
    same!((with.len(), with[0].1.len(), with[1].1.len()), (46, 2, 0));
    let also = fruit::Entity::find().find_also_related(cake::Entity).one(db).await?.ok_or("no fruit")?;
    same!(also.1.map(|cake| cake.name), Some("torte".to_owned()));
    let torte = cake::Entity::find_by_id(1).one(db).await?.ok_or("no torte")?;
    same!(torte.find_related(fruit::Entity).count(db).await?, 2);
    #[derive(FromQueryResult)]
    struct Figures {
        name: String,
        fruits: i64,
    }
    let figures = cake::Entity::find()
        .select_only()
        .column(cake::Column::Name)
        .column_as(fruit::Column::Id.count(), "fruits")
        .join(JoinType::InnerJoin, cake::Relation::Fruit.def())
        .group_by(cake::Column::Name)
        .into_model::<Figures>()
        .all(db)
        .await?;
    same!(figures.iter().map(|f| (f.name.as_str(), f.fruits)).collect::<Vec<_>>(), [("torte", 2)]);
    Ok(())
}

async fn queries(db: &DatabaseConnection) -> Outcome {
    let some = Condition::any().add(cake::Column::Name.contains("cake 1")).add(cake::Column::Id.is_in([1, 2, 3]));
    same!(cake::Entity::find().filter(some).order_by(cake::Column::Id, Order::Desc).all(db).await?.len(), 12);
    let pages = cake::Entity::find().order_by_asc(cake::Column::Id).paginate(db, 10);
    same!((pages.num_pages().await?, pages.fetch_page(4).await?.len()), (5, 6));
    let row = db
        .query_one(Statement::from_sql_and_values(db.get_database_backend(), "select $1::int + 1 as next", [41.into()]))
        .await?
        .ok_or("no row")?;
    same!(row.try_get::<i32>("", "next")?, 42);
    Ok(())
}

async fn transactions(db: &DatabaseConnection) -> Outcome {
    let transaction = db.begin().await?;
    cake("temporary").insert(&transaction).await?;
    let inner = transaction.begin().await?;
    let error = cake("temporary").insert(&inner).await.unwrap_err();
    same!(matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), true);
    inner.rollback().await?;
    let locked = cake::Entity::find().filter(cake::Column::Name.eq("temporary")).lock_exclusive().one(&transaction).await?;
    same!(locked.is_some(), true);
    transaction.rollback().await?;
    same!(cake::Entity::find().filter(cake::Column::Name.eq("temporary")).count(db).await?, 0);
    let orphan = fruit::ActiveModel { id: Set(Uuid::new_v4()), name: Set("x".into()), cake_id: Set(Some(9999)) };
    let error = orphan.insert(db).await.unwrap_err();
    same!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))), true);
    Ok(())
}

#[tokio::main]
async fn main() {
    let db = Database::connect(url("rust_sea_orm")).await.expect("the server is there");
    db.execute_unprepared("set client_min_messages = warning; drop schema if exists rust_sea_orm cascade; create schema rust_sea_orm")
        .await
        .expect("a schema of its own");
    let mut checks = Checks::new("sea-orm");
    checks.run("tables and enums from entities", tables(&db)).await;
    checks.run("active records, upserts", records(&db)).await;
    checks.run("relations", relations(&db)).await;
    checks.run("conditions, pages, raw SQL", queries(&db)).await;
    checks.run("transactions, errors", transactions(&db)).await;
    checks.finish();
}

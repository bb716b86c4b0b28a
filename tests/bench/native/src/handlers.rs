//! What is asked of a database: the routes and statements of `bench_sql`, as an author of axum and sqlx would write them. Once for each
//! engine, for sqlx has types of its own for each.

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use futures::{StreamExt, TryStreamExt, future, stream};
use serde_json::json;

use crate::{
    item::{Failure, Item, json},
    lines,
};

const ROW: &str = "SELECT id, a, b, c, d FROM item WHERE id = $1";
const ROWS: &str = "SELECT id, a, b, c, d FROM big ORDER BY id LIMIT $1";
const STREAM: &str = "SELECT id, a, b, c, d FROM big ORDER BY id";
const INSERT: &str = "INSERT INTO entry (item, note) VALUES ($1, $2) RETURNING id";
const BATCH: &str = "INSERT INTO entry (item, note) VALUES ($1, $2)";
const NOTE: &str = "written by a benchmark";

/// Keys of the rows of `/eight`.
const EIGHT: [i64; 8] = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000];

macro_rules! handlers {
    ($engine:ident, $database:ty) => {
        pub(crate) mod $engine {
            use super::*;

            type Pool = &'static sqlx::Pool<$database>;
            type Answer = Result<Response, Failure>;

            pub(crate) fn router(pool: Pool, at_once: bool) -> Router {
                Router::new()
                    .route("/row/{id}", get(row))
                    .route("/rows/{count}", get(rows))
                    .route("/stream", get(stream))
                    .route("/insert", get(insert))
                    .route("/batch", get(batch))
                    .route("/eight", if at_once { get(eight_at_once) } else { get(eight) })
                    .with_state(pool)
            }

            async fn item(pool: Pool, id: i64) -> sqlx::Result<Item> {
                sqlx::query_as(ROW).bind(id).fetch_one(pool).await
            }

            async fn row(State(pool): State<Pool>, Path(id): Path<i64>) -> Answer {
                json(&item(pool, id).await?)
            }

            async fn rows(State(pool): State<Pool>, Path(count): Path<i64>) -> Answer {
                let items: Vec<Item> = sqlx::query_as(ROWS).bind(count).fetch_all(pool).await?;
                json(&items)
            }

            async fn stream(State(pool): State<Pool>) -> Response {
                lines::answer(sqlx::query_as(STREAM).fetch(pool))
            }

            async fn insert(State(pool): State<Pool>) -> Answer {
                let mut transaction = pool.begin().await?;
                let id: i64 = sqlx::query_scalar(INSERT).bind(4711_i64).bind(NOTE).fetch_one(&mut *transaction).await?;
                transaction.commit().await?;
                json(&json!({ "id": id }))
            }

            async fn batch(State(pool): State<Pool>) -> Answer {
                let mut transaction = pool.begin().await?;
                let mut rows = 0;
                for item in 1..=100_i64 {
                    rows += sqlx::query(BATCH).bind(item).bind(NOTE).execute(&mut *transaction).await?.rows_affected();
                }
                transaction.commit().await?;
                json(&json!({ "rows": rows }))
            }

            async fn eight(State(pool): State<Pool>) -> Answer {
                let items: Vec<Item> = stream::iter(EIGHT).then(|id| item(pool, id)).try_collect().await?;
                json(&items)
            }

            async fn eight_at_once(State(pool): State<Pool>) -> Answer {
                json(&future::try_join_all(EIGHT.map(|id| item(pool, id))).await?)
            }
        }
    };
}

handlers!(postgres, sqlx::Postgres);
handlers!(sqlite, sqlx::Sqlite);

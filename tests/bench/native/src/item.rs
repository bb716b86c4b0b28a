//! A row of `item` and of `big`, read by name, and written as JSON.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

#[derive(Debug, Serialize)]
pub(crate) struct Item {
    id: i64,
    a: String,
    b: i64,
    c: f64,
    d: Option<String>,
}

/// What `#[derive(FromRow)]` would write.
impl<'r, R> FromRow<'r, R> for Item
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Type<R::Database> + Decode<'r, R::Database>,
    f64: Type<R::Database> + Decode<'r, R::Database>,
    String: Type<R::Database> + Decode<'r, R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            a: row.try_get("a")?,
            b: row.try_get("b")?,
            c: row.try_get("c")?,
            d: row.try_get("d")?,
        })
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

/// An answer of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Response, Failure> {
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], serde_json::to_vec(value)?).into_response())
}

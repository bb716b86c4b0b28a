//! Many rows as an answer that streams, a line of JSON each.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{TryStreamExt, stream, stream::BoxStream};
use http::{HeaderValue, header};

use crate::item::Item;

/// Bytes that are sent at a time.
const PIECE: usize = 16 * 1024;

/// An answer that is written while its rows are read. Its reader sets the pace.
pub(crate) fn answer(rows: BoxStream<'static, sqlx::Result<Item>>) -> Response {
    let pieces = stream::try_unfold(Some(rows), async |rows| {
        let Some(mut rows) = rows else { return Ok(None) };
        let mut piece = Vec::with_capacity(PIECE + 256);
        while piece.len() < PIECE {
            match rows.try_next().await? {
                Some(item) => {
                    serde_json::to_writer(&mut piece, &item)?;
                    piece.push(b'\n');
                }
                None => return Ok::<_, anyhow::Error>(Some((Bytes::from(piece), None))),
            }
        }
        Ok(Some((Bytes::from(piece), Some(rows))))
    });
    let kind = HeaderValue::from_static("application/x-ndjson");
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response()
}

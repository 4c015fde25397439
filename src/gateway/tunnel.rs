//! An upgraded connection (RFC 9110 §7.8): after `101 Switching Protocols` octets go both ways, unread.
//!
//! The credential was judged once, with the request that asked for the upgrade.

use std::io;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::{Stream, StreamExt as _, stream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

/// The most that is read from the upstream at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Sends what the client says to the upstream and gives back what the upstream says, until either side ends.
pub fn through(upstream: Upgraded, client: Payload) -> impl Stream<Item = io::Result<Bytes>> {
    let (reader, writer) = split(TokioIo::new(upstream));
    actix_web::rt::spawn(send(client, writer));
    stream::try_unfold(reader, receive)
}

/// Ends when the client does; shutting the writing half tells the upstream.
async fn send(mut client: Payload, mut upstream: WriteHalf<TokioIo<Upgraded>>) {
    while let Some(Ok(chunk)) = client.next().await {
        if upstream.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // A client that is gone can't hear that this failed.
    let _ = upstream.shutdown().await;
}

async fn receive(
    mut upstream: ReadHalf<TokioIo<Upgraded>>,
) -> io::Result<Option<(Bytes, ReadHalf<TokioIo<Upgraded>>)>> {
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    let read = upstream.read_buf(&mut chunk).await?;
    Ok((read > 0).then(|| (chunk.freeze(), upstream)))
}

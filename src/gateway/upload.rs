//! The body of a request on its way to the operator's API: one that was read before, or one that streams and is never held.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Chunks of an upload that may wait between the client's connection and the upstream's.
const CHUNKS_WAITING: usize = 2;

/// The body of a request on its way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    source: Source,
    /// What is announced in `Content-Length`; `None`: chunked.
    length: Option<u64>,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    Nothing,
    Whole(Bytes),
    Stream(Receiver<Piece>),
}

/// What comes in of an upload. One that stops without its end broke off, and must not look whole to the upstream.
#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End,
}

impl Outgoing {
    /// A body that was read before.
    pub fn whole(body: Bytes) -> Self {
        let length = u64::try_from(body.len()).ok();
        Self { source: if body.is_empty() { Source::Nothing } else { Source::Whole(body) }, length }
    }

    /// A body that comes in while it goes out. `length`: what the client announced.
    ///
    /// The upload runs on this thread until it is over, breaks off, or the upstream wants no more of it.
    pub fn stream(mut payload: Payload, length: Option<u64>) -> (Self, Upload) {
        let (sender, receiver) = channel(CHUNKS_WAITING);
        let mut upload = Upload::none();
        let (last_moved, waits_for_client) = (Rc::clone(&upload.last_moved), Rc::clone(&upload.waits_for_client));
        upload.task = Some(actix_web::rt::spawn(async move {
            loop {
                waits_for_client.set(true);
                // When the upstream wants no more, what the client still sends is not read.
                let read = tokio::select! {
                    read = payload.next() => Some(read),
                    () = sender.closed() => None,
                };
                waits_for_client.set(false);
                let Some(read) = read else { return };
                let piece = match read {
                    Some(Ok(chunk)) => Piece::Chunk(chunk),
                    Some(Err(_)) => return,
                    None => Piece::End,
                };
                let ended = matches!(piece, Piece::End);
                if sender.send(piece).await.is_err() || ended {
                    return;
                }
                last_moved.set(Instant::now());
            }
        }));
        (Self { source: Source::Stream(receiver), length }, upload)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::Whole(body) => {
                let body = std::mem::take(body);
                self.source = Source::Nothing;
                Poll::Ready(Some(Ok(Frame::data(body))))
            }
            Source::Stream(receiver) => receiver.poll_recv(context).map(|piece| match piece {
                Some(Piece::Chunk(chunk)) => Some(Ok(Frame::data(chunk))),
                Some(Piece::End) => None,
                None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.length) {
            (Source::Nothing, _) => SizeHint::with_exact(0),
            (_, Some(length)) => SizeHint::with_exact(length),
            (_, None) => SizeHint::default(),
        }
    }
}

/// An upload under way. It lives as long as its exchange: dropping it ends the upload, so that neither side waits for
/// one that is gone.
pub struct Upload {
    last_moved: Rc<Cell<Instant>>,
    waits_for_client: Rc<Cell<bool>>,
    task: Option<JoinHandle<()>>,
}

impl Upload {
    /// Nothing is uploaded, or it was before.
    pub fn none() -> Self {
        Self { last_moved: Rc::new(Cell::new(Instant::now())), waits_for_client: Rc::default(), task: None }
    }

    /// When the upstream took something of it for the last time.
    pub fn last_moved(&self) -> Instant {
        self.last_moved.get()
    }

    /// Whether it is the client's turn, not the upstream's.
    pub fn waits_for_client(&self) -> bool {
        self.waits_for_client.get()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::sync::mpsc::Sender;

    fn streamed() -> (Sender<Piece>, Outgoing) {
        let (sender, receiver) = channel(4);
        (sender, Outgoing { source: Source::Stream(receiver), length: None })
    }

    #[actix_web::test]
    async fn an_upload_that_stops_without_its_end_broke_off() {
        let (sender, body) = streamed();
        sender.send(Piece::Chunk(Bytes::from_static(b"half"))).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[actix_web::test]
    async fn an_upload_with_its_end_is_whole() {
        let (sender, body) = streamed();
        sender.send(Piece::Chunk(Bytes::from_static(b"whole"))).await.unwrap();
        sender.send(Piece::End).await.unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes().as_ref(), b"whole");
    }

    #[test]
    fn what_was_read_before_announces_its_length_and_nothing_is_no_body() {
        assert_eq!(Outgoing::whole(Bytes::from_static(b"abc")).size_hint().exact(), Some(3));
        assert!(Outgoing::whole(Bytes::new()).is_end_stream());
        assert_eq!(Outgoing::default().size_hint().exact(), Some(0));
    }
}

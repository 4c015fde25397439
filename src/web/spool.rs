//! Bodies that must be read before judging: the first part in memory, the rest in a temporary file until all of it has come, so
//! that whoever sends slowly holds little memory. Once whole, a body is judged in memory, as many at once as there is room for.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut, Payload, block};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::auth::verdict::Refusal;
use crate::web::room::{Place, Room, Turn, Turns};

/// A body may pause for so long, and take so long in all: whoever sends one can't hold our memory for longer.
const SILENCE: Duration = Duration::from_secs(30);
const WHOLE_BODY: Duration = Duration::from_secs(120);

/// How long one that is whole waits for others to be judged.
const TURN: Duration = Duration::from_secs(30);

/// How much of one body is in memory while it comes, in octets: most forms are smaller, and never see a disk.
const IN_MEMORY: usize = 64 * 1024;

/// All that has come of bodies, in octets: in memory, and in files.
const MEMORY: usize = 128 * 1024 * 1024;
const DISK: usize = 2 * 1024 * 1024 * 1024;

/// Spooled bodies that are whole, in octets.
const JUDGED: usize = 128 * 1024 * 1024;

/// Where bodies are held.
pub struct Spool {
    memory: Arc<Room>,
    disk: Arc<Room>,
    judged: Turns,
    /// For temporary files. `None`: bodies stay in memory.
    folder: Option<PathBuf>,
    /// Whether no file could be made lately, which is said once.
    fails: AtomicBool,
}

impl Spool {
    /// `largest`: the most that one body may have, in octets; one of these always fits. `folder`: for temporary files; where it
    /// takes none, bodies stay in memory.
    pub fn new(largest: usize, folder: PathBuf) -> Self {
        let folder = match tempfile::tempfile_in(&folder) {
            Ok(_) => Some(folder),
            Err(error) => {
                let folder = folder.display();
                tracing::warn!(%error, %folder, "bodies that are read before judging stay in memory: set TMPDIR to a folder for temporary files");
                None
            }
        };
        Self {
            memory: Room::new(MEMORY, if folder.is_some() { IN_MEMORY } else { largest }),
            disk: Room::new(DISK, largest),
            judged: Turns::new(JUDGED, largest),
            folder,
            fails: AtomicBool::new(false),
        }
    }

    /// Reads a body of `limit` octets at most. What lies beyond is not read.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`]; [`Refusal::Target`] when the body breaks off or is too slow; [`Refusal::Unavailable`] while as
    /// much is held as there is room for.
    pub async fn read(&self, limit: usize, from: IpAddr, payload: &mut Payload) -> Result<Bytes, Refusal> {
        let gathered = timeout(WHOLE_BODY, self.gather(limit, from, payload)).await;
        match gathered.unwrap_or(Err(Refusal::Target("the body came too slowly")))? {
            Gathered::InMemory(body) => Ok(body),
            Gathered::Spooled(file) => {
                let turn = timeout(TURN, self.judged.take(file.length, from)).await.ok().flatten();
                file.read(turn.ok_or(Refusal::Unavailable)?).await
            }
        }
    }

    async fn gather(&self, limit: usize, from: IpAddr, payload: &mut Payload) -> Result<Gathered, Refusal> {
        let mut place = self.memory.place(from);
        let mut buffer = BytesMut::new();
        let mut spooled: Option<Spooled> = None;
        let mut takes_files = true;
        let mut length = 0;
        while let Some(chunk) = next_chunk(payload, SILENCE).await? {
            let chunk = chunk.map_err(|_| Refusal::Target("the body broke off"))?;
            length += chunk.len();
            if length > limit {
                return Err(Refusal::BodyTooLarge { limit });
            }
            if buffer.len() + chunk.len() > IN_MEMORY && spooled.is_none() && takes_files {
                spooled = self.file(from).await;
                takes_files = spooled.is_some();
            }
            if buffer.len() + chunk.len() > IN_MEMORY
                && let Some(file) = spooled.take()
            {
                spooled = Some(file.append([buffer.split().freeze(), chunk]).await?);
            } else if place.reach(buffer.len() + chunk.len()) {
                buffer.extend_from_slice(&chunk);
            } else {
                return Err(Refusal::Unavailable);
            }
        }
        Ok(match spooled {
            None => Gathered::InMemory(place.hold(buffer.freeze())),
            Some(file) => Gathered::Spooled(file.append([buffer.freeze(), Bytes::new()]).await?),
        })
    }

    /// A file for a body from this address. `None`: there can be none, and the body stays in memory, which has room for so
    /// much less of them.
    async fn file(&self, from: IpAddr) -> Option<Spooled> {
        let folder = self.folder.clone()?;
        let made = block(move || tempfile::tempfile_in(folder)).await.map_err(io::Error::other).flatten();
        let failed = self.fails.swap(made.is_err(), Ordering::Relaxed);
        match made {
            Ok(file) => Some(Spooled { file, length: 0, place: self.disk.place(from) }),
            Err(error) => {
                if !failed {
                    tracing::error!(%error, "no temporary file can be made for a body, which stays in memory: is TMPDIR there?");
                }
                None
            }
        }
    }
}

/// All of a body.
enum Gathered {
    InMemory(Bytes),
    Spooled(Spooled),
}

/// A body in a file without a name, which is gone with the process.
struct Spooled {
    file: File,
    length: usize,
    place: Place,
}

impl Spooled {
    /// One after the other.
    async fn append(mut self, [first, second]: [Bytes; 2]) -> Result<Self, Refusal> {
        self.length += first.len() + second.len();
        if !self.place.reach(self.length) {
            return Err(Refusal::Unavailable);
        }
        on_disk(move || {
            self.file.write_all(&first)?;
            self.file.write_all(&second)?;
            Ok(self)
        })
        .await
    }

    /// Into memory, as soon as it is this one's turn.
    async fn read(mut self, turn: Turn) -> Result<Bytes, Refusal> {
        // Whoever asked may go away meanwhile; what is read then still takes room.
        let judged = on_disk(move || {
            let mut octets = Vec::with_capacity(self.length);
            self.file.rewind()?;
            self.file.read_to_end(&mut octets)?;
            Ok(Judged { octets, _turn: turn })
        });
        Ok(Bytes::from_owner(judged.await?))
    }
}

/// A body that was spooled; the last copy of it makes room for the next.
struct Judged {
    octets: Vec<u8>,
    _turn: Turn,
}

impl AsRef<[u8]> for Judged {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

/// Work that waits for a disk, where no request waits with it.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    let outcome = block(work).await.map_err(io::Error::other).flatten();
    outcome.map_err(|error| {
        tracing::error!(%error, "a body can't be held in a temporary file: TMPDIR is where these are");
        Refusal::Unavailable
    })
}

/// What comes next of a body.
///
/// # Errors
/// [`Refusal::Target`]: nothing came for `silence`.
async fn next_chunk(payload: &mut Payload, silence: Duration) -> Result<Option<Result<Bytes, PayloadError>>, Refusal> {
    timeout(silence, payload.next()).await.map_err(|_| Refusal::Target("the body stopped coming"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::FromRequest as _;
    use actix_web::test::TestRequest;
    use futures_util::stream;
    use futures_util::{FutureExt as _, Stream};
    use std::net::Ipv4Addr;
    use std::pin::Pin;

    type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const MIB: usize = 1024 * 1024;

    async fn payload(chunks: Chunks) -> Payload {
        Payload::from_request(&TestRequest::default().to_http_request(), &mut chunks.into()).await.unwrap()
    }

    /// A body in chunks of 10,000 octets, all of them different.
    fn body(length: usize) -> Vec<u8> {
        (0..length).map(|place| (place / 10_000 + place) as u8).collect()
    }

    async fn sent(body: &[u8]) -> Payload {
        let chunks: Vec<_> = body.chunks(10_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        payload(Box::pin(stream::iter(chunks))).await
    }

    fn spool() -> Spool {
        Spool::new(MIB, std::env::temp_dir())
    }

    #[actix_web::test]
    async fn a_body_is_the_same_whether_it_was_spooled_or_not() {
        let in_memory = Spool::new(MIB, "/nowhere".into());
        for length in [0, 1, IN_MEMORY - 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY, MIB] {
            let body = body(length);
            for spool in [&spool(), &in_memory] {
                assert_eq!(spool.read(MIB, FROM, &mut sent(&body).await).await.unwrap(), body, "{length}");
            }
        }
    }

    #[actix_web::test]
    async fn what_lies_beyond_the_limit_is_refused_and_not_read() {
        for (limit, length) in [(10, 11), (IN_MEMORY, 2 * IN_MEMORY), (MIB - 1, 2 * MIB)] {
            let mut payload = sent(&body(length)).await;
            assert_eq!(spool().read(limit, FROM, &mut payload).await, Err(Refusal::BodyTooLarge { limit }));
        }
    }

    #[actix_web::test]
    async fn a_body_that_still_comes_holds_little_memory_and_none_when_it_breaks_off() {
        let spool = spool();
        let (memory, disk) = (Arc::clone(&spool.memory), Arc::clone(&spool.disk));
        let first: Vec<_> = body(500_000).chunks(10_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let last = stream::once(async move {
            assert!(memory.octets() <= IN_MEMORY, "{}", memory.octets());
            assert!(disk.octets() >= 500_000 - IN_MEMORY, "{}", disk.octets());
            Err(PayloadError::Incomplete(None))
        });
        let mut broken = payload(Box::pin(stream::iter(first).chain(last))).await;
        assert_eq!(spool.read(MIB, FROM, &mut broken).await, Err(Refusal::Target("the body broke off")));
        assert_eq!((spool.memory.octets(), spool.disk.octets()), (0, 0));
    }

    #[actix_web::test]
    async fn what_was_spooled_is_judged_when_others_have_made_room() {
        let spool = Spool { judged: Turns::new(MIB, MIB), ..spool() };
        let body = body(MIB);
        let first = spool.read(MIB, FROM, &mut sent(&body).await).await.unwrap();
        assert_eq!(spool.disk.octets(), 0);
        let copy = first.slice(1..);
        drop(first);
        assert!(spool.judged.take(1, FROM).now_or_never().is_none(), "a copy is left");
        let mut next = sent(&body).await;
        let (second, ()) = tokio::join!(spool.read(MIB, FROM, &mut next), async move { drop(copy) });
        assert_eq!(second.unwrap(), body);
        assert!(spool.judged.take(MIB, FROM).now_or_never().is_some());
    }

    #[actix_web::test]
    async fn where_no_file_can_be_made_any_more_a_body_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(MIB, folder.path().to_owned());
        drop(folder);
        let body = body(MIB);
        assert_eq!(spool.read(MIB, FROM, &mut sent(&body).await).await.unwrap(), body);
    }

    #[actix_web::test]
    async fn files_have_a_bound_of_all_together() {
        let spool = Spool { disk: Room::new(8 * 100_000, 100_000), ..spool() };
        assert!(spool.read(MIB, FROM, &mut sent(&body(100_000)).await).await.is_ok());
        assert_eq!(spool.read(MIB, FROM, &mut sent(&body(200_000)).await).await, Err(Refusal::Unavailable));
    }

    #[actix_web::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let mut silent = payload(Box::pin(stream::pending())).await;
        let outcome = next_chunk(&mut silent, Duration::ZERO).await;
        assert_eq!(outcome.unwrap_err(), Refusal::Target("the body stopped coming"));
    }
}

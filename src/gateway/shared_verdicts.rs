//! One client request gets one verdict, also when its proxy asks twice: `gateway.request_id_header`.
//!
//! nginx asks again after an internal redirect, and proxies repeat a question whose answer was lost; a nonce is good for
//! once. Two questions are one if they have the same id, come from the same proxy and describe the same request, down
//! to its credential and body. Answers are kept for ten seconds at most and in bounded number; what fell out is judged anew.

use std::net::IpAddr;

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::gateway::metadata::Family;
use crate::protocol::request::{Headers, ReceivedRequest, Sent};
use crate::time::{Lifetime, Timestamp};

/// The longest that an answer is given again.
const KEPT: Lifetime = Lifetime::from_seconds(10);

/// Answers that are kept at most; a few hundred bytes each.
const CAPACITY: usize = 32_768;

/// Kept answers of type `A`.
pub struct SharedVerdicts<A> {
    answers: Cache<[u8; 32], (A, Timestamp)>,
    kept: Lifetime,
}

impl<A: Clone> SharedVerdicts<A> {
    /// Without any answer yet. `good_for`: an answer holds something that ends so soon.
    pub fn new(good_for: Option<Lifetime>) -> Self {
        let kept = good_for.map_or(KEPT, |good_for| KEPT.min(good_for));
        Self { answers: Cache::new(CAPACITY), kept }
    }

    /// The answer of `judge`, or the one that it gave to the same question before. Of several that ask at once one is
    /// judged and all get its answer.
    ///
    /// # Errors
    /// An answer that must not be given again: `judge` returns it as `Err`.
    pub async fn once(&self, question: [u8; 32], now: Timestamp, judge: impl AsyncFnOnce() -> Result<A, A>) -> A {
        let is_old = |(_, given): &(A, Timestamp)| *given + self.kept < now;
        self.answers.remove_if(&question, is_old);
        let answered = self.answers.get_or_insert_async(&question, async { judge().await.map(|answer| (answer, now)) });
        match answered.await {
            Ok((answer, _)) | Err(answer) => answer,
        }
    }
}

/// What makes two questions one. `id`: what the proxy wrote in the configured header.
pub fn question(id: &str, peer: IpAddr, family: Family, request: &ReceivedRequest<'_>) -> [u8; 32] {
    let ReceivedRequest { method, scheme, authority, path, query, headers, body, client_address, arrived: _ } = request;
    // In one piece, which is hashed sooner than its parts.
    let mut question = Vec::with_capacity(1024);
    let mut add = |part: Option<&[u8]>| {
        // The length in front keeps neighbours apart, and absence apart from emptiness.
        let length = part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX));
        question.extend_from_slice(&length.to_be_bytes());
        question.extend_from_slice(part.unwrap_or_default());
    };
    for text in [id, method, scheme.as_str(), authority, path] {
        add(Some(text.as_bytes()));
    }
    add(query.map(str::as_bytes));
    add(*body);
    let Headers {
        authorization,
        authorization_octets,
        client_key,
        cookies,
        user_agent,
        content_type,
        origin,
        fetch_site,
        csrf_token,
        oauth_scope,
        accept,
        requested_method,
        encoded,
        came_in_clear,
        websocket,
        // These decide nothing.
        host: _,
        unread_body: _,
        meant_methods,
    } = headers;
    for sent in [authorization, client_key] {
        match sent {
            Sent::Never => add(None),
            Sent::Once(text) => add(Some(text.as_bytes())),
            Sent::Unreadable => add(Some(b"\0 unreadable")),
            Sent::Repeatedly => add(Some(b"\0 more than one")),
        }
    }
    add(*authorization_octets);
    add(encoded.then_some(b"encoded"));
    add(came_in_clear.then_some(b"clear"));
    add(websocket.then_some(b"websocket"));
    for text in [user_agent, content_type, origin, fetch_site, csrf_token, oauth_scope, accept, requested_method] {
        add(text.map(str::as_bytes));
    }
    for text in cookies.lines().map(Some).chain([None]).chain(*meant_methods) {
        add(text.map(str::as_bytes));
    }
    for address in [peer, *client_address] {
        match address {
            IpAddr::V4(address) => add(Some(&address.octets())),
            IpAddr::V6(address) => add(Some(&address.octets())),
        }
    }
    add(Some(family.name().as_bytes()));
    Sha256::digest(&question).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::UriScheme;
    use std::cell::Cell;

    const NOW: Timestamp = Timestamp::from_unix(1000);
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn request(path: &str) -> ReceivedRequest<'_> {
        ReceivedRequest {
            method: "GET",
            scheme: UriScheme::Https,
            authority: "h",
            path,
            query: None,
            headers: Headers::default(),
            body: None,
            client_address: PEER,
            arrived: NOW,
        }
    }

    #[actix_web::test]
    async fn the_second_question_gets_the_first_answer_for_ten_seconds() {
        let verdicts = SharedVerdicts::new(None);
        let judged = Cell::new(0);
        let ask = async |now| {
            let judge = async || {
                judged.set(judged.get() + 1);
                Ok(judged.get())
            };
            verdicts.once([1; 32], now, judge).await
        };
        assert_eq!((ask(NOW).await, ask(NOW + KEPT).await), (1, 1));
        assert_eq!(ask(NOW + Lifetime::from_seconds(11)).await, 2);
    }

    #[actix_web::test]
    async fn an_answer_that_must_not_be_kept_is_not() {
        let verdicts = SharedVerdicts::new(None);
        assert_eq!(verdicts.once([1; 32], NOW, async || Err("unavailable")).await, "unavailable");
        assert_eq!(verdicts.once([1; 32], NOW, async || Ok("good")).await, "good");
    }

    #[actix_web::test]
    async fn an_answer_that_is_good_for_less_is_kept_for_less() {
        let verdicts = SharedVerdicts::new(Some(Lifetime::from_seconds(2)));
        let ask = async |given, now| verdicts.once([1; 32], now, async || Ok(given)).await;
        assert_eq!(ask(1, NOW).await, 1);
        assert_eq!(ask(2, NOW + Lifetime::from_seconds(2)).await, 1);
        assert_eq!(ask(3, NOW + Lifetime::from_seconds(3)).await, 3);
    }

    #[test]
    fn anything_that_differs_makes_another_question() {
        type Change = fn(&mut ReceivedRequest<'static>);
        let changes: [Change; 27] = [
            |_| {},
            |request| request.method = "HEAD",
            |request| request.scheme = UriScheme::Http,
            |request| request.authority = "i",
            |request| request.path = "/b",
            |request| request.query = Some(""),
            |request| request.query = Some("a"),
            |request| request.body = Some(b""),
            |request| request.body = Some(b"a=1"),
            |request| request.client_address = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
            |request| request.headers.authorization = Sent::Once("OAuth x"),
            |request| request.headers.authorization = Sent::Repeatedly,
            |request| request.headers.authorization_octets = Some(b"Digest \xfc"),
            |request| request.headers.client_key = Sent::Once("k"),
            |request| request.headers.cookies.add("a=1").unwrap(),
            |request| request.headers.user_agent = Some("curl"),
            |request| request.headers.content_type = Some("text/plain"),
            |request| request.headers.origin = Some("https://o"),
            |request| request.headers.fetch_site = Some("none"),
            |request| request.headers.csrf_token = Some("t"),
            |request| request.headers.requested_method = Some("PUT"),
            |request| request.headers.oauth_scope = Some("a"),
            |request| request.headers.accept = Some("text/html"),
            |request| request.headers.encoded = true,
            |request| request.headers.came_in_clear = true,
            |request| request.headers.websocket = true,
            |request| request.headers.meant_methods[0] = Some("PUT"),
        ];
        let mut questions: Vec<_> = changes
            .iter()
            .map(|change| {
                let mut changed = request("/a");
                change(&mut changed);
                assert_eq!(
                    question("id", PEER, Family::Nginx, &changed),
                    question("id", PEER, Family::Nginx, &changed)
                );
                question("id", PEER, Family::Nginx, &changed)
            })
            .collect();
        questions.push(question("other", PEER, Family::Nginx, &request("/a")));
        questions.push(question("id", "192.0.2.1".parse().unwrap(), Family::Nginx, &request("/a")));
        questions.push(question("id", PEER, Family::Forward, &request("/a")));
        let different: std::collections::HashSet<_> = questions.iter().collect();
        assert_eq!(different.len(), questions.len());
    }
}

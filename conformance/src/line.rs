//! The line to the provider: every request of a case goes through here and is written down with its answer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::http::{Client, Connection, HttpError, Origin, Response};

/// Reaches the origins of one target. Shared by all cases.
#[derive(Debug)]
pub struct Network {
    timeout: Duration,
    certificates: Option<PathBuf>,
    clients: Mutex<HashMap<String, Client>>,
}

impl Network {
    /// A network whose exchanges take `timeout` at most.
    pub fn new(timeout: Duration, certificates: Option<PathBuf>) -> Network {
        Network { timeout, certificates, clients: Mutex::new(HashMap::new()) }
    }

    fn client(&self, origin: &Origin) -> Result<Client, HttpError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&origin.address()) {
            return Ok(client.clone());
        }
        let client = Client::new(origin.clone(), self.timeout, self.certificates.as_deref())?;
        clients.insert(origin.address(), client.clone());
        Ok(client)
    }

    fn send(&self, origin: &Origin, request: &[u8]) -> Result<Response, HttpError> {
        self.client(origin)?.exchange(request, request.starts_with(b"HEAD "))
    }

    /// Sends requests at the same moment: all connections are open and all but the last byte is sent before any request is complete.
    fn race(&self, origin: &Origin, requests: &[Vec<u8>]) -> Vec<Result<Response, HttpError>> {
        let barrier = Barrier::new(requests.len());
        let client = self.client(origin);
        thread::scope(|scope| {
            let runners: Vec<_> = requests
                .iter()
                .map(|request| {
                    let (client, barrier) = (&client, &barrier);
                    scope.spawn(move || {
                        let (most, last) = request.split_at(request.len().saturating_sub(1));
                        let opened = client.clone().and_then(|c| c.connect()).and_then(|mut connection: Connection| {
                            connection.send(most)?;
                            Ok(connection)
                        });
                        barrier.wait();
                        let mut connection = opened?;
                        connection.send(last)?;
                        connection.receive(request.starts_with(b"HEAD "))
                    })
                })
                .collect();
            runners.into_iter().map(|r| r.join().unwrap_or(Err(HttpError::Closed))).collect()
        })
    }
}

/// A request and what came of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What the request was for.
    pub note: String,
    /// The bytes sent.
    pub request: Vec<u8>,
    /// The answer.
    pub answer: Result<Response, HttpError>,
}

/// The line of one case, with its transcript.
#[derive(Debug)]
pub struct Line<'a> {
    network: &'a Network,
    /// Everything said so far.
    pub transcript: Vec<Exchange>,
}

impl<'a> Line<'a> {
    /// A fresh line.
    pub fn new(network: &'a Network) -> Line<'a> {
        Line { network, transcript: Vec::new() }
    }

    /// Sends one request and writes down the answer.
    pub fn send(&mut self, note: &str, origin: &Origin, request: Vec<u8>) -> Result<Response, HttpError> {
        let answer = self.network.send(origin, &request);
        self.transcript.push(Exchange { note: note.to_owned(), request, answer: answer.clone() });
        answer
    }

    /// Sends requests at the same moment.
    pub fn race(&mut self, note: &str, origin: &Origin, requests: Vec<Vec<u8>>) -> Vec<Result<Response, HttpError>> {
        let answers = self.network.race(origin, &requests);
        for (number, (request, answer)) in requests.into_iter().zip(&answers).enumerate() {
            self.transcript.push(Exchange {
                note: format!("{note}, {} at once", number + 1),
                request,
                answer: answer.clone(),
            });
        }
        answers
    }
}

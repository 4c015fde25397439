//! How a request waits for its commit: one wake per batch and worker thread.
//!
//! Waking a task from another thread costs a lock and often a system call, and a batch completes up to 4,096 of them. So the
//! committer writes all the answers, then wakes one waiting task of each worker thread, and that task wakes its neighbours from
//! their own thread, where a wake is a push to a local list. If the chosen task goes away first, it passes the duty on.
//!
//! A waiting task must be polled or dropped when it is woken, as every executor does: a task that parks a woken claim beside
//! other work holds up its neighbours.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::journal::Outcome;

/// The committer's end of a waiting claim.
pub struct Ticket {
    thread: ThreadNumber,
    state: Mutex<State>,
}

/// The request's end: resolves to what the store said, or to `None` when it could not say anything.
#[must_use]
pub struct Waiting(Arc<Ticket>);

/// `None`: the store failed, and it is not known what it kept.
pub type Answer = Option<Outcome>;

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    waker: Option<Waker>,
    /// Tickets of the same thread that whoever holds this one has to wake.
    neighbours: Vec<Arc<Ticket>>,
}

/// A pair of ends, for the thread it is made on.
pub fn pair() -> (Arc<Ticket>, Waiting) {
    let ticket = Arc::new(Ticket { thread: ThreadNumber::current(), state: Mutex::default() });
    (Arc::clone(&ticket), Waiting(ticket))
}

/// Gives every ticket its answer, then wakes one task of each thread. Whoever has not been polled yet finds the answer then, and
/// nobody may wait for that.
pub fn complete(answered: impl IntoIterator<Item = (Arc<Ticket>, Answer)>) {
    let mut by_thread: Vec<(ThreadNumber, Vec<Arc<Ticket>>)> = Vec::new();
    for (ticket, answer) in answered {
        let waits = {
            let mut state = ticket.lock();
            state.answer = Some(answer);
            state.waker.is_some()
        };
        if !waits {
            continue;
        }
        let thread = ticket.thread;
        match by_thread.iter_mut().find(|(known, _)| *known == thread) {
            Some((_, tickets)) => tickets.push(ticket),
            None => by_thread.push((thread, vec![ticket])),
        }
    }
    for (_, tickets) in by_thread {
        wake_through_one(tickets);
    }
}

/// Finds a ticket whose request is still there, hands it all the others, and wakes its task.
fn wake_through_one(mut tickets: Vec<Arc<Ticket>>) {
    while let Some(chosen) = tickets.pop() {
        let mut state = chosen.lock();
        // Without a waker its request has gone away meanwhile.
        let Some(waker) = state.waker.take() else { continue };
        state.neighbours.append(&mut tickets);
        drop(state);
        waker.wake();
        return;
    }
}

impl Ticket {
    /// The thread that waits.
    pub const fn thread(&self) -> ThreadNumber {
        self.thread
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Waiting {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut state = self.0.lock();
        let Some(answer) = state.answer else {
            match &mut state.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            return Poll::Pending;
        };
        let neighbours = std::mem::take(&mut state.neighbours);
        drop(state);
        for neighbour in neighbours {
            neighbour.wake();
        }
        Poll::Ready(answer)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let neighbours = {
            let mut state = self.0.lock();
            state.waker = None;
            std::mem::take(&mut state.neighbours)
        };
        // This may be another thread than theirs (a runtime shutting down); then these are plain wakes.
        for neighbour in neighbours {
            neighbour.wake();
        }
    }
}

/// A number for each thread that ever waited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ThreadNumber(u64);

impl ThreadNumber {
    fn current() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static NUMBER: Cell<u64> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        Self(NUMBER.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counting {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn poll(waiting: &mut Waiting, waker: &Arc<Counting>) -> Poll<Answer> {
        Pin::new(waiting).poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker))))
    }

    fn three() -> (Vec<Arc<Ticket>>, Vec<Waiting>, Vec<Arc<Counting>>) {
        let (tickets, waiting): (Vec<_>, Vec<_>) = (0..3).map(|_| pair()).unzip();
        (tickets, waiting, (0..3).map(|_| Arc::default()).collect())
    }

    fn answer_fresh(tickets: Vec<Arc<Ticket>>) {
        complete(tickets.into_iter().map(|ticket| (ticket, Some(Outcome::Fresh))));
    }

    #[test]
    fn one_task_is_woken_and_wakes_the_others_when_polled() {
        let (tickets, mut waiting, wakers) = three();
        for (waiting, waker) in waiting.iter_mut().zip(&wakers) {
            assert!(poll(waiting, waker).is_pending());
        }
        answer_fresh(tickets);
        let woken = wakers.iter().position(|waker| waker.count() == 1).expect("one is woken");
        assert_eq!(wakers.iter().map(|waker| waker.count()).sum::<usize>(), 1);
        assert_eq!(poll(&mut waiting[woken], &wakers[woken]), Poll::Ready(Some(Outcome::Fresh)));
        assert!(wakers.iter().all(|waker| waker.count() == 1));
    }

    #[test]
    fn a_chosen_task_that_goes_away_wakes_the_others() {
        let (tickets, mut waiting, wakers) = three();
        for (waiting, waker) in waiting.iter_mut().zip(&wakers) {
            assert!(poll(waiting, waker).is_pending());
        }
        answer_fresh(tickets);
        let woken = wakers.iter().position(|waker| waker.count() == 1).expect("one is woken");
        drop(waiting.remove(woken));
        assert!(wakers.iter().all(|waker| waker.count() == 1));
    }

    #[test]
    fn a_task_that_went_away_before_the_answer_is_not_chosen() {
        let (tickets, mut waiting, wakers) = three();
        for (waiting, waker) in waiting.iter_mut().zip(&wakers) {
            assert!(poll(waiting, waker).is_pending());
        }
        waiting.pop();
        waiting.pop();
        answer_fresh(tickets);
        assert_eq!(wakers[0].count(), 1);
    }

    #[test]
    fn an_answer_before_the_first_poll_is_not_lost() {
        let (tickets, mut waiting, wakers) = three();
        assert!(poll(&mut waiting[0], &wakers[0]).is_pending());
        answer_fresh(tickets);
        // Also by one who will poll the others later.
        assert_eq!(wakers[0].count(), 1);
        for index in [2, 1, 0] {
            assert!(poll(&mut waiting[index], &wakers[index]).is_ready());
        }
    }
}

//! One budget: its cells, and what asking and answering do to them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use super::breaker::{Asks, Breaker, Way};
use super::kept::Note;
use super::outcome::{Answered, Outcome};
use super::slots::Slots;
use super::{Hold, Kept, LONGEST, Moment, Shown, Terms, Why, believed, breaker, duration, micros, pace, width, window};

/// How soon who waits for others looks again.
const POLL: Duration = Duration::from_millis(10);
/// How long a wish for a place stands that is not repeated.
const WISH: Moment = 50_000;
/// Waits that are kept in a table: shorter ones are over before a server is up again.
const KEPT_FROM: Duration = Duration::from_secs(2);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub pid: u32,
    pub terms: &'a Terms,
    pub asks: Asks,
}

/// A request may be sent; [`Budget::answered`] gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    slot: usize,
    started: Moment,
    probe: bool,
}

/// See the module's head. All of it may be seen and changed by several processes at once.
#[derive(Default)]
#[repr(C)]
pub struct Budget {
    /// Whose it is; zero: nobody's.
    pub(super) identity: AtomicU64,
    pub(super) used_at: AtomicU64,
    due: AtomicU64,
    opens: AtomicU64,
    not_before: AtomicU64,
    window: AtomicU64,
    /// What the remote says of its limit: requests, and seconds of a window above 32 bits.
    declared: AtomicU64,
    width: AtomicU64,
    eased_at: AtomicU64,
    breaker: AtomicU64,
    /// The last change that people are told of: milliseconds above 8 bits of what it was.
    noted: AtomicU64,
    /// The process that wants a place next (22 bits), and until when (milliseconds).
    wish: AtomicU64,
    /// The terms of whoever asked last, to be shown.
    interval: AtomicU64,
    burst: AtomicU32,
    most: AtomicU32,
    /// Grows with each change that has to survive a crash; how far it is written.
    version: AtomicU64,
    written: AtomicU64,
    pub(super) under_way: Slots,
    pub(super) waiting: Slots,
}

/// Changes a cell by a step, or says why it cannot be.
fn change<E>(cell: &AtomicU64, step: impl Fn(u64) -> Result<u64, E>) -> Result<(), E> {
    let mut seen = cell.load(SeqCst);
    loop {
        let next = step(seen)?;
        match cell.compare_exchange_weak(seen, next, SeqCst, SeqCst) {
            Ok(_) => return Ok(()),
            Err(now) => seen = now,
        }
    }
}

fn update(cell: &AtomicU64, step: impl Fn(u64) -> u64) {
    let done: Result<(), std::convert::Infallible> = change(cell, |seen| Ok(step(seen)));
    done.unwrap_or_else(|never| match never {});
}

fn moment(cell: &AtomicU64) -> Moment {
    cell.load(SeqCst) as Moment
}

impl Budget {
    /// Whether a request may be sent now. `is_alive`: whether a process is.
    ///
    /// # Errors
    /// How long to wait before asking again, and for what.
    pub fn ask(&self, asker: &Asker, now: Moment, is_alive: &dyn Fn(u32) -> bool) -> Result<Granted, Hold> {
        self.used_at.store(now as u64, SeqCst);
        self.remember(asker.terms);
        if let Some(left) = self.told_to_wait(now) {
            return Err(Hold {
                wait: left,
                why: Why::Remote,
            });
        }
        let slot = self.take_place(asker, now, is_alive)?;
        match self.pass(asker, now) {
            Ok(probe) => Ok(Granted {
                slot,
                started: now,
                probe,
            }),
            Err(hold) => {
                self.under_way.free(slot);
                Err(hold)
            }
        }
    }

    /// A granted request was not sent, or nobody will tell how it went.
    pub fn give_back(&self, granted: Granted) {
        self.under_way.free(granted.slot);
    }

    /// A granted request is over.
    pub fn answered(&self, granted: Granted, answered: &Answered, now: Moment) {
        let under_way = self.under_way.taken();
        self.learn(answered, now, under_way.saturating_sub(1));
        match answered.outcome {
            Outcome::Good => {
                if self.window.load(SeqCst) == 0 || answered.told.left != Some(0) {
                    update(&self.width, |cell| width::widened(cell, under_way));
                }
                self.worked(now);
            }
            Outcome::Refused => {
                if answered.told.left.is_none() {
                    self.ease(granted, now);
                }
                self.note(Note::Refused, now);
                self.worked(now);
            }
            Outcome::Overloaded | Outcome::Failed => {
                if answered.outcome == Outcome::Overloaded {
                    self.ease(granted, now);
                }
                self.failed(granted, now);
            }
            Outcome::Unknown => {}
        }
        self.under_way.free(granted.slot);
    }

    /// A place among those that wait, for as long as it waits.
    pub fn begin_to_wait(&self, pid: u32) -> Option<usize> {
        self.waiting.take(pid, super::slots::PLACES as u32)
    }

    pub fn end_to_wait(&self, place: usize) {
        self.waiting.free(place);
    }

    fn told_to_wait(&self, now: Moment) -> Option<Duration> {
        let until = believed(moment(&self.not_before), now, LONGEST);
        (until > now).then(|| duration(until - now))
    }

    fn take_place(&self, asker: &Asker, now: Moment, is_alive: &dyn Fn(u32) -> bool) -> Result<usize, Hold> {
        let wide = self.wide(asker.terms.most);
        let may = || !self.yields(asker.pid, wide, now) && self.under_way.taken() < wide;
        let take = || may().then(|| self.under_way.take(asker.pid, wide)).flatten();
        let taken = take().or_else(|| {
            self.under_way.free_where(|pid| !is_alive(pid));
            take()
        });
        if taken.is_some() {
            update(&self.wish, |wish| if wish_of(wish) == asker.pid { 0 } else { wish });
        } else {
            let mine = (now / 1000 + WISH / 1000) as u64 * WISHES + u64::from(asker.pid) % WISHES;
            update(&self.wish, |wish| match self.wanted(wish, now) {
                Some(pid) if pid != asker.pid => wish,
                _ => mine,
            });
        }
        taken.ok_or(Hold {
            wait: POLL,
            why: Why::Concurrency,
        })
    }

    /// Requests that may be under way now.
    fn wide(&self, most: u32) -> u32 {
        width::width(self.width.load(SeqCst)).min(most)
    }

    /// Whether a process that has its share leaves a free place to another one that wants it.
    fn yields(&self, pid: u32, wide: u32, now: Moment) -> bool {
        let Some(other) = self.wanted(self.wish.load(SeqCst), now).filter(|other| *other != pid) else {
            return false;
        };
        let without = u32::from(self.under_way.taken_by(other) == 0) + u32::from(self.under_way.taken_by(pid) == 0);
        let share = wide / (self.under_way.holders() + without).max(1);
        self.under_way.taken_by(pid) >= share
    }

    fn wanted(&self, wish: u64, now: Moment) -> Option<u32> {
        let until = (wish / WISHES) as Moment * 1000;
        (wish != 0 && until > now && until - now <= 2 * WISH).then(|| wish_of(wish))
    }

    /// Breaker, window and pace; whether the request is the probe of an open breaker.
    fn pass(&self, asker: &Asker, now: Moment) -> Result<bool, Hold> {
        let held = |why| move |wait| Hold { wait, why };
        let seen = self.breaker.load(SeqCst);
        let probe = match breaker::ask(seen, now, asker.asks, self.under_way.taken() <= 1) {
            Way::Clear => false,
            Way::Shut(wait) => return Err(held(Why::Breaker)(wait)),
            Way::Probe(next) => {
                let taken = self.breaker.compare_exchange(seen, next, SeqCst, SeqCst);
                taken.map_err(|_| held(Why::Breaker)(POLL))?;
                true
            }
        };
        if self.window.load(SeqCst) != 0 {
            change(&self.window, |cell| window::take(cell, now)).map_err(held(Why::Window))?;
        }
        let paced = self.take_pace(asker.terms, now).map_err(held(Why::Pace));
        if paced.is_err() && self.window.load(SeqCst) != 0 {
            update(&self.window, |cell| window::give_back(cell, now));
        }
        paced.map(|()| probe)
    }

    fn take_pace(&self, terms: &Terms, now: Moment) -> Result<(), Duration> {
        let spaced = |cell: u64| pace::space(cell as Moment, now, terms.min_delay).map(|next| next as u64);
        spaced(self.opens.load(SeqCst))?;
        let due = |cell: u64| pace::take(cell as Moment, now, terms).map(|next| next as u64);
        match terms.interval.is_zero() {
            true => drop(due(self.due.load(SeqCst))?),
            false => change(&self.due, due)?,
        }
        if terms.min_delay.is_zero() {
            return Ok(());
        }
        // Another one may have been quicker: the token goes back.
        change(&self.opens, spaced).inspect_err(|_| {
            self.due.fetch_sub(micros(terms.interval) as u64, SeqCst);
        })
    }

    fn learn(&self, answered: &Answered, now: Moment, others: u32) {
        let told = &answered.told;
        if let (Some(left), Some(reset)) = (told.left, told.reset) {
            update(&self.window, |cell| {
                window::learn(cell, now, left, reset, u64::from(others))
            });
        }
        if let Some(limit) = told.limit {
            let seconds = told
                .window
                .map_or(0, |window| window.as_secs().min(u64::from(u32::MAX)));
            self.declared
                .store(seconds << 32 | limit.min(u64::from(u32::MAX)), SeqCst);
        }
        if let Some(wait) = answered.wait {
            self.hold(wait, now);
        }
    }

    /// Nobody is to send for so long.
    pub fn hold(&self, wait: Duration, now: Moment) {
        let wait = wait.min(LONGEST);
        let before = self.told_to_wait(now).unwrap_or_default();
        if wait > before {
            self.not_before.store((now + micros(wait)) as u64, SeqCst);
            self.note(Note::Asked, now);
        }
        if wait >= KEPT_FROM && wait > before + Duration::from_secs(1) {
            self.version.fetch_add(1, SeqCst);
        }
    }

    /// Halves, once for all requests that were sent before.
    fn ease(&self, granted: Granted, now: Moment) {
        let later = |eased: u64| {
            if granted.started > eased as Moment {
                Ok(now as u64)
            } else {
                Err(())
            }
        };
        if change(&self.eased_at, later).is_ok() {
            update(&self.width, width::eased);
            self.note(Note::Eased, now);
        }
    }

    pub(super) fn worked(&self, now: Moment) {
        let seen = self.breaker.load(SeqCst);
        if breaker::worked(seen, now) == seen {
            return;
        }
        let was_closed = breaker::state(self.breaker.swap(breaker::worked(seen, now), SeqCst)) == Breaker::Closed;
        if !was_closed {
            self.note(Note::Closed, now);
            self.version.fetch_add(1, SeqCst);
        }
    }

    fn failed(&self, granted: Granted, now: Moment) {
        let before = breaker::state(self.breaker.load(SeqCst));
        update(&self.breaker, |cell| breaker::failed(cell, now, granted.probe));
        let after = breaker::state(self.breaker.load(SeqCst));
        if after != before {
            self.note(Note::Opened, now);
            self.version.fetch_add(1, SeqCst);
        }
    }

    fn note(&self, note: Note, now: Moment) {
        self.noted.store((now / 1000) as u64 * 256 + note as u64, SeqCst);
    }

    fn remember(&self, terms: &Terms) {
        self.interval.store(micros(terms.interval) as u64, SeqCst);
        self.burst.store(terms.burst, SeqCst);
        self.most.store(terms.most, SeqCst);
    }

    /// Whether a probe of an open breaker is due, which the caller then makes: nobody else does within a minute.
    pub fn begin_probe(&self, now: Moment) -> bool {
        change(&self.breaker, |cell| breaker::begin_probe(cell, now).ok_or(())).is_ok()
    }

    /// What has to survive, and the version that it is.
    pub fn kept(&self, now: Moment) -> (u64, Kept) {
        let version = self.version.load(SeqCst);
        let cell = self.breaker.load(SeqCst);
        let kept = Kept {
            not_before: self.told_to_wait(now).map(|left| now + micros(left)),
            breaker: breaker::state(cell),
            failures: breaker::failures(cell),
        };
        (version, kept)
    }

    /// Whether something has to be written that is not.
    pub fn is_unwritten(&self) -> bool {
        self.version.load(SeqCst) != self.written.load(SeqCst)
    }

    pub fn set_written(&self, version: u64) {
        self.written.fetch_max(version, SeqCst);
    }

    /// Takes up what was kept before a crash; what is known since is newer.
    pub fn take_up(&self, kept: &Kept) {
        if let Some(until) = kept.not_before {
            self.not_before.fetch_max(until as u64, SeqCst);
        }
        if let Breaker::Open { since } | Breaker::HalfOpen { since } = kept.breaker {
            let open = breaker::kept_open(since, kept.failures);
            // Lost to whoever has asked the remote since.
            let _ = self.breaker.compare_exchange(0, open, SeqCst, SeqCst);
        }
    }

    pub fn shown(&self, now: Moment, is_alive: &dyn Fn(u32) -> bool) -> Shown {
        for places in [&self.under_way, &self.waiting] {
            places.free_where(|pid| !is_alive(pid));
        }
        let terms = Terms {
            interval: duration(moment(&self.interval)),
            burst: self.burst.load(SeqCst),
            min_delay: Duration::ZERO,
            most: self.most.load(SeqCst).max(1),
        };
        let by_rate = pace::left(moment(&self.due), now, &terms);
        let by_remote = window::open(self.window.load(SeqCst), now).map(|(left, _)| left);
        let declared = self.declared.load(SeqCst);
        let noted = self.noted.load(SeqCst);
        let note = Note::ALL.get((noted % 256) as usize).copied().unwrap_or(Note::Nothing);
        Shown {
            kept: self.kept(now).1,
            left: by_rate.into_iter().chain(by_remote).min(),
            per_second: (!terms.interval.is_zero()).then(|| 1.0 / terms.interval.as_secs_f64()),
            declared: (declared != 0).then_some((declared & 0xFFFF_FFFF, declared >> 32)),
            under_way: self.under_way.taken(),
            waiting: self.waiting.taken(),
            concurrency: self.wide(terms.most),
            changed_at: note.as_str().map(|_| (noted / 256) as Moment * 1000),
            reason: note.as_str(),
        }
    }

    /// How many requests may be under way by what was learned.
    pub fn concurrency(&self) -> u32 {
        width::width(self.width.load(SeqCst))
    }

    /// Whether nobody would miss it.
    pub(super) fn is_idle(&self, now: Moment) -> bool {
        self.under_way.taken() == 0
            && self.waiting.taken() == 0
            && self.told_to_wait(now).is_none()
            && breaker::state(self.breaker.load(SeqCst)) == Breaker::Closed
            && believed(moment(&self.due), now, LONGEST) <= now
            && window::open(self.window.load(SeqCst), now).is_none()
            && !self.is_unwritten()
    }

    /// Makes it one that nobody has used. Only whoever has taken its identity away may do so.
    pub(super) fn clear(&self) {
        let cells = [
            &self.used_at,
            &self.due,
            &self.opens,
            &self.not_before,
            &self.window,
            &self.declared,
            &self.width,
            &self.eased_at,
            &self.breaker,
            &self.noted,
            &self.wish,
            &self.interval,
            &self.version,
            &self.written,
        ];
        cells.iter().for_each(|cell| cell.store(0, SeqCst));
    }
}

/// One more than the largest process id.
const WISHES: u64 = 1 << 22;

fn wish_of(wish: u64) -> u32 {
    (wish % WISHES) as u32
}

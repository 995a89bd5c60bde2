//! Rows that taking back leaves as they are.

/// How many of their keys are told.
const SHOWN: usize = 10;

/// How many rows were left, and the keys of the first of them, in the form `1` or `1, a`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    pub count: u64,
    first: Vec<String>,
}

impl Left {
    pub fn add(&mut self, key: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(key());
        }
    }

    pub fn join(&mut self, more: Left) {
        self.count += more.count;
        let room = SHOWN - self.first.len();
        self.first.extend(more.first.into_iter().take(room));
    }

    /// The keys, for the detail of a run; they are data.
    pub fn keys(&self) -> Option<String> {
        let more = match self.count - self.first.len() as u64 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (self.count > 0).then(|| format!("Their keys: {}{more}.", self.first.join("; ")))
    }
}

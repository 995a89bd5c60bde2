//! When things go wrong: rules, in the order in which they were given.

use crate::fault::Fault;

/// A fault and the requests that it is for: all of them unless narrowed, until cleared unless counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    fault: Fault,
    path: String,
    page: Option<u64>,
    skip: u64,
    times: Option<u64>,
}

impl Rule {
    pub fn new(fault: Fault) -> Rule {
        Rule {
            fault,
            path: String::new(),
            page: None,
            skip: 0,
            times: None,
        }
    }

    /// Only paths that begin like this, for example `/page/`.
    pub fn path(mut self, prefix: &str) -> Rule {
        prefix.clone_into(&mut self.path);
        self
    }

    /// Only requests for this page, counted from 1 in every scheme.
    pub fn page(mut self, page: u64) -> Rule {
        self.page = Some(page);
        self
    }

    /// Lets that many matching requests through first.
    pub fn skip(mut self, requests: u64) -> Rule {
        self.skip = requests;
        self
    }

    /// Only the next so many matching requests.
    pub fn times(mut self, requests: u64) -> Rule {
        self.times = Some(requests);
        self
    }

    /// Whether this request meets the fault; counts it where it matches.
    fn meets(&mut self, path: &str, page: Option<u64>) -> bool {
        let matches = path.starts_with(&self.path) && (self.page.is_none() || self.page == page);
        if !matches || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.map(|left| left - 1);
        true
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Rule {
        Rule::new(fault)
    }
}

/// The rules in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Script {
    rules: Vec<Rule>,
}

impl Script {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// How many rules may still act.
    pub(crate) fn pending(&self) -> usize {
        self.rules.len()
    }

    /// The faults that this request meets; rules that are used up are dropped.
    pub(crate) fn take(&mut self, path: &str, page: Option<u64>) -> Vec<Fault> {
        let met = self
            .rules
            .iter_mut()
            .filter_map(|rule| rule.meets(path, page).then(|| rule.fault.clone()));
        let faults = met.collect();
        self.rules.retain(|rule| rule.times != Some(0));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_acts_on_what_it_matches_and_as_often_as_it_says() {
        let mut script = Script::default();
        script.add(Rule::new(Fault::Hang).path("/page/").page(3).skip(1).times(2));
        let mut met = |path: &str, page: u64| !script.take(path, Some(page)).is_empty();
        assert!(!met("/offset/products", 3));
        assert!(!met("/page/products", 2));
        assert_eq!([(); 4].map(|()| met("/page/products", 3)), [false, true, true, false]);
        assert_eq!(script.pending(), 0);
    }

    #[test]
    fn a_rule_without_a_count_acts_until_it_is_cleared() {
        let mut script = Script::default();
        script.add(Fault::Close.into());
        assert_eq!(script.take("/x", None), [Fault::Close]);
        assert_eq!(script.take("/x", Some(1)), [Fault::Close]);
        script.clear();
        assert_eq!(script.take("/x", None), []);
    }
}

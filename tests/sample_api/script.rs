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
    above_size: Option<u64>,
    above_at_once: Option<u64>,
}

/// What a rule looks at in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met<'a> {
    pub(crate) path: &'a str,
    pub(crate) page: Option<u64>,
    /// The size of a page that it asks for.
    pub(crate) size: Option<u64>,
    /// Requests that are under way, with this one.
    pub(crate) at_once: u64,
}

impl Rule {
    pub fn new(fault: Fault) -> Rule {
        Rule {
            fault,
            path: String::new(),
            page: None,
            skip: 0,
            times: None,
            above_size: None,
            above_at_once: None,
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

    /// Only requests for pages of more than so many records.
    pub fn above_size(mut self, records: u64) -> Rule {
        self.above_size = Some(records);
        self
    }

    /// Only requests that come while more than so many, with them, are under way.
    pub fn above_at_once(mut self, requests: u64) -> Rule {
        self.above_at_once = Some(requests);
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
    fn meets(&mut self, met: Met<'_>) -> bool {
        let matches = met.path.starts_with(&self.path)
            && (self.page.is_none() || self.page == met.page)
            && self
                .above_size
                .is_none_or(|size| met.size.is_some_and(|asked| asked > size))
            && self.above_at_once.is_none_or(|requests| met.at_once > requests);
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
    pub(crate) fn take(&mut self, met: Met<'_>) -> Vec<Fault> {
        let met = self
            .rules
            .iter_mut()
            .filter_map(|rule| rule.meets(met).then(|| rule.fault.clone()));
        let faults = met.collect();
        self.rules.retain(|rule| rule.times != Some(0));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(path: &str, page: Option<u64>) -> Met<'_> {
        Met {
            path,
            page,
            size: None,
            at_once: 1,
        }
    }

    #[test]
    fn a_rule_acts_on_what_it_matches_and_as_often_as_it_says() {
        let mut script = Script::default();
        script.add(Rule::new(Fault::Hang).path("/page/").page(3).skip(1).times(2));
        let mut meets = |path: &str, page: u64| !script.take(met(path, Some(page))).is_empty();
        assert!(!meets("/offset/products", 3));
        assert!(!meets("/page/products", 2));
        assert_eq!([(); 4].map(|()| meets("/page/products", 3)), [false, true, true, false]);
        assert_eq!(script.pending(), 0);
    }

    #[test]
    fn a_rule_without_a_count_acts_until_it_is_cleared() {
        let mut script = Script::default();
        script.add(Fault::Close.into());
        assert_eq!(script.take(met("/x", None)), [Fault::Close]);
        assert_eq!(script.take(met("/x", Some(1))), [Fault::Close]);
        script.clear();
        assert_eq!(script.take(met("/x", None)), []);
    }

    #[test]
    fn a_rule_can_be_for_large_pages_or_for_a_crowd_only() {
        let mut script = Script::default();
        script.add(Rule::new(Fault::Hang).above_size(100));
        script.add(Rule::new(Fault::Close).above_at_once(4));
        let asked = met("/x", Some(1));
        let (size, at_once) = (Some(101), 5);
        assert_eq!(
            script.take(Met {
                size: Some(100),
                at_once: 4,
                ..asked
            }),
            []
        );
        assert_eq!(script.take(Met { size, ..asked }), [Fault::Hang]);
        assert_eq!(script.take(Met { at_once, ..asked }), [Fault::Close]);
    }
}

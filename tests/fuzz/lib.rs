//! What sluice-core reads from remotes and people, given anything at all.
//!
//! A [`Target`] takes bytes and fails by a panic. Each compares with something that was not written for it: a tree of
//! values by serde_json, records by the csv crate, calendar arithmetic of its own, or what was put together before it
//! was taken apart. Two drivers run the same targets:
//!
//! ```text
//! bounded.rs  a test of the tier core: the corpus, then changed pieces of it, for a second or so each
//! guided.rs   libFuzzer, which follows coverage: scripts/fuzz.sh, for as long as one likes
//! ```
//!
//! An input begins with a line that says how to read what follows it, where the target needs such a thing, so that a
//! file of the corpus can be read and written by hand.

pub mod mutate;
mod oracle;
mod targets {
    pub mod fields;
    pub mod links;
    pub mod pages;
    pub mod paths;
    pub mod rows;
    pub mod settings;
    pub mod times;
    pub mod urls;
}

use targets::{fields, links, pages, paths, rows, settings, times, urls};

/// One kind of input. Its corpus is `corpus/NAME/`, its words are `words/NAME`.
pub struct Target {
    pub name: &'static str,
    /// Panics where what it promises does not hold.
    pub check: fn(&[u8]),
}

pub const TARGETS: [Target; 13] = [
    Target {
        name: "pages",
        check: pages::check,
    },
    Target {
        name: "csv",
        check: rows::check_csv,
    },
    Target {
        name: "ndjson",
        check: rows::check_lines,
    },
    Target {
        name: "fields",
        check: fields::check,
    },
    Target {
        name: "paths",
        check: paths::check,
    },
    Target {
        name: "link_header",
        check: links::check_header,
    },
    Target {
        name: "links",
        check: links::check_written,
    },
    Target {
        name: "next",
        check: links::check_next,
    },
    Target {
        name: "http_dates",
        check: times::check_http_dates,
    },
    Target {
        name: "timestamps",
        check: times::check_timestamps,
    },
    Target {
        name: "intervals",
        check: times::check_intervals,
    },
    Target {
        name: "settings",
        check: settings::check,
    },
    Target {
        name: "urls",
        check: urls::check,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

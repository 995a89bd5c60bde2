//! The keys of the settings document: those that this release acts on, and those of the design that it only recognises.

/// The keys of one object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub known: &'static [&'static str],
    /// Recognised and refused as not supported yet.
    pub later: &'static [&'static str],
}

pub(super) const SETTINGS: Keys = Keys {
    known: &[
        "format",
        "csv",
        "records",
        "columns",
        "params",
        "foreach",
        "headers",
        "method",
        "body",
        "pagination",
        "page_size",
        "concurrency",
        "min_delay",
        "commit_every",
        "on_empty",
        "max_shrink",
        "on_missing",
        "confirm_deletes",
        "on_new_field",
        "on_bad_record",
        "max_rejects",
        "retry",
        "timeouts",
        "limits",
        "undo",
        "verify",
        "verify_every",
        "max_pause",
        "owner",
        "cursor",
        "reconcile_every",
        "deleted_when",
        "after_publish",
        "time_zone",
        "adaptive",
        "depends_on",
        "run_when",
        "turn",
    ],
    later: &[],
};

pub(super) const ADAPTIVE: Keys = Keys {
    known: &["fastest", "usual", "slowest"],
    later: &[],
};
pub(super) const PAGE_SIZE: Keys = Keys {
    known: &["min", "max"],
    later: &[],
};
pub(super) const RUN_WHEN: Keys = Keys {
    known: &["connection", "health"],
    later: &[],
};
pub(super) const TURN: Keys = Keys {
    known: &["pages", "minutes"],
    later: &[],
};

pub(super) const FOREACH: Keys = Keys {
    known: &["query", "absent", "timeout"],
    later: &[],
};
pub(super) const CSV: Keys = Keys {
    known: &["delimiter", "header", "columns", "encoding"],
    later: &[],
};
pub(super) const COMMIT_EVERY: Keys = Keys {
    known: &["bytes", "seconds", "pages"],
    later: &[],
};
/// What an error rule looks for; see `error_match`.
pub(super) const ERROR_MATCH: Keys = Keys {
    known: &["status", "header", "body", "sqlstate"],
    later: &[],
};
pub(super) const ERROR_HEADER: Keys = Keys {
    known: &["name", "value"],
    later: &[],
};
pub(super) const RETRY: Keys = Keys {
    known: &[
        "attempts",
        "delays",
        "request_attempts",
        "request_cap",
        "failed_requests",
        "failed_in_row",
    ],
    later: &[],
};
pub(super) const TIMEOUTS: Keys = Keys {
    known: &["connect", "request", "probe", "run", "after_publish"],
    later: &[],
};
pub(super) const LIMITS: Keys = Keys {
    known: &["pages", "rows", "bytes"],
    later: &[],
};
pub(super) const UNDO: Keys = Keys {
    known: &["keep_runs", "keep_days", "keep_bytes"],
    later: &[],
};
/// The position in the data; pages have a cursor of their own.
pub(super) const DATA_CURSOR: Keys = Keys {
    known: &["column", "param", "template", "format", "lookback"],
    later: &[],
};
pub(super) const COLUMN: Keys = Keys {
    known: &["path", "parent", "type", "default"],
    later: &[],
};

pub(super) const NO_PAGINATION: Keys = Keys {
    known: &["type"],
    later: &[],
};
pub(super) const PAGE: Keys = Keys {
    known: &[
        "type",
        "param",
        "start",
        "size_param",
        "param_in",
        "total",
        "total_pages",
        "stop",
    ],
    later: &[],
};
pub(super) const CURSOR: Keys = Keys {
    known: &["type", "param", "param_in", "next", "total", "total_pages"],
    later: &[],
};
pub(super) const NEXT_URL: Keys = Keys {
    known: &["type", "param", "next", "total", "total_pages"],
    later: &[],
};
pub(super) const KEYSET: Keys = Keys {
    known: &["type", "param", "param_in", "column"],
    later: &[],
};
pub(super) const OFFSET: Keys = Keys {
    known: &[
        "type",
        "param",
        "limit_param",
        "param_in",
        "total",
        "total_pages",
        "stop",
    ],
    later: &[],
};

//! A client session that speaks text.

use crate::reply::{Rows, SqlError};
use postgres::{CancelToken, Client, Config, NoTls, SimpleQueryMessage};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A session. Its statements go by the simple protocol, so that procedures may commit.
pub struct Db {
    client: Client,
    notices: Arc<Mutex<Vec<String>>>,
    pub(crate) folder: PathBuf,
}

impl Db {
    pub(crate) fn connect(folder: &Path, port: u16, role: &str, database: &str) -> Result<Db, SqlError> {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let sink = notices.clone();
        let mut config = Config::new();
        config
            .host_path(folder)
            .port(port)
            .user(role)
            .dbname(database)
            .application_name("sluice-e2e");
        // A statement that never ends fails its test instead of the whole run.
        config.options("-c statement_timeout=180s");
        config.notice_callback(move |notice| {
            sink.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(notice.message().to_string());
        });
        let client = config.connect(NoTls)?;
        Ok(Db {
            client,
            notices,
            folder: folder.to_path_buf(),
        })
    }

    /// Runs statements; panics with the whole error where one fails.
    pub fn exec(&mut self, sql: &str) {
        self.rows(sql);
    }

    /// The rows of a query (of the last one, where there are several statements).
    pub fn rows(&mut self, sql: &str) -> Rows {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// The first value of the first row; None for NULL and for no row.
    pub fn value(&mut self, sql: &str) -> Option<String> {
        self.rows(sql)
            .rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
    }

    /// The first value as text; panics where there is none.
    pub fn text(&mut self, sql: &str) -> String {
        self.value(sql).unwrap_or_else(|| panic!("no value: {sql}"))
    }

    /// The first value as a number.
    pub fn number(&mut self, sql: &str) -> i64 {
        let text = self.text(sql);
        text.parse()
            .unwrap_or_else(|_| panic!("{text} is no whole number: {sql}"))
    }

    /// Whether the first value is true.
    pub fn is_true(&mut self, sql: &str) -> bool {
        self.value(sql).as_deref() == Some("t")
    }

    /// The error that a statement ends with; panics where it succeeds.
    pub fn error(&mut self, sql: &str) -> SqlError {
        self.try_rows(sql).expect_err(sql)
    }

    /// The rows or the error.
    pub fn try_rows(&mut self, sql: &str) -> Result<Rows, SqlError> {
        let mut answer = Rows {
            columns: Vec::new(),
            rows: Vec::new(),
        };
        for message in self.client.simple_query(sql)? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    answer.columns = columns.iter().map(|column| column.name().to_string()).collect();
                    answer.rows.clear();
                }
                SimpleQueryMessage::Row(row) => {
                    answer
                        .rows
                        .push((0..row.len()).map(|at| row.get(at).map(str::to_string)).collect());
                }
                _ => {}
            }
        }
        Ok(answer)
    }

    /// The NOTICEs and WARNINGs since the last call.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The notifications since the last call: channel and payload.
    pub fn take_notifications(&mut self) -> Vec<(String, String)> {
        let waited = std::time::Duration::from_millis(20);
        let mut notifications = self.client.notifications();
        let mut arrived = notifications.timeout_iter(waited);
        let mut taken = Vec::new();
        while let Ok(Some(one)) = postgres::fallible_iterator::FallibleIterator::next(&mut arrived) {
            taken.push((one.channel().to_string(), one.payload().to_string()));
        }
        taken
    }

    /// The process ids of a backend type, such as `sluice worker`.
    pub fn pids(&mut self, backend_type: &str) -> Vec<u32> {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = {} ORDER BY pid",
            literal(backend_type)
        );
        let rows = self.rows(&sql).rows.into_iter().flatten().flatten();
        rows.map(|pid| pid.parse().expect("a pid is a number")).collect()
    }

    /// Sets a failpoint of the cluster: `off`, `error`, `panic`, `kill9`, `pause`. Only builds with the feature have it.
    pub fn failpoint(&mut self, name: &str, action: &str) {
        self.exec(&format!(
            "SELECT sluice._failpoint({}, {})",
            literal(name),
            literal(action)
        ));
    }

    /// Runs a statement in a thread, such as a procedure that waits for a worker.
    pub fn call(mut self, sql: &str) -> Call {
        let cancel = self.client.cancel_token();
        let sql = sql.to_string();
        Call {
            cancel,
            thread: std::thread::spawn(move || (self.try_rows(&sql), self)),
        }
    }
}

/// A statement that is running.
pub struct Call {
    cancel: CancelToken,
    thread: JoinHandle<(Result<Rows, SqlError>, Db)>,
}

impl Call {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Cancels it, as Ctrl-C in psql does.
    pub fn cancel(&self) {
        self.cancel
            .cancel_query(NoTls)
            .expect("the server takes cancel requests");
    }

    /// Waits for the end; gives the session back.
    pub fn finish(self) -> (Result<Rows, SqlError>, Db) {
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A string as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

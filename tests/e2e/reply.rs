//! What a server answers: rows as text, or an error with its parts.

use std::fmt;

/// Rows of a query, each value as PostgreSQL prints it; None is NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// An error of the server, with the parts that a user sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Five characters; empty where the error came from the connection and not from the server.
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl From<postgres::Error> for SqlError {
    fn from(error: postgres::Error) -> SqlError {
        match error.as_db_error() {
            Some(db) => SqlError {
                sqlstate: db.code().code().to_string(),
                message: db.message().to_string(),
                detail: db.detail().map(str::to_string),
                hint: db.hint().map(str::to_string),
            },
            None => SqlError {
                sqlstate: String::new(),
                message: error.to_string(),
                detail: None,
                hint: None,
            },
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.sqlstate, self.message)?;
        if let Some(detail) = &self.detail {
            write!(out, "\n  DETAIL: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(out, "\n  HINT: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.columns.join(" | "))?;
        for row in &self.rows {
            let values: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
            writeln!(out, "{}", values.join(" | "))?;
        }
        Ok(())
    }
}

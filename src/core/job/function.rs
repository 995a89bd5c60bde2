//! The function that a job calls when a read becomes visible (setting `after_publish`): its name, and what can be wrong
//! with it.

use std::fmt;
use std::time::Duration;

use super::target_name::TargetName;
use crate::class::Class;
use crate::error::{DatabaseError, Explain};
use crate::sql_text::quote;

/// A function's name as a person writes it, with or without its schema. Names follow the rules of [`TargetName`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionName {
    pub schema: Option<String>,
    pub name: String,
}

impl FunctionName {
    pub fn parse(text: &str) -> Option<FunctionName> {
        let TargetName { schema, table } = TargetName::parse(text).ok()?;
        Some(FunctionName { schema, name: table })
    }

    /// As SQL, each part quoted.
    fn quoted(&self) -> String {
        let schema = self.schema.iter().map(|schema| format!("{}.", quote(schema)));
        schema.chain([quote(&self.name)]).collect()
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// Why the function was not called, or what came of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FunctionFault {
    #[error("function {name}(text, bigint) does not exist")]
    Missing { name: FunctionName },
    /// `role` writes the target and may not call it.
    #[error("permission denied for function {name}(text, bigint)")]
    Denied { name: FunctionName, role: String },
    /// The target is a superuser's, and the function is not.
    #[error("a superuser will not call function {name}(text, bigint)")]
    Foreign { name: FunctionName, owner: String },
    #[error("function {name} failed: {}", .error.message)]
    Failed {
        name: FunctionName,
        error: Box<DatabaseError>,
    },
    #[error("function {name} took longer than {limit:?}")]
    Late { name: FunctionName, limit: Duration },
}

impl FunctionFault {
    /// The SQLSTATE that the function itself ended with.
    pub fn carried_sqlstate(&self) -> Option<&str> {
        match self {
            FunctionFault::Failed { error, .. } => Some(&error.sqlstate),
            _ => None,
        }
    }
}

impl Explain for FunctionFault {
    fn class(&self) -> Class {
        match self {
            FunctionFault::Failed { error, .. } => error.class(),
            FunctionFault::Late { .. } => Class::Resource,
            _ => Class::Config,
        }
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            FunctionFault::Missing { .. } => "42883",
            FunctionFault::Denied { .. } | FunctionFault::Foreign { .. } => "42501",
            FunctionFault::Failed { .. } => "XX000",
            FunctionFault::Late { .. } => "57014",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            FunctionFault::Missing { .. } => {
                "Setting \"after_publish\" names it. It takes the job's name and the run's \
                                              id, returns no set, and is called as the target's owner."
                    .into()
            }
            FunctionFault::Denied { role, .. } => {
                format!(
                    "It is called as the target's owner \"{role}\", who lacks EXECUTE on it or USAGE on its schema."
                )
            }
            FunctionFault::Foreign { owner, .. } => {
                format!("The target's owner is a superuser, and the ordinary role \"{owner}\" can change the function.")
            }
            FunctionFault::Failed { error, .. } => match &error.detail {
                Some(detail) => format!("{detail} Nothing of the publishing transaction is kept."),
                None => "Nothing of the publishing transaction is kept.".into(),
            },
            FunctionFault::Late { .. } => "Nothing of the publishing transaction is kept.".into(),
        })
    }

    fn hint(&self) -> Option<String> {
        const NEXT: &str = "what was read is kept, and the next run publishes it without asking the remote again.";
        Some(match self {
            FunctionFault::Missing { name } => {
                format!("CREATE FUNCTION {}(job text, run bigint) RETURNS void …", name.quoted())
            }
            FunctionFault::Denied { name, role } => format!(
                "GRANT EXECUTE ON FUNCTION {}(text, bigint) TO {}; and USAGE on its schema.",
                name.quoted(),
                quote(role)
            ),
            FunctionFault::Foreign { name, .. } => format!(
                "Give the table to an ordinary role, or the function to a superuser: ALTER FUNCTION {}(text, bigint) \
                 OWNER TO …;",
                name.quoted()
            ),
            FunctionFault::Failed { error, .. } => match &error.hint {
                Some(hint) => hint.clone(),
                None => format!("Mend the function, or take \"after_publish\" out of the settings: {NEXT}"),
            },
            FunctionFault::Late { .. } => {
                format!("Make it faster, or raise the setting timeouts.after_publish: {NEXT}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_function_that_failed_keeps_its_own_sqlstate_and_names_the_function() {
        let failed = |sqlstate: &str| {
            let error = DatabaseError {
                sqlstate: sqlstate.into(),
                message: "no".into(),
                detail: None,
                hint: None,
                record: None,
            };
            let name = FunctionName::parse("App.\"Sum\"").unwrap();
            Error::from(FunctionFault::Failed {
                name,
                error: Box::new(error),
            })
        };
        let refused = failed("P0001");
        assert_eq!(refused.to_string(), "function app.Sum failed: no");
        assert_eq!((refused.sqlstate(), refused.class()), ("P0001", Class::Data));
        assert_eq!(failed("40P01").class(), Class::Database);
    }
}

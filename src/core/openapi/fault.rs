//! What can be wrong with an OpenAPI document.

use crate::class::Class;
use crate::error::Explain;

/// A document that no jobs can be planned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiFault {
    #[error("the document is not an OpenAPI document")]
    NotOpenApi,
    #[error("the document is nested too deep")]
    TooDeep,
    #[error("the document is too large to follow")]
    TooLarge,
}

impl Explain for OpenApiFault {
    fn class(&self) -> Class {
        Class::Config
    }

    fn sqlstate(&self) -> &'static str {
        match self {
            OpenApiFault::NotOpenApi => "22023",
            OpenApiFault::TooDeep | OpenApiFault::TooLarge => "54000",
        }
    }

    fn detail(&self) -> Option<String> {
        Some(
            match self {
                OpenApiFault::NotOpenApi => {
                    "It is an object with \"openapi\" (3.0, 3.1) or \"swagger\" (2.0), and \"paths\"."
                }
                OpenApiFault::TooDeep => "It has more than 120 levels.",
                OpenApiFault::TooLarge => "Its paths and references lead to more places than are looked at.",
            }
            .to_owned(),
        )
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                OpenApiFault::NotOpenApi => "Where it is YAML, turn it into JSON first.",
                OpenApiFault::TooDeep | OpenApiFault::TooLarge => {
                    "Leave out the paths that are not wanted: document #- '{paths,/unwanted}'."
                }
            }
            .to_owned(),
        )
    }
}

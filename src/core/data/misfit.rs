//! Why a JSON value cannot become a value of a column's type, with the SQLSTATE that PostgreSQL gives for the same.

/// The reason of [`super::DataError::DoesNotFit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("it is not written as a value of this type")]
    Syntax,
    #[error("it is not written as a date or time of this type")]
    TimeSyntax,
    #[error("the type has no time zone, and the value has one")]
    HasZone,
    #[error("there is no such day or time")]
    NoSuchTime,
    #[error("the offset from UTC is out of range")]
    OffsetRange,
    #[error("it is out of the type's range")]
    OutOfRange,
    #[error("it has a fraction, and the type has none")]
    Fraction,
    #[error("it contains \\u0000, which PostgreSQL cannot store")]
    Nul,
    #[error("it contains half of a UTF-16 surrogate pair")]
    LoneSurrogate,
    #[error("it is nested too deep")]
    TooDeep,
    #[error("it is larger than a field may be")]
    TooLarge,
}

impl Misfit {
    pub fn sqlstate(self) -> &'static str {
        match self {
            Misfit::Syntax | Misfit::Fraction | Misfit::LoneSurrogate => "22P02",
            Misfit::TimeSyntax | Misfit::HasZone => "22007",
            Misfit::NoSuchTime => "22008",
            Misfit::OffsetRange => "22009",
            Misfit::OutOfRange => "22003",
            Misfit::Nul => "22P05",
            Misfit::TooDeep => "54001",
            Misfit::TooLarge => "54000",
        }
    }

    /// The next step for the person who reads it.
    pub fn hint(self) -> &'static str {
        match self {
            Misfit::Syntax => "Give the column a type that takes the value (text takes any), or map another member.",
            Misfit::LoneSurrogate => "Give the column the type json, or mend the value at the remote.",
            Misfit::TimeSyntax => {
                "Dates are read as YYYY-MM-DD and times as in RFC 3339, such as 2026-01-31T12:00:00Z; text takes any other form."
            }
            Misfit::HasZone => "Make the column timestamp with time zone.",
            Misfit::NoSuchTime | Misfit::OffsetRange => {
                "Give the column the type text, or mend the value at the remote."
            }
            Misfit::OutOfRange => "Give the column a wider type: bigint, numeric or text.",
            Misfit::Fraction => "Give the column the type numeric.",
            Misfit::Nul => "Give the column the type json, or mend the value at the remote.",
            Misfit::TooDeep | Misfit::TooLarge => {
                "Map a part of the value by a longer path, or leave the member out of \"columns\"."
            }
        }
    }
}

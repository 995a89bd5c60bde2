//! Columns that get a wider type, so that a value fits which did not: what type that is, and what becomes of the values
//! that are there.
//!
//! ```text
//! bigint ─► numeric ─► text          date ─► timestamp with time zone ─► text          uuid, boolean ─► text
//! any of them ─► jsonb, for an object or an array
//! ```
//!
//! Text and jsonb take every value, and no step loses any. A former image, and a copy, hold texts of the former type:
//! [`Widening`] says what they are in the wider one.

use super::column::ColumnType;
use super::encode::encode;
use super::infer::InferredType;
use super::time;
use std::borrow::Cow;

impl InferredType {
    /// The type of a column that is encoded so, where it is one of those that are proposed.
    pub fn of_column(ty: ColumnType) -> Option<InferredType> {
        InferredType::ALL.into_iter().find(|inferred| inferred.encoding() == ty)
    }

    /// How a column of this type is encoded.
    pub fn encoding(self) -> ColumnType {
        match self {
            InferredType::Int8 => ColumnType::Int8,
            InferredType::Numeric => ColumnType::Numeric,
            InferredType::Bool => ColumnType::Bool,
            InferredType::Timestamptz => ColumnType::Timestamptz,
            InferredType::Date => ColumnType::Date,
            InferredType::Uuid => ColumnType::Uuid,
            InferredType::Text => ColumnType::Text,
            InferredType::Jsonb => ColumnType::Jsonb,
        }
    }

    /// The next type that takes a value, which this one does not, and all that this one takes. None where this one does, or
    /// none (a text with a NUL).
    pub fn wider_for(self, raw: &str) -> Option<InferredType> {
        let takes = |ty: InferredType| encode(ty.encoding(), raw, &mut Vec::new()).is_ok();
        let wider = match (self, InferredType::of(raw)) {
            (InferredType::Text | InferredType::Jsonb, _) => return None,
            _ if takes(self) => return None,
            (_, InferredType::Jsonb) => InferredType::Jsonb,
            (InferredType::Int8, _) if takes(InferredType::Numeric) => InferredType::Numeric,
            (InferredType::Date, InferredType::Timestamptz) => InferredType::Timestamptz,
            _ => InferredType::Text,
        };
        takes(wider).then_some(wider)
    }
}

/// A step from one type to a wider one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widening {
    from: InferredType,
    to: InferredType,
}

impl Widening {
    /// None where that is no such step.
    pub fn new(from: InferredType, to: InferredType) -> Option<Widening> {
        use InferredType::{Bool, Date, Int8, Jsonb, Numeric, Text, Timestamptz, Uuid};
        let is_wider = match from {
            Int8 => matches!(to, Numeric | Text | Jsonb),
            Numeric | Bool | Timestamptz | Uuid => matches!(to, Text | Jsonb),
            Date => matches!(to, Timestamptz | Text | Jsonb),
            Text => to == Jsonb,
            Jsonb => false,
        };
        is_wider.then_some(Widening { from, to })
    }

    /// The values of a column in the wider type, as an expression over the column.
    pub fn using(self, column: &str) -> String {
        let instant = || {
            let utc = format!("pg_catalog.timezone('UTC', {column})");
            format!("(pg_catalog.to_json({utc}) OPERATOR(pg_catalog.#>>) '{{}}') OPERATOR(pg_catalog.||) 'Z'")
        };
        match (self.from, self.to) {
            (InferredType::Date, InferredType::Timestamptz) => {
                format!("pg_catalog.timezone('UTC', {column}::pg_catalog.timestamp)")
            }
            (InferredType::Timestamptz, InferredType::Text) => instant(),
            (InferredType::Timestamptz, _) => format!("pg_catalog.to_jsonb({})", instant()),
            (_, InferredType::Jsonb) => format!("pg_catalog.to_jsonb({column})"),
            (_, to) => format!("{column}::{}", to.sql()),
        }
    }

    /// The text of a value of the former type, as a text of the wider one.
    pub fn text_of(self, former: &str) -> Cow<'_, str> {
        let plain: Cow<str> = match self.from {
            InferredType::Bool if former == "t" => "true".into(),
            InferredType::Bool if former == "f" => "false".into(),
            InferredType::Timestamptz => match time::timestamptz(former).ok().and_then(time::utc_text) {
                Some(text) => text.into(),
                None => former.into(),
            },
            InferredType::Date if self.to == InferredType::Timestamptz => format!("{former} 00:00:00+00").into(),
            _ => former.into(),
        };
        let is_json = match self.from {
            // Not a number and what is infinite are texts in JSON.
            InferredType::Int8 | InferredType::Numeric => serde_json::from_str::<serde_json::Number>(&plain).is_ok(),
            from => from == InferredType::Bool,
        };
        match self.to {
            InferredType::Jsonb if !is_json => serde_json::Value::from(plain.as_ref()).to_string().into(),
            _ => plain,
        }
    }

    /// The text that a value of the former type had, as an expression over a value of the wider one. It is some other text
    /// where the value is none that came from there.
    pub fn former_text(self, value: &str) -> String {
        let text = match self.to {
            InferredType::Jsonb => format!("({value} OPERATOR(pg_catalog.#>>) '{{}}')"),
            _ => value.to_owned(),
        };
        match (self.from, self.to) {
            // Only what cannot fail is read as a time.
            (InferredType::Timestamptz, _) => format!(
                "CASE WHEN {text} OPERATOR(pg_catalog.~) '{INSTANT}' \
                 THEN ({text}::pg_catalog.timestamptz)::pg_catalog.text ELSE {text} END"
            ),
            (InferredType::Date, InferredType::Timestamptz) => format!(
                "pg_catalog.regexp_replace(pg_catalog.timezone('UTC', {text})::pg_catalog.text, ' 00:00:00$', '')"
            ),
            // It may have become a time in between.
            (InferredType::Date, InferredType::Text | InferredType::Jsonb) => format!(
                "CASE WHEN {text} OPERATOR(pg_catalog.~) '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T00:00:00Z$' \
                 THEN pg_catalog.left({text}, 10) ELSE {text} END"
            ),
            (InferredType::Bool, _) => {
                format!("CASE {text} WHEN 'true' THEN 't' WHEN 'false' THEN 'f' ELSE {text} END")
            }
            _ => text,
        }
    }
}

/// A time in UTC as [`Widening::using`] writes it, of a day that there is.
const INSTANT: &str = "^(?!0000)([0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)\
    |(0[13578]|1[02])-31)|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)\
    T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z$";

#[cfg(test)]
mod tests {
    use super::*;
    use InferredType::{Bool, Date, Int8, Jsonb, Numeric, Text, Timestamptz, Uuid};

    #[test]
    fn a_value_that_does_not_fit_says_the_next_type_that_takes_it() {
        let cases = [
            (Int8, "1.5", Some(Numeric)),
            (Int8, "99999999999999999999", Some(Numeric)),
            (Int8, r#""1.5""#, Some(Numeric)),
            (Int8, r#""many""#, Some(Text)),
            (Int8, "true", Some(Text)),
            (Int8, r#"{"a": 1}"#, Some(Jsonb)),
            (Numeric, r#""many""#, Some(Text)),
            (Bool, r#""maybe""#, Some(Text)),
            (Bool, "[true]", Some(Jsonb)),
            (Date, r#""2024-01-31T12:00:00Z""#, Some(Timestamptz)),
            (Date, r#""2024-01-31T12:00:00""#, Some(Text)),
            (Date, r#""2024-02-30""#, Some(Text)),
            (Timestamptz, r#""soon""#, Some(Text)),
            (Uuid, "7", Some(Text)),
            (Int8, r#""a\u0000b""#, None),
            (Int8, r#""12""#, None),
            (Text, r#""a\u0000b""#, None),
            (Jsonb, r#""a\u0000b""#, None),
        ];
        for (from, raw, wider) in cases {
            assert_eq!(from.wider_for(raw), wider, "{from:?} {raw}");
        }
    }

    #[test]
    fn every_step_that_is_taken_is_one_that_can_be_undone() {
        let all = [Int8, Numeric, Bool, Timestamptz, Date, Uuid, Text, Jsonb];
        for from in all {
            for raw in [
                "1",
                "1.5",
                "true",
                r#""x""#,
                "[1]",
                r#""2024-01-31""#,
                r#""2024-01-31T12:00:00Z""#,
            ] {
                if let Some(to) = from.wider_for(raw) {
                    assert!(Widening::new(from, to).is_some(), "{from:?} to {to:?}");
                }
            }
        }
        assert_eq!(Widening::new(Text, Int8), None);
        assert_eq!(Widening::new(Numeric, Int8), None);
    }

    #[test]
    fn former_texts_are_texts_of_the_wider_type() {
        let cases = [
            (Int8, Numeric, "12", "12"),
            (Numeric, Text, "1.50", "1.50"),
            (Numeric, Jsonb, "1.50", "1.50"),
            (Numeric, Jsonb, "NaN", r#""NaN""#),
            (Numeric, Jsonb, "-Infinity", r#""-Infinity""#),
            (
                Numeric,
                Jsonb,
                "-0.00000000000000000000000000000001",
                "-0.00000000000000000000000000000001",
            ),
            (Bool, Text, "t", "true"),
            (Bool, Jsonb, "f", "false"),
            (Uuid, Jsonb, "0b", r#""0b""#),
            (Date, Timestamptz, "2024-01-31", "2024-01-31 00:00:00+00"),
            (Date, Text, "2024-01-31", "2024-01-31"),
            (
                Timestamptz,
                Text,
                "2024-01-31 13:30:00.25+01",
                "2024-01-31T12:30:00.25Z",
            ),
            (
                Timestamptz,
                Jsonb,
                "2024-01-31 13:30:00+01",
                r#""2024-01-31T12:30:00Z""#,
            ),
            (Timestamptz, Text, "infinity", "infinity"),
        ];
        for (from, to, former, text) in cases {
            let widening = Widening::new(from, to).expect("a step");
            assert_eq!(widening.text_of(former), text, "{from:?} to {to:?}");
        }
    }
}

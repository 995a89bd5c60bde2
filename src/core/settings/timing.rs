//! The settings that say when a job runs, and for how long at a time: time_zone, adaptive, depends_on, run_when, turn.

use std::time::Duration;

use serde_json::value::RawValue;

use super::fault::SettingsFault;
use super::field::Field;
use super::object::Object;
use super::{DAY, HOUR, keys};
use crate::connection::{ConfigError, Subject};
use crate::job::LONGEST_NAME;
use crate::schedule::Adaptive;

/// When a job runs, besides its schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimingSettings {
    /// Of cron expressions; None: that of the database. Whether PostgreSQL knows it is asked by the caller.
    pub time_zone: Option<String>,
    pub adaptive: Adaptive,
    /// Jobs that must have succeeded first; each once.
    pub depends_on: Vec<String>,
    pub run_when: Option<RunWhen>,
    pub turn: Turn,
}

/// A connection that must be well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunWhen {
    pub connection: String,
    /// Some of its jobs may fail.
    pub may_be_degraded: bool,
}

/// After which of the two a run gives its worker to a job that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Default 750.
    pub pages: u64,
    /// `minutes` in the document; default 20.
    pub time: Duration,
}

impl Default for Turn {
    fn default() -> Turn {
        Turn {
            pages: 750,
            time: Duration::from_secs(20 * 60),
        }
    }
}

/// The most jobs that one may depend on.
const MOST_DEPENDENCIES: usize = 100;

pub(super) fn read(given: &Object<'_>) -> Result<TimingSettings, ConfigError> {
    Ok(TimingSettings {
        time_zone: given.get("time_zone").map(|field| zone(&field)).transpose()?,
        adaptive: adaptive(given)?,
        depends_on: given
            .get("depends_on")
            .map_or(Ok(Vec::new()), |field| depends_on(&field))?,
        run_when: run_when(given)?,
        turn: turn(given)?,
    })
}

fn zone(field: &Field<'_>) -> Result<String, ConfigError> {
    let (expected, example) = ("the name of a time zone", "\"Europe/Berlin\"");
    let name = field.text(expected, example)?;
    match name.len() <= LONGEST_NAME && !name.chars().any(char::is_control) {
        true => Ok(name),
        false => Err(field.wrong(expected, example)),
    }
}

fn adaptive(given: &Object<'_>) -> Result<Adaptive, ConfigError> {
    let part = given.object("adaptive", &keys::ADAPTIVE)?;
    let (usual, range) = (Adaptive::default(), Duration::from_secs(10)..=366 * DAY);
    let adaptive = Adaptive {
        fastest: part.interval("fastest", range.clone())?.unwrap_or(usual.fastest),
        usual: part.interval("usual", range.clone())?.unwrap_or(usual.usual),
        slowest: part.interval("slowest", range)?.unwrap_or(usual.slowest),
    };
    match adaptive.fastest <= adaptive.usual && adaptive.usual <= adaptive.slowest {
        true => Ok(adaptive),
        false => Err(SettingsFault::Order {
            subject: Subject::setting("adaptive"),
            order: "\"fastest\", \"usual\", \"slowest\"",
        }
        .into()),
    }
}

fn depends_on(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    const EXAMPLE: &str = "[\"customers\", \"products\"]";
    let wrong = || field.wrong("the name of a job, or an array of up to 100", EXAMPLE);
    let names = match serde_json::from_str::<Vec<&RawValue>>(field.raw.get()) {
        Ok(each) if each.len() <= MOST_DEPENDENCIES => each
            .into_iter()
            .map(|raw| serde_json::from_str::<String>(raw.get()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong())?,
        _ => vec![serde_json::from_str::<String>(field.raw.get()).map_err(|_| wrong())?],
    };
    let mut once: Vec<String> = Vec::new();
    for name in names {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(wrong());
        }
        if !once.contains(&name) {
            once.push(name);
        }
    }
    Ok(once)
}

fn run_when(given: &Object<'_>) -> Result<Option<RunWhen>, ConfigError> {
    let Some(field) = given.get("run_when") else {
        return Ok(None);
    };
    let part = field.object(&keys::RUN_WHEN)?;
    let Some(connection) = part.get("connection") else {
        return Err(SettingsFault::Needs {
            subject: Subject::setting("run_when"),
            needs: "run_when.connection".to_owned(),
            because: "It waits for the health of a connection.",
        }
        .into());
    };
    let words = [("healthy", false), ("degraded", true)];
    Ok(Some(RunWhen {
        connection: connection.name()?,
        may_be_degraded: part.choice("health", &words, &[])?.unwrap_or(false),
    }))
}

fn turn(given: &Object<'_>) -> Result<Turn, ConfigError> {
    let part = given.object("turn", &keys::TURN)?;
    let usual = Turn::default();
    let longest = (24 * HOUR).as_secs_f64() / 60.0;
    Ok(Turn {
        pages: part
            .get("pages")
            .map_or(Ok(usual.pages), |field| field.whole(1..=1_000_000))?,
        time: part
            .get("minutes")
            .map_or(Ok(usual.time), |field| field.minutes(0.1, longest))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn timing(document: &str) -> TimingSettings {
        Settings::parse(document).unwrap().timing
    }

    #[test]
    fn defaults_are_those_of_the_design() {
        let usual = timing("{}");
        assert_eq!(usual, TimingSettings::default());
        assert_eq!((usual.turn.pages, usual.turn.time.as_secs()), (750, 1200));
        let lengths = [usual.adaptive.fastest, usual.adaptive.usual, usual.adaptive.slowest];
        assert_eq!(lengths.map(|length| length.as_secs() / 60), [5, 30, 360]);
    }

    #[test]
    fn each_value_is_read() {
        let given = timing(
            r#"{"time_zone": "Europe/Berlin", "adaptive": {"fastest": "1 min", "slowest": "1 day"}, "depends_on": ["a", "b", "a"],
                "run_when": {"connection": "erp", "health": "degraded"}, "turn": {"pages": 3, "minutes": 0.5}}"#,
        );
        assert_eq!(given.time_zone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(given.adaptive.fastest.as_secs(), 60);
        assert_eq!(given.adaptive.slowest.as_secs(), 86_400);
        assert_eq!(given.depends_on, ["a", "b"]);
        let connection = "erp".to_owned();
        assert_eq!(
            given.run_when,
            Some(RunWhen {
                connection,
                may_be_degraded: true
            })
        );
        assert_eq!(
            given.turn,
            Turn {
                pages: 3,
                time: Duration::from_secs(30)
            }
        );
        assert_eq!(timing(r#"{"depends_on": "a"}"#).depends_on, ["a"]);
        assert_eq!(timing(r#"{"depends_on": []}"#).depends_on, [""; 0]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (document, message) in [
            (
                r#"{"time_zone": 1}"#,
                "setting \"time_zone\" must be the name of a time zone",
            ),
            (r#"{"adaptive": "1 hour"}"#, "setting \"adaptive\" must be an object"),
            (
                r#"{"adaptive": {"fastest": "1 hour"}}"#,
                "setting \"adaptive\" is out of order",
            ),
            (
                r#"{"adaptive": {"fastest": "1 s"}}"#,
                "setting \"adaptive.fastest\" must be an interval from 10 seconds to 366 days",
            ),
            (
                r#"{"depends_on": 1}"#,
                "setting \"depends_on\" must be the name of a job, or an array of up to 100",
            ),
            (
                r#"{"depends_on": [""]}"#,
                "setting \"depends_on\" must be the name of a job, or an array of up to 100",
            ),
            (
                r#"{"run_when": {}}"#,
                "setting \"run_when\" needs setting \"run_when.connection\"",
            ),
            (
                r#"{"run_when": {"connection": "a", "health": "well"}}"#,
                "setting \"run_when.health\" must be one of healthy, degraded",
            ),
            (
                r#"{"turn": {"pages": 0}}"#,
                "setting \"turn.pages\" must be a whole number from 1 to 1000000",
            ),
            (
                r#"{"turn": {"minutes": 0}}"#,
                "setting \"turn.minutes\" must be a number of minutes from 0.1 to 1440",
            ),
        ] {
            assert_eq!(
                Settings::parse(document).unwrap_err().to_string(),
                message,
                "{document}"
            );
        }
    }
}

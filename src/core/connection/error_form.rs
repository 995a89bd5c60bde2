//! Every error that a definition can meet, as a person reads it. `cargo test -- --nocapture every_error` prints the table.

use super::*;
use crate::error::Explain;
use crate::guard::{KeptBack, Live, ReadState};
use crate::job::{JobFault, PathFault};
use crate::secret::{KeyFileFault, ReferenceFault, SecretFault, parse_key};
use crate::settings::{SettingsFault, TypeFault};
use crate::url_policy::UrlFault;

/// What a careless person might have typed; it must appear nowhere.
const HOSTILE: &str = "a\nb \"quoted\" 'x' \u{1b}[31m";

fn shared() -> Vec<ConfigError> {
    let subject = || Subject::setting(HOSTILE);
    let name = || HOSTILE.to_owned();
    let mut errors = vec![
        ConfigError::UnknownOption {
            name: name(),
            nearest: Some("auth"),
            valid: vec!["auth", "secret"],
        },
        ConfigError::UnknownOption {
            name: name(),
            nearest: None,
            valid: vec!["auth", "secret"],
        },
        ConfigError::UnknownSetting {
            path: "retry.x".into(),
            nearest: None,
            valid: vec!["request_cap"],
        },
        ConfigError::UnknownSetting {
            path: name(),
            nearest: Some("params"),
            valid: vec!["params"],
        },
        ConfigError::UnknownWord {
            subject: Subject::argument("mode"),
            found: Some(found(HOSTILE)),
            nearest: None,
            valid: vec!["replace", "upsert"],
        },
        ConfigError::WrongValue {
            subject: Subject::option("max_concurrency"),
            expected: "a whole number from 1 to 75".into(),
            found: Some(found("many")),
            example: "max_concurrency '8'".into(),
        },
        ConfigError::NotSupportedYet {
            what: subject().to_string(),
            supported: vec![],
        },
        ConfigError::NotSupportedYet {
            what: "mode \"merge\"".into(),
            supported: vec!["replace", "upsert"],
        },
    ];
    let url = |fault| ConfigError::Url {
        subject: Subject::option("base_url"),
        fault,
    };
    errors.extend(UrlFault::ALL.map(url));
    errors
}

fn of_connections() -> Vec<ConfigError> {
    [
        ConnectionFault::MissingOption {
            option: "secret",
            because: "auth is \"bearer\"".into(),
        },
        ConnectionFault::NoCertificate { option: "ca" },
        ConnectionFault::NotACertificate { option: "ca", place: 2 },
        ConnectionFault::PrivateKey { option: "client_cert" },
        ConnectionFault::WrongClientKey {
            secret: "shop_key".into(),
        },
        ConnectionFault::UselessOption {
            option: "secret",
            because: "auth is \"none\"".into(),
            uses: vec![],
        },
        ConnectionFault::UselessOption {
            option: "username",
            because: "auth is \"bearer\"".into(),
            uses: vec!["secret"],
        },
        ConnectionFault::OptionTwice { option: HOSTILE.into() },
        ConnectionFault::NotOnServer { option: HOSTILE.into() },
        ConnectionFault::NotADocument,
        ConnectionFault::CredentialOption {
            option: HOSTILE.into(),
            nearest: Some("api_key_name"),
        },
        ConnectionFault::NotASecretName { option: "secret" },
        ConnectionFault::MethodNotAllowed {
            connection: "My shop".into(),
            method: "POST",
            allowed: vec!["GET", "HEAD"],
            names_methods: false,
        },
    ]
    .map(ConfigError::from)
    .to_vec()
}

fn of_settings() -> Vec<ConfigError> {
    let subject = || Subject::setting("pagination.stop");
    let because = "The end by total needs to know where the total is.";
    let name = || HOSTILE.to_owned();
    [
        SettingsFault::NotAnObject { line: 1, column: 2 },
        SettingsFault::Twice { path: name() },
        SettingsFault::WrongPath {
            subject: subject(),
            reason: name(),
        },
        SettingsFault::Needs {
            subject: subject(),
            needs: "pagination.total".into(),
            because,
        },
        SettingsFault::NoEffect {
            subject: subject(),
            because,
            instead: "Remove it.",
        },
        SettingsFault::ParamPlace {
            key: "param",
            name: name(),
        },
        SettingsFault::ReservedHeader { name: name() },
        SettingsFault::Credential {
            holder: "parameter",
            name: name(),
        },
        SettingsFault::ParamTaken {
            name: name(),
            by: "pagination.param",
        },
        SettingsFault::NoColumns,
        SettingsFault::Order {
            subject: Subject::setting("adaptive"),
            order: "\"fastest\", \"usual\"",
        },
        SettingsFault::ColumnName { name: name() },
    ]
    .into_iter()
    .chain(of_types())
    .map(ConfigError::from)
    .collect()
}

fn of_types() -> impl Iterator<Item = SettingsFault> {
    let refused = TypeFault::Refused("type modifier is not allowed for type \"text\"".into());
    let faults = [TypeFault::Unknown, TypeFault::Serial, TypeFault::Pseudo, refused];
    faults.into_iter().map(|fault| SettingsFault::ColumnType {
        column: "id".into(),
        type_name: "serial".into(),
        fault,
    })
}

fn of_jobs() -> Vec<ConfigError> {
    let name = || HOSTILE.to_owned();
    let path = |fault| JobFault::Path {
        subject: Subject::argument("path"),
        fault,
    };
    let mut faults = vec![
        JobFault::KeyNeeded {
            name: name(),
            proposed: vec!["id".into(), "sku".into()],
        },
        JobFault::KeyNeeded {
            name: name(),
            proposed: vec![],
        },
        JobFault::TableWithoutKey {
            table: "public.products".into(),
        },
        JobFault::KeyNotInRecords {
            column: name(),
            members: vec!["id".into(), "sku".into()],
        },
        JobFault::EmptyKey,
        JobFault::UnknownTimeZone {
            name: "Europe/Bonn".into(),
        },
        JobFault::UnknownDependency {
            name: "b".into(),
            nearest: None,
        },
        JobFault::UnknownDependency {
            name: "b".into(),
            nearest: Some("a".into()),
        },
        JobFault::DependencyCycle {
            name: "a".into(),
            names: vec!["a".into(), "b".into(), "a".into()],
        },
        JobFault::KeyColumnTwice { column: name() },
        JobFault::UnknownSchema { schema: name() },
        JobFault::NoSchema { table: name() },
        JobFault::Braces { text: name() },
        JobFault::NoPlace,
        JobFault::NoParent { unusable: None },
        JobFault::QueryOfSuperuser,
    ];
    faults.extend(PathFault::ALL.map(path));
    faults.into_iter().map(ConfigError::from).collect()
}

fn of_secrets() -> Vec<ConfigError> {
    let name = || HOSTILE.to_owned();
    let key = |seed: u8| parse_key(&(0..32).map(|i| i ^ seed).collect::<Vec<u8>>()).unwrap().id();
    let file = |fault| SecretFault::KeyFile {
        path: "/etc/my keys/pg_sluice.key".into(),
        fault,
    };
    let mut faults = vec![
        SecretFault::KeyLength { bytes: 31 },
        SecretFault::KeyNotHex,
        SecretFault::KeyIsConstant,
        SecretFault::KeyCommand {
            what: "It did not end within 10 seconds.".into(),
        },
        SecretFault::AnotherKey {
            name: name(),
            sealed_with: key(1),
            present: key(2),
        },
        SecretFault::Damaged { name: name() },
        SecretFault::UnknownFormat {
            name: name(),
            format: 9,
        },
        SecretFault::WrongName,
        SecretFault::WrongSecretValue { name: name() },
        SecretFault::WrongReference,
        SecretFault::WrongPath,
    ];
    faults.extend(KeyFileFault::ALL.map(file));
    let role = name;
    let references = [
        ReferenceFault::Outside { role: role() },
        ReferenceFault::File(KeyFileFault::Missing),
        ReferenceFault::File(KeyFileFault::TooLarge),
        ReferenceFault::MayNotRun { role: role() },
        ReferenceFault::Program {
            what: "It did not end within 10 seconds.".into(),
        },
        ReferenceFault::NoVault,
        ReferenceFault::NotInVault { role: role() },
        ReferenceFault::Vault {
            why: "permission denied for view decrypted_secrets".into(),
        },
    ];
    faults.extend(references.map(|fault| SecretFault::Reference { name: name(), fault }));
    faults.into_iter().map(ConfigError::from).collect()
}

fn every_kept_back() -> Vec<KeptBack> {
    let live = Live {
        rows_before: 100,
        candidates_gone: 60,
        gone_confirmed: 1,
    };
    ReadState::ALL
        .map(|state| KeptBack {
            state,
            live,
            max_shrink: 0.5,
        })
        .to_vec()
}

fn check_form(error: &dyn Explain) {
    let message = error.to_string();
    let (detail, hint) = (error.detail(), error.hint());
    println!(
        "{} {}  {message}\n    detail: {detail:?}\n    hint:   {hint:?}",
        error.sqlstate(),
        error.class()
    );
    assert!(
        message.starts_with(|c: char| c.is_ascii_lowercase()),
        "begins in lower case: {message}"
    );
    assert!(!message.ends_with(['.', '!', '?', ' ']), "no full stop: {message}");
    assert!(message.chars().count() <= 160, "short: {message}");
    assert!(!message.chars().any(char::is_control), "one line: {message:?}");
    assert_eq!(error.sqlstate().len(), 5);
    if let Some(detail) = detail {
        assert!(detail.starts_with(|c: char| c.is_uppercase()), "a sentence: {detail}");
        assert!(
            detail.ends_with(['.', '!']) || detail.starts_with("Reason:"),
            "a sentence: {detail}"
        );
        assert!(!detail.chars().any(char::is_control), "one line: {detail:?}");
    }
    let hint = hint.unwrap_or_else(|| panic!("every error has a next step: {message}"));
    assert!(
        !hint.is_empty() && !hint.chars().any(char::is_control),
        "one line: {hint:?}"
    );
}

/// The name of a variant, and the names of all; a new variant does not compile until it is named here.
macro_rules! variants {
    ($fault:expr, $of:ident: $($variant:ident)*) => {{
        let name = match $fault { $($of::$variant { .. } => stringify!($variant),)* };
        (name, &[$(stringify!($variant)),*] as &[&str])
    }};
}

/// The area of an error, its variant there, and all variants of the area.
fn variant(error: &ConfigError) -> (&'static str, &'static str, &'static [&'static str]) {
    let (area, (name, all)) = match error {
        ConfigError::Connection(fault) => (
            "connection",
            variants!(fault, ConnectionFault: NoCertificate NotACertificate PrivateKey WrongClientKey
            MissingOption UselessOption NotOnServer NotADocument OptionTwice CredentialOption NotASecretName
            MethodNotAllowed),
        ),
        ConfigError::Settings(fault) => (
            "settings",
            variants!(fault, SettingsFault:
            NotAnObject Twice WrongPath Needs NoEffect ReservedHeader Credential ParamTaken ParamPlace NoColumns
            ColumnName ColumnType Order),
        ),
        ConfigError::Job(fault) => (
            "job",
            variants!(fault, JobFault:
            Path KeyNeeded TableWithoutKey KeyNotInRecords EmptyKey KeyColumnTwice UnknownSchema NoSchema
            Braces NoPlace NoParent QueryOfSuperuser UnknownTimeZone UnknownDependency DependencyCycle),
        ),
        ConfigError::Secret(fault) => (
            "secret",
            variants!(fault, SecretFault: KeyCommand
            KeyLength KeyNotHex KeyIsConstant KeyFile AnotherKey Damaged UnknownFormat WrongName
            WrongSecretValue WrongReference WrongPath Reference),
        ),
        shared => (
            "shared",
            variants!(shared, ConfigError:
            UnknownOption UnknownSetting UnknownWord WrongValue NotSupportedYet Url Connection Settings Job Secret),
        ),
    };
    (area, name, all)
}

#[test]
fn every_error_of_a_definition_is_told_in_form() {
    let all = [shared(), of_connections(), of_settings(), of_jobs(), of_secrets()].concat();
    let mut seen = std::collections::BTreeSet::new();
    for error in &all {
        check_form(error);
        let (area, name, _) = variant(error);
        seen.insert((area, name));
    }
    for error in &all {
        let (area, _, variants) = variant(error);
        let joins_an_area =
            |name: &str| area == "shared" && ["Connection", "Settings", "Job", "Secret"].contains(&name);
        for name in variants.iter().filter(|name| !joins_an_area(name)) {
            assert!(seen.contains(&(area, *name)), "{area} {name} is missing from the table");
        }
    }
    for kept_back in every_kept_back() {
        check_form(&kept_back);
    }
}

//! The settings `sluice.*`: what the whole server decides. What one job decides is in its settings document.

use crate::pg::settings_check;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;
use sluice_core::url_policy::lists::{Networks, parse_hosts, parse_networks};
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::time::Duration;

/// On: an installed extension is meant to work.
static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
/// Every database: one that has no jobs costs a look every ten minutes.
static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"*"));
/// Three runs at once leave room in the default `max_worker_processes` (8) for parallel queries.
static MAX_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(3);
/// 0: as many as there are workers. A host's budget is shared by its runs, so a limit is for those that take long.
static MAX_WORKERS_PER_HOST: GucSetting<i32> = GucSetting::<i32>::new(0);
/// None: `pg_sluice.key` beside postgresql.conf, where that is not the data directory.
static KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// Empty: a key file is what most have.
static KEY_COMMAND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// Empty: no secret is read from a file.
static SECRET_DIRECTORIES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
/// None: whatever has this data directory may work.
static ARM_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
/// Empty: public addresses only.
static ALLOWED_NETWORKS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
/// Empty: every host, under the address check.
static ALLOWED_HOSTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
/// On: a superuser's tables are written while no ordinary role could add code to them.
static ALLOW_SUPERUSER_JOBS: GucSetting<bool> = GucSetting::<bool>::new(true);
/// 64 MB hold any sensible page; the decoded body lives in memory once for each request in flight.
static MAX_RESPONSE_KB: GucSetting<i32> = GucSetting::<i32>::new(64 * 1024);
/// Text compresses 5 to 20 times; 100 is an attack.
static MAX_RATIO: GucSetting<i32> = GucSetting::<i32>::new(100);
/// More hosts and credentials than most clusters know; each takes less than a kilobyte.
static MAX_RATE_BUDGETS: GucSetting<i32> = GucSetting::<i32>::new(1024);
/// Waiting longer for a lock on a target would queue its readers behind us.
static LOCK_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
/// A run every half an hour for three weeks.
static KEEP_RUNS: GucSetting<i32> = GucSetting::<i32>::new(1000);
/// A month of history in minutes: what an enquiry usually goes back to.
static KEEP_HISTORY_MIN: GucSetting<i32> = GucSetting::<i32>::new(30 * DAY_MIN);
/// A year: audits come once a year.
static KEEP_AUDIT_MIN: GucSetting<i32> = GucSetting::<i32>::new(365 * DAY_MIN);
/// On: an event that nobody listens for costs next to nothing.
static NOTIFY_EVENTS: GucSetting<bool> = GucSetting::<bool>::new(true);
const DAY_MIN: i32 = 24 * 60;
#[cfg(feature = "failpoints")]
static DEBUG_CLOCK_OFFSET_S: GucSetting<i32> = GucSetting::<i32>::new(0);

/// Defines all settings; called once, when the library is loaded.
pub fn define() {
    define_switches();
    define_network();
    define_limits();
    define_history();
    #[cfg(feature = "failpoints")]
    GucRegistry::define_int_guc(
        c"sluice.debug_clock_offset",
        c"Moves pg_sluice's clock, in test builds only.",
        c"",
        &DEBUG_CLOCK_OFFSET_S,
        i32::MIN,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    // SAFETY: a static C string; after this, an unknown `sluice.` setting is an error instead of a silent placeholder.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"sluice".as_ptr()) };
}

fn define_switches() {
    GucRegistry::define_bool_guc(
        c"sluice.enabled",
        c"Starts runs when they are due.",
        c"Off: nothing new starts in any database; a run that is under way goes on.",
        &ENABLED,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"sluice.databases",
        c"The databases that pg_sluice serves: * or a comma-separated list of names.",
        c"",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"sluice.allow_superuser_jobs",
        c"Allows jobs whose target belongs to a superuser.",
        c"They run only while no code that an ordinary role can add or change would run with them.",
        &ALLOW_SUPERUSER_JOBS,
        GucContext::Sighup,
        GucFlags::default(),
    );
    define_checked(
        c"sluice.key_file",
        c"The file with the key that seals secrets: 32 raw bytes or 64 hexadecimal digits.",
        c"Owned by the server's user, mode 0600 or stricter, not below the data directory.",
        &KEY_FILE,
        settings_check::key_file,
    );
    GucRegistry::define_string_guc(
        c"sluice.key_command",
        c"A command that prints the key that seals secrets, in place of sluice.key_file.",
        c"Run by the shell as the server's user, each time a secret is sealed or opened; it has ten seconds.",
        &KEY_COMMAND,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
    define_checked(
        c"sluice.secret_directories",
        c"Directories below which files with secrets may lie, as a comma-separated list of whole paths.",
        c"An admin's secret may name every file there; another role's one in the folder of its name.",
        &SECRET_DIRECTORIES,
        settings_check::directories,
    );
    define_checked(
        c"sluice.arm_file",
        c"A file without which this server starts no runs, so that copies of its data directory stay quiet.",
        c"Outside of the data directory. Empty: for each server that sees it; else a line for each data directory.",
        &ARM_FILE,
        settings_check::arm_file,
    );
}

fn define_network() {
    define_checked(
        c"sluice.allowed_networks",
        c"Networks that are not public and may be called all the same, as a comma-separated list of CIDR blocks.",
        c"Addresses that serve cloud metadata stay refused.",
        &ALLOWED_NETWORKS,
        settings_check::networks,
    );
    define_checked(
        c"sluice.allowed_hosts",
        c"The only hosts that may be called, as a comma-separated list of names and *.name; empty: every host.",
        c"Their addresses are checked all the same.",
        &ALLOWED_HOSTS,
        settings_check::hosts,
    );
}

/// A setting of superusers with a format of its own.
fn define_checked(
    name: &'static CStr,
    short: &'static CStr,
    long: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
    check: settings_check::Check,
) {
    let (context, flags) = (GucContext::Sighup, GucFlags::SUPERUSER_ONLY);
    // SAFETY: the checks are guarded, and the library is never unloaded.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(name, short, long, setting, context, flags, Some(check), None, None);
    }
}

fn define_limits() {
    // Where the library is loaded later there is no shared memory to be sized, and the server refuses such a setting.
    let at_start = match crate::pg::is_preloading() {
        true => GucContext::Postmaster,
        false => GucContext::Sighup,
    };
    GucRegistry::define_int_guc(
        c"sluice.max_workers",
        c"How many runs may be under way at once, in all databases together.",
        c"Each takes one of max_worker_processes; the launcher and a scheduler take two more.",
        &MAX_WORKERS,
        1,
        crate::pg::shmem::MAX_SLOTS as i32,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sluice.max_workers_per_host",
        c"How many runs may read from one host at once, in all databases together; 0: as many as sluice.max_workers.",
        c"So that the jobs of one slow host leave workers to the jobs of others.",
        &MAX_WORKERS_PER_HOST,
        0,
        crate::pg::shmem::MAX_SLOTS as i32,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sluice.max_rate_budgets",
        c"How many hosts and credentials the server keeps rate budgets for.",
        c"Idle ones make room for others; where none is idle, requests wait.",
        &MAX_RATE_BUDGETS,
        1,
        65_536,
        at_start,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sluice.max_response_bytes",
        c"The largest response body, counted after decompression.",
        c"",
        &MAX_RESPONSE_KB,
        1,
        1024 * 1024,
        GucContext::Sighup,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"sluice.max_decompression_ratio",
        c"How many times larger than its compressed form a body may be.",
        c"",
        &MAX_RATIO,
        1,
        10_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sluice.lock_timeout",
        c"How long a worker waits for a lock on a target before the batch is given back.",
        c"",
        &LOCK_TIMEOUT_MS,
        100,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
}

fn define_history() {
    GucRegistry::define_int_guc(
        c"sluice.keep_runs",
        c"How many runs of each job are kept in the history.",
        c"The last success and the last failure stay, and so do runs that wait for a decision or can be rolled back.",
        &KEEP_RUNS,
        10,
        1_000_000,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"sluice.keep_history",
        c"How long runs are kept in the history.",
        c"The last success and the last failure stay, and so do runs that wait for a decision or can be rolled back.",
        &KEEP_HISTORY_MIN,
        60,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    GucRegistry::define_int_guc(
        c"sluice.keep_audit",
        c"How long rows of the audit log are kept.",
        c"",
        &KEEP_AUDIT_MIN,
        DAY_MIN,
        i32::MAX,
        GucContext::Sighup,
        GucFlags::UNIT_MIN,
    );
    GucRegistry::define_bool_guc(
        c"sluice.notify_events",
        c"Tells by NOTIFY on sluice_events what becomes of runs and jobs.",
        c"",
        &NOTIFY_EVENTS,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

pub fn keep_runs() -> i64 {
    i64::from(KEEP_RUNS.get())
}

pub fn keep_history() -> Duration {
    minutes(&KEEP_HISTORY_MIN)
}

pub fn keep_audit() -> Duration {
    minutes(&KEEP_AUDIT_MIN)
}

pub fn notify_events() -> bool {
    NOTIFY_EVENTS.get()
}

fn minutes(setting: &GucSetting<i32>) -> Duration {
    Duration::from_secs(u64::try_from(setting.get()).unwrap_or(1) * 60)
}

pub fn enabled() -> bool {
    ENABLED.get()
}

/// Whether `sluice.databases` names this database.
pub fn serves_database(name: &str) -> bool {
    let list = text(&DATABASES);
    list.split(',')
        .map(str::trim)
        .any(|entry| entry == "*" || entry == name)
}

pub fn max_workers() -> usize {
    usize::try_from(MAX_WORKERS.get()).unwrap_or(1)
}

/// How many runs may read from one host at once.
pub fn max_workers_per_host() -> usize {
    match usize::try_from(MAX_WORKERS_PER_HOST.get()) {
        Ok(limit) if limit > 0 => limit,
        _ => max_workers(),
    }
}

pub fn max_rate_budgets() -> usize {
    usize::try_from(MAX_RATE_BUDGETS.get()).unwrap_or(1)
}

pub fn allow_superuser_jobs() -> bool {
    ALLOW_SUPERUSER_JOBS.get()
}

/// The command that prints the key; None: there is a file.
pub fn key_command() -> Option<String> {
    Some(text(&KEY_COMMAND)).filter(|command| !command.trim().is_empty())
}

/// Where files with secrets may lie.
pub fn secret_directories() -> Vec<PathBuf> {
    let text = text(&SECRET_DIRECTORIES);
    let named = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    named.map(PathBuf::from).collect()
}

/// The configured key file; None for the default place.
pub fn key_file() -> Option<String> {
    Some(text(&KEY_FILE)).filter(|path| !path.is_empty())
}

/// The file that has to be there; None where none is asked for.
pub fn arm_file() -> Option<String> {
    Some(text(&ARM_FILE)).filter(|path| !path.is_empty())
}

/// `sluice.allowed_networks`; its check lets nothing else pass.
pub fn allowed_networks() -> Networks {
    parse_networks(&text(&ALLOWED_NETWORKS)).unwrap_or_default()
}

/// Whether addresses that are not public may be called.
pub fn allows_networks() -> bool {
    !text(&ALLOWED_NETWORKS).trim().is_empty()
}

/// `sluice.allowed_hosts`; its check lets nothing else pass.
pub fn allowed_hosts() -> Vec<String> {
    parse_hosts(&text(&ALLOWED_HOSTS)).unwrap_or_default()
}

pub fn max_response_bytes() -> u64 {
    u64::try_from(MAX_RESPONSE_KB.get()).unwrap_or(1) * 1024
}

pub fn max_decompression_ratio() -> u32 {
    u32::try_from(MAX_RATIO.get()).unwrap_or(1)
}

/// In milliseconds, as PostgreSQL's own `lock_timeout` takes it.
pub fn lock_timeout() -> Duration {
    Duration::from_millis(u64::try_from(LOCK_TIMEOUT_MS.get()).unwrap_or(1))
}

/// How far the clock is moved, forwards or backwards, in microseconds; always zero in a release.
pub fn debug_clock_offset() -> i64 {
    #[cfg(feature = "failpoints")]
    return i64::from(DEBUG_CLOCK_OFFSET_S.get()) * 1_000_000;
    #[cfg(not(feature = "failpoints"))]
    0
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    setting
        .get()
        .map(|value| value.to_string_lossy().into_owned())
        .unwrap_or_default()
}

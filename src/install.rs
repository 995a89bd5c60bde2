//! The parts of the install script, in order; nothing else.

use pgrx::prelude::*;

extension_sql_file!("../sql/schema/00_schema.sql", name = "schema", bootstrap);
extension_sql_file!(
    "../sql/schema/10_job.sql",
    name = "job",
    requires = ["schema", api::access::here_now, api::access::role_now]
);
extension_sql_file!("../sql/schema/20_run.sql", name = "run", requires = ["job"]);
extension_sql_file!("../sql/schema/25_ingest.sql", name = "ingest", requires = ["run"]);
extension_sql_file!("../sql/schema/25_retry.sql", name = "retry", requires = ["ingest"]);
extension_sql_file!("../sql/schema/26_failure.sql", name = "failure", requires = ["retry"]);
extension_sql_file!("../sql/schema/27_reject.sql", name = "reject", requires = ["failure"]);
extension_sql_file!(
    "../sql/schema/28_snapshot.sql",
    name = "snapshot",
    requires = ["reject"]
);
extension_sql_file!(
    "../sql/schema/29_parent_cursor.sql",
    name = "parent_cursor",
    requires = ["snapshot"]
);
extension_sql_file!(
    "../sql/schema/30_secret.sql",
    name = "secret",
    requires = ["parent_cursor"]
);
extension_sql_file!("../sql/schema/31_oauth.sql", name = "oauth", requires = ["secret"]);
extension_sql_file!("../sql/schema/35_audit.sql", name = "audit", requires = ["oauth"]);
extension_sql_file!("../sql/schema/36_history.sql", name = "history", requires = ["audit"]);
extension_sql_file!("../sql/schema/37_alert.sql", name = "alert", requires = ["history"]);
extension_sql_file!(
    "../sql/schema/40_wrapper.sql",
    name = "wrapper",
    requires = ["alert", api::connections::validate_options]
);
extension_sql_file!("../sql/schema/55_hold.sql", name = "hold", requires = ["wrapper"]);
extension_sql_file!(
    "../sql/schema/55_rate.sql",
    name = "rate",
    requires = [
        "wrapper",
        api::rates::rate_limit,
        api::connections::origin,
        api::connections::option
    ]
);
extension_sql_file!(
    "../sql/schema/60_views.sql",
    name = "views",
    requires = [
        "hold",
        "rate",
        api::live::workers,
        api::live::waits_for_worker,
        api::live::launcher_is_running,
        api::live::arm_file_fault,
        api::live::arm_file_hint,
        api::rates::budget_seen,
        api::connections::origin,
        api::connections::option,
    ]
);
extension_sql_file!("../sql/schema/61_drift.sql", name = "drift", requires = ["views"]);
extension_sql_file!("../sql/schema/62_origins.sql", name = "origins", requires = ["drift"]);
extension_sql_file!(
    "../sql/schema/63_failures.sql",
    name = "failures",
    requires = ["origins"]
);
extension_sql_file!(
    "../sql/schema/65_rejects.sql",
    name = "rejects",
    requires = ["failures"]
);
extension_sql_file!("../sql/schema/66_rates.sql", name = "rates", requires = ["rejects"]);
extension_sql_file!(
    "../sql/schema/66_health.sql",
    name = "health",
    requires = ["rates", api::live::worker_limit]
);
extension_sql_file!(
    "../sql/schema/67_repair.sql",
    name = "repair",
    requires = ["health", api::repair::repair_sync, api::optimize::optimize_sync]
);
extension_sql_file!(
    "../sql/schema/68_self_test.sql",
    name = "self_test",
    requires = ["repair"]
);
extension_sql_file!(
    "../sql/schema/69_alerts.sql",
    name = "alerts",
    requires = ["self_test", api::alerts::on_event, api::alerts::drop_event_rule]
);
extension_sql_file!("../sql/schema/70_cron.sql", name = "cron", requires = ["alerts"]);
extension_sql_file!(
    "../sql/schema/75_look.sql",
    name = "look",
    requires = ["cron", api::preview::preview, api::openapi::plan]
);
extension_sql_file!("../sql/schema/80_access.sql", name = "access", requires = ["look"]);
extension_sql_file!("../sql/schema/90_public.sql", name = "public", finalize);

//! What tests on a server of their own begin with.

use crate::cluster::Cluster;
use crate::db::Db;

/// The extension, an ordinary role `app` that owns the schema `app` and works in it, and a connection `shop` to `url` that
/// it may use. A superuser's session and one of `app`.
pub fn connect_shop(cluster: &Cluster, url: &str) -> (Db, Db) {
    cluster.db().exec(&format!(
        "CREATE EXTENSION pg_sluice;
         CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION app; ALTER ROLE app SET search_path = app;
         ALTER ROLE postgres SET search_path = app, public;
         SELECT sluice.grant_access('app', 'writer');
         CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice OPTIONS (base_url '{url}');
         GRANT USAGE ON FOREIGN SERVER shop TO app"
    ));
    (cluster.db(), cluster.db_as("app", "postgres"))
}

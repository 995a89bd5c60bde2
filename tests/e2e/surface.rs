//! What the extension puts into a database: whose it is, what it may do there, and what a dump takes along.

use crate::scene::make_role;
use sluice_e2e::Cluster;

/// S-1.
#[test]
fn only_a_superuser_installs_it_and_it_stays_where_it_is() {
    let cluster = Cluster::shared();
    let mut db = cluster.new_database();
    let available = "SELECT concat_ws(' ', superuser, trusted, relocatable, schema) FROM pg_available_extension_versions WHERE name = 'pg_sluice'";
    assert_eq!(db.text(available), "t f f sluice");
    make_role(&mut db, "settler");
    let database = db.text("SELECT current_database()");
    db.exec(&format!("GRANT ALL ON DATABASE {database} TO settler"));
    let error = cluster.db_as("settler", &database).error("CREATE EXTENSION pg_sluice");
    assert_eq!(error.sqlstate, "42501", "{error}");
    db.exec("CREATE EXTENSION pg_sluice");
    assert_eq!(
        db.error("ALTER EXTENSION pg_sluice SET SCHEMA public").sqlstate,
        "0A000"
    );
}

/// S-2: objects that somebody has put where ours would be are not taken for ours.
#[test]
fn a_schema_that_somebody_else_has_prepared_is_refused() {
    let cluster = Cluster::shared();
    for prepared in [
        "CREATE SCHEMA sluice",
        "CREATE SCHEMA sluice; CREATE TABLE sluice._job (name text)",
        "CREATE SCHEMA sluice; CREATE FUNCTION sluice._admin_level() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE SCHEMA sluice; CREATE TYPE sluice.priority AS ENUM ('low')",
    ] {
        let mut db = cluster.new_database();
        make_role(&mut db, "settler");
        let database = db.text("SELECT current_database()");
        db.exec(&format!("GRANT CREATE ON DATABASE {database} TO settler"));
        cluster.db_as("settler", &database).exec(prepared);
        let error = db.error("CREATE EXTENSION pg_sluice");
        assert_eq!(error.sqlstate, "42P06", "{prepared}: {error}");
        assert_eq!(error.detail.as_deref(), Some("It belongs to settler."), "{prepared}");
        assert_eq!(
            db.number("SELECT count(*) FROM pg_extension WHERE extname = 'pg_sluice'"),
            0
        );
    }
}

/// S-4, S-5, O-35: by the catalogs, so that what is new is looked at too.
#[test]
fn functions_with_more_rights_are_pinned_views_are_barriers_and_no_table_breaks_an_upgrade() {
    let mut db = Cluster::shared().new_database();
    db.exec("CREATE EXTENSION pg_sluice");
    let definers =
        "SELECT string_agg(proname, ', ') FROM pg_proc WHERE pronamespace = 'sluice'::regnamespace AND prosecdef
                    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)";
    assert_eq!(
        db.value(definers),
        None,
        "definer functions without a search path of their own"
    );
    let views =
        "SELECT string_agg(relname, ', ') FROM pg_class WHERE relnamespace = 'sluice'::regnamespace AND relkind = 'v'
                 AND relname ~ '^sync_' AND NOT coalesce('security_barrier=true' = ANY (reloptions), false)";
    assert_eq!(db.value(views), None, "views without a barrier");
    // pg_upgrade refuses them, and they mean nothing in a dump.
    let columns = "SELECT string_agg(attrelid::regclass || '.' || attname, ', ') FROM pg_attribute AS a
                   JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'sluice'::regnamespace
                   WHERE a.atttypid IN (SELECT oid FROM pg_type WHERE typname ~ '^reg') AND a.attnum > 0 AND NOT a.attisdropped";
    assert_eq!(db.value(columns), None, "columns of types that begin with reg");
    let triggers = "SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
                    WHERE c.relnamespace = 'sluice'::regnamespace AND NOT t.tgisinternal AND t.tgfoid NOT IN
                        (SELECT oid FROM pg_proc WHERE pronamespace = 'sluice'::regnamespace)";
    assert_eq!(db.number(triggers), 0, "triggers that are not ours");
}

/// O-31: definitions are dumped with the sequences that number them, and nothing that a restore could not use.
#[test]
fn a_dump_takes_definitions_with_their_sequences() {
    let mut db = Cluster::shared().new_database();
    db.exec("CREATE EXTENSION pg_sluice");
    let dumped = "SELECT c.oid FROM pg_extension AS e CROSS JOIN LATERAL unnest(e.extconfig) AS x (oid) JOIN pg_class AS c ON c.oid = x.oid
                  WHERE e.extname = 'pg_sluice'";
    for table in ["_job", "_job_state", "_secret", "_secret_grant", "_allowed_origin"] {
        assert!(
            db.is_true(&format!("SELECT 'sluice.{table}'::regclass IN ({dumped})")),
            "{table}"
        );
    }
    let forgotten = format!(
        "SELECT string_agg(s.relname, ', ') FROM pg_class AS s JOIN pg_depend AS d ON d.objid = s.oid AND d.deptype IN ('a', 'i')
         WHERE s.relkind = 'S' AND d.refobjid IN ({dumped}) AND s.oid NOT IN ({dumped})"
    );
    assert_eq!(
        db.value(&forgotten),
        None,
        "sequences of dumped tables that are not dumped"
    );
    let foreign = format!(
        "SELECT string_agg(conname, ', ') FROM pg_constraint WHERE contype = 'f' AND conrelid IN ({dumped}) AND confrelid NOT IN ({dumped})"
    );
    assert_eq!(
        db.value(&foreign),
        None,
        "dumped rows that refer to rows which are not dumped"
    );
}

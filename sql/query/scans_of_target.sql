-- How often a table, its partitions and their indexes have been scanned.
WITH relation AS (
    SELECT $1 AS oid
    UNION SELECT p.relid FROM pg_catalog.pg_partition_tree($1) AS p
), scanned AS (
    SELECT r.oid FROM relation AS r
    UNION ALL
    SELECT i.indexrelid FROM pg_catalog.pg_index AS i JOIN relation AS r ON r.oid = i.indrelid
)
SELECT coalesce(sum(pg_catalog.pg_stat_get_numscans(s.oid)), 0)::bigint FROM scanned AS s

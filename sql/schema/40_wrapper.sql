-- Connections are servers of this wrapper.

CREATE FOREIGN DATA WRAPPER pg_sluice NO HANDLER VALIDATOR sluice._validate_options;

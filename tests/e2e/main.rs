//! The index of the scenarios, one topic a line; each test's name says what holds.
//!
//! Run one: `make test-e2e ONLY=a_name` (see CONTRIBUTING.md).

mod failure; // how a run fails: what is told where
mod harness; // the harness itself, on a server without pg_sluice
mod history_model; // what a table must hold after each step of a history
mod scene; // a database of its own on a server, a role that owns the target, a job
mod shop; // a server of its own, an API, a role, a connection

mod access; // who may do what
mod after_publish; // the owner's function in the publishing transaction
mod alerts; // who is called when health changes
mod altered; // jobs that are changed while a run of them is under way or waits to be approved
mod append; // rows that are only added
mod arm_file; // copies of a server, which wait for it
mod arming; // restored and copied databases
mod audit; // who changed what, from where; rows that nobody changes
mod auth; // credentials: sent where they belong, and nowhere else
mod bad_input; // what the remote gets wrong
mod bad_target; // that cannot be written, or changes in mid-run
mod canary; // secrets, looked for wherever somebody might read
mod cancelled_calls; // what a call leaves behind whose caller is cancelled, ended or killed
mod changed_columns; // a rollback of runs whose table has got columns since, or other names
mod changes_between; // two runs: the rows, the job, the caller's patience
mod climbing; // an ordinary role that tries to become more
mod clocks; // that step, stand still and follow zones; what a schedule makes of it
mod comebacks; // what refuses until it is mended, and connections that go on
mod crashes; // processes that die in mid-run, and what must not be lost
mod cron; // pg_cron, which processes retries where a DBA wants it to
mod crowds; // how many requests at a time a remote takes
mod definitions; // reads under a definition, a table or a moment that is not the usual one
mod discover; // what a collection looks like, and the job that is proposed for it
mod documentation; // the SQL of README and guide, as it stands
mod drift; // fields that come, go or change, and the columns that a target gets
mod dropped_columns; // a rollback of runs that wrote a column which is gone since
mod dropping; // databases and the extension, in mid-run
mod error_rules; // what answers and SQLSTATEs mean where the defaults do not fit
mod events; // NOTIFY of state changes, in transactions of their own
mod failures; // what is written down of them, and the error budget of a run
mod first_load; // the first load, and what people see of it
mod formats; // answers in CSV and lines of JSON
mod from_page;
mod gone; // which missing rows are removed, and when
mod guards; // answers that must never destroy data
mod hard_weather; // broken transfers, limits, a collection that moves
mod health; // from the age of the data and the ledger; figures; history that is forgotten
mod histories; // random sequences of everything that undo has to do with
mod hostile_names; // objects of an attacker under every name that we use
mod hostile_owner; // whose code never runs with more rights than its own
mod incremental; // reads of what changed, and their watermark
mod lost_tokens; // tokens that the remote forgets in mid-read
mod memory; // what a core file would show of keys and secrets
mod modes; // upsert, keys of several columns, targets that were there before
mod oauth; // connections that a person, or a client, connects
mod oauth_crashes; // processes that die or fail with a new token in their hands: the answer is kept
mod oauth_faults; // tokens changed in our tables, token endpoints that ask to be left alone, devices asked about less often
mod oauth_renewal; // tokens that expire, are refused, or are lost with a process
mod optimize; // what runs teach about settings
mod origins; // that are allowed to roles, and the connections that they make
mod owner_settings; // which change nothing about the rows
mod page_sizes; // pages whose size adapts itself
mod paging; // the other paginations, and what servers do at the last page
mod parent_cursors; // incremental reads below each of them
mod parents; // collections below each row of a query
mod posting; // reads by POST with a JSON body, and redirects
mod preview; // the first records as they would be stored
mod rates; // the rate budget of host and credential, its waits and its breaker
mod refresh; // a refresh: what readers see, what is written, what is left alone
mod refused_records; // what PostgreSQL would not take: which record, which column
mod rejects; // records that could not become rows: kept aside while the others are written
mod repair; // what is damaged on purpose, and mended
mod repeated_rejects; // rejected records that come again as they were
mod replay; // publishing again what is stored, without the network
mod replays; // rejected records: who sees them, and how they are tried again
mod retries; // the retry queue: what waits, and when it is tried again
mod roles; // who a run acts as, several databases, names of every kind
mod rotation; // the key that seals secrets
mod schedules; // who runs when, for how long, and after whom
mod sealed; // what is sealed, and the key file: changed, moved, cut short, open to others
mod secret_sources; // secrets that are kept in a file, by a program, or in a vault
mod self_test; // what is missing in an installation
mod sent_tombstones; // payloads that say what is gone
mod serving; // launcher, scheduler, workers
mod snapshots; // full copies on demand, and back
mod spellings; // keys that are equal and written in several ways
mod standby; // quiet until it is promoted
mod stopping; // prompt, whatever a run is doing
mod stuck; // workers that live and make no progress
mod surface; // what the extension puts into a database
mod swaps; // values that change places under a unique constraint
mod targets; // tables of every kind, databases of other encodings
mod tls; // certificates: whom a connection trusts, and what it shows
mod tls_front; // an API behind TLS, with certificates of every kind
mod tombstones; // rows that are gone: removed, marked, kept; reads of everything now and then
mod unchanged; // pages that the remote says are unchanged
mod undo; // taking published runs back
mod waiting; // for the remote, holding nothing
mod webhooks; // payloads that others send us
mod widening; // wider types for columns that were made from the data

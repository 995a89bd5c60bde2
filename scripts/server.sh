#!/usr/bin/env bash
# A throw-away server for demo, golden SQL and benchmarks.
#
# server.sh start FOLDER PG_CONFIG [PORT]   makes FOLDER/data where it is missing, starts the server, and waits for it
# server.sh stop FOLDER PG_CONFIG           stops it at once
# No TCP, so that no port is taken: the socket lies in FOLDER (keep its path short). Trust authentication, superuser postgres.
. "$(dirname "$0")/env.sh"
action=$1 folder=$2 bin=$("$3" --bindir) port=${4:-5432}

make_data() {
  mkdir -p "$folder"
  give_to_server_user "$folder"
  as_server_user "$bin/initdb" -D "$folder/data" -U postgres -A trust -N -E UTF8 --locale=C.UTF-8 >"$folder/initdb.log"
  # The key that seals secrets: 64 hex digits, readable by the server's user only, outside the data directory.
  (umask 077 && od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$folder/pg_sluice.key")
  {
    test_server_settings
    printf "sluice.key_file = '%s'\n" "$folder/pg_sluice.key"
    printf "unix_socket_directories = '%s'\n" "$folder"
  } >>"$folder/data/postgresql.conf"
  give_to_server_user "$folder"
}

case $action in
  start)
    [ -f "$folder/data/PG_VERSION" ] || make_data
    as_server_user "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -o "-p $port -c listen_addresses=''" -w -t 60 start >/dev/null || {
      tail -20 "$folder/log" >&2
      die "the server in $folder does not start"
    }
    ;;
  stop)
    as_server_user "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
    ;;
  *) die "server.sh start | stop" ;;
esac

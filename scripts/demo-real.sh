#!/usr/bin/env bash
# The same against a public API that we did not write: the tags of postgres/postgres on GitHub, paged by Link headers.
# Needs the internet; GitHub allows 60 requests an hour without a token, and the demo takes about 20.
. "$(dirname "$0")/demo-server.sh"
begin_demo
play postgres real_connect.sql
play app real_load.sql
offer_psql

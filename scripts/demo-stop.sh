#!/usr/bin/env bash
# Ends the demos that KEEP=1 has left running, and removes their folders.
. "$(dirname "$0")/demo-server.sh"
end_kept

#!/usr/bin/env bash
# The main job on real input: datasette (PyPI) serves this machine's Debian package index as an API that we did not write.
#
# datasette is installed in target/peers, nowhere else. KEEP=1 as for demo.sh.
. "$(dirname "$0")/demo-server.sh"
. scripts/peers.sh

install_from_pypi datasette 'datasette==0.65.*'
package_index
begin_demo
python3 scripts/demo/make_packages.py "$PEERS/Packages" "$DEMO/debian.db"
serve "$DEMO/api" "$PEERS/datasette/bin/datasette" "$DEMO/debian.db" -h 127.0.0.1 -p 0 --setting max_returned_rows 1000
MAKE_TARGET=demo-real tell real.py "$(served_url "$DEMO/api")" "$DEMO/debian.db"

"""Writes the install script as pgspot can read it: python pgspot.py INSTALL_SCRIPT OUTPUT; prints how many statements.

PostgreSQL runs the script of an extension with the search path "sluice, pg_temp": pg_catalog is looked through first, and
objects without a schema are made in ours, which the script's beginning proves to be new. So pg_catalog stands first here,
and names without a schema get ours. Functions whose body is an expression (RETURN ...) are left out: they are parsed when
they are made, and pgspot 0.9 cannot read them.
"""

import re
import sys

import pglast

source, output = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    script = re.sub(r"^CREATE +(FUNCTION|PROCEDURE) \"", r'CREATE \1 sluice."', file.read(), flags=re.M)
# Offsets of the parser count bytes.
script = script.encode()
kept, left_out = [], 0
for raw in pglast.parse_sql(script.decode()):
    text = script[raw.stmt_location : raw.stmt_location + (raw.stmt_len or len(script))].decode()
    if getattr(raw.stmt, "sql_body", None) is None:
        kept.append(text.strip())
    else:
        left_out += 1
with open(output, "w", encoding="utf-8") as file:
    file.write("SET LOCAL search_path TO pg_catalog, pg_temp;\n")
    file.write(";\n".join(kept) + ";\n")
print(f"{len(kept)} statements, {left_out} left out")

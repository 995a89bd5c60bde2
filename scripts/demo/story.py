"""The story that `make demo` tells: a table kept in step with an API, and what happens when things go wrong.

story.py FOLDER PSQL API_URL      KEEP=1: say how to connect at the end
"""
import json
import os
import signal
import sys
import urllib.request

from stage import Stage, ends_with, play

FOLDER, PSQL, API = sys.argv[1:4]
stage = Stage(FOLDER, PSQL)


def api(path, body=None):
    """Asks the sample API's control paths; with a body, tells them."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{API}/_control/{path}", data=data), timeout=30) as answer:
        return answer.read().decode()


def truth(member):
    return json.loads(api("checksum"))[member]


def page_of_the_kill():
    """More than half way: the job asks for pages of 1000."""
    return max(2, truth("count") * 6 // 10_000)


def in_step():
    """Whether the table holds exactly what the API has: the API's own checksum over all rows."""
    mine = stage.value("""SELECT encode(sha256(convert_to(string_agg(concat_ws('|', id, sku, name, description, price, stock,
        active::text, category, extract(epoch FROM updated_at)::bigint), E'\\n' ORDER BY id), 'UTF8')), 'hex')
        FROM products""")
    return mine == truth("rows_sha256")


def last_run(columns):
    return stage.value(f"SELECT {columns} FROM sluice.sync_runs ORDER BY id DESC LIMIT 1")


def connect():
    stage.scene("A role and a connection")
    stage.say(f"A product catalogue with {truth('count'):,} products is served by a small HTTP API on this machine. "
              "The superuser lets an ordinary role use it, once. A connection is a foreign server:")
    stage.run(f"""
        CREATE ROLE app LOGIN;
        CREATE SCHEMA AUTHORIZATION app;
        CREATE EXTENSION pg_sluice;
        SELECT sluice.grant_access('app', 'writer');
        CREATE SERVER shop FOREIGN DATA WRAPPER pg_sluice
          OPTIONS (base_url '{API}');
        GRANT USAGE ON FOREIGN SERVER shop TO app;""", "postgres")
    stage.say("From here on everything is typed by that role.")
    stage.run("SELECT check_name, ok, detail FROM sluice.test_connection('shop', '/page/products',"
              "\n  '{\"records\": \"$.data\"}');")
    wrong = stage.value("SELECT count(*) FROM sluice.test_connection('shop', '/page/products', "
                        "'{\"records\": \"$.data\"}') WHERE NOT ok")
    stage.claim("the connection works", wrong == "0")


def first_load():
    stage.scene("The first load")
    stage.say("A job binds one collection of the API to one table. The table does not exist: it is made from the data. "
              "The API takes 150 ms for a page, as one across the internet would.")
    api("fault", {"fault": "delay", "ms": 150, "path": "/page/"})
    stage.run("""
        SELECT sluice.create_job('products', 'shop', '/page/products', key => '{id}',
          schedule => '30 minutes', settings => '{
            "records": "$.data", "page_size": 1000, "pagination":
              {"type": "page", "param": "page", "size_param": "per_page", "total": "$.meta.total"}}');""")
    stage.say("The commit of that call has started the first run. In another session one sees (sluice.sync_status):")
    stage.watch("products")
    api("clear_faults", {})
    stage.run("SELECT id, name, price, updated_at FROM products ORDER BY id LIMIT 3;")
    stage.claim(f"the table holds all {truth('count'):,} products, exactly as the API has them", in_step())


def refresh():
    stage.scene("A refresh with 1 % changed")
    api("change", {"percent": 1, "seed": 7})
    changed = truth("count") // 100
    stage.say(f"The API changes {changed:,} products. CALL runs the job now and waits for it:")
    stage.run("CALL sluice.sync('products');")
    stage.run("""
        SELECT id, source, status, pages, inserted, updated, deleted, unchanged
        FROM sluice.sync_runs ORDER BY id;""")
    stage.claim(f"{changed:,} rows were written, the others were not touched", last_run("updated") == str(changed))
    stage.claim("the table is in step", in_step())
    stage.say("And once more, with nothing changed:")
    before = stage.value("SELECT pg_current_wal_insert_lsn()", "postgres")
    stage.run("CALL sluice.sync('products');")
    wal = int(stage.value(f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{before}')::bigint", "postgres"))
    stage.claim(f"no row was written, and {wal // 1024} kB to the write-ahead log in all", wal < 1024 * 1024)


def kill():
    stage.scene("A worker is killed")
    api("change", {"percent": 2, "seed": 11})
    page = page_of_the_kill()
    stage.say(f"More changes; and this time the API does not answer for page {page}, so that we can see what happens to a "
              "run that dies half way.")
    api("clear_log", {})
    api("hold", {"page": page})
    stage.run("SELECT sluice.start_sync('products');")
    stage.until("SELECT max(pages) FILTER (WHERE status = 'running') FROM sluice.sync_runs", str(page - 1))
    stage.run("SELECT pid, data_type, phase, pages_done, pages_total FROM sluice.sync_progress;")
    pid = int(stage.value("SELECT pid FROM sluice.sync_progress"))
    print(f"\n$ kill -9 {pid}")
    os.kill(pid, signal.SIGKILL)
    stage.say("PostgreSQL restarts all of its processes after a kill -9, as it always does. The API answers again.")
    api("release", {})
    stage.until("SELECT count(*) = 0 FROM sluice.sync_runs WHERE status = 'running' AND source <> 'resume'")
    stage.until("SELECT status FROM sluice.sync_runs ORDER BY id DESC LIMIT 1", "succeeded")
    stage.run("""
        SELECT id, source, status, pages, updated, unchanged, finished_at - created_at AS took
        FROM sluice.sync_runs ORDER BY id DESC LIMIT 2;""")
    asked = json.loads(api("pages"))
    again = [number for number in set(asked) if number < page and asked.count(number) > 1]
    stage.claim(f"the new run went on at page {page}: none of the {page - 1} pages before it was asked for again",
                not again and last_run("source") == "resume", str(again))
    stage.claim("the table is in step", in_step())


def empty():
    stage.scene("An empty answer")
    stage.say("Somebody breaks the API: it says 200 OK, and that there are no products.")
    api("fault", {"fault": "body", "body": '{"data": [], "meta": {"page": 1, "total": 0}}', "path": "/page/"})
    before = stage.value("SELECT count(*) FROM products")
    stage.run("CALL sluice.sync('products');", fails=True)
    stage.run("SELECT data_type, status, item_count, reason FROM sluice.sync_connection_health;")
    api("clear_faults", {})
    stage.claim(f"the answer was refused, and all {int(before):,} rows are still there",
                stage.value("SELECT count(*) FROM products") == before and in_step())
    health = stage.value("SELECT status FROM sluice.sync_connection_health")
    stage.claim("health says so", health == "unhealthy", health)


def roll_back():
    stage.scene("A bad refresh is rolled back")
    good = stage.value("SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM products AS p")
    api("change", {"percent": 30, "seed": 13})
    stage.say("Somebody uploads a wrong price list: 30 % of the prices change, and the refresh brings them.")
    stage.run("CALL sluice.sync('products');")
    stage.claim("the wrong prices are in the table", in_step())
    stage.say("Every published run can be undone. What would happen:")
    stage.run("SELECT run_id, what FROM sluice.preview_rollback('products');")
    stage.run("CALL sluice.rollback_to('products');")
    now = stage.value("SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM products AS p")
    stage.claim("every row is as it was before that refresh", now == good)
    stage.run("SELECT data_type, status, action FROM sluice.sync_status;")
    paused = stage.value("SELECT status FROM sluice.sync_status")
    stage.claim("the job is paused, so that the next refresh does not bring the prices back by itself",
                paused == "paused", paused)


def story():
    for scene in (connect, first_load, refresh, kill, empty, roll_back):
        scene()
    stage.end()
    ends_with(FOLDER, PSQL, os.environ.get("KEEP"))


play(story)

"""What a demo is made of: plain words, SQL as a DBA types it with what psql answers, live progress, checked claims.

A claim that does not hold ends the demo with status 1.
"""
import os
import subprocess
import sys
import textwrap
import time

WIDTH = 92
FORMAT = ["-P", "pager=off", "-P", "footer=off", "-P", "linestyle=unicode", "-P", "border=1"]


class Failed(Exception):
    """A claim that does not hold."""


class Stage:
    """A server, given by its socket folder and psql, and the terminal."""

    def __init__(self, folder, psql):
        self.folder, self.psql = folder, psql
        self.live = sys.stdout.isatty()
        self.scenes, self.claims, self.started = 0, 0, time.monotonic()

    # ---- telling ----

    def scene(self, title):
        self.scenes += 1
        head = f"── {self.scenes}. {title} "
        print(f"\n{head}{'─' * (WIDTH - len(head))}")

    def say(self, text):
        print(textwrap.fill(" ".join(text.split()), WIDTH))

    def claim(self, text, holds, found=""):
        """States what is true now. Fails the demo where it is not."""
        mark = "✓" if holds else "✗ NOT TRUE:"
        print(textwrap.fill(f"{mark} {text}", WIDTH, subsequent_indent="  "))
        if not holds:
            raise Failed(f"{text} {found}")
        self.claims += 1

    def end(self):
        print(f"\n{self.claims} claims checked, all true, in {time.monotonic() - self.started:.0f} s.")

    # ---- SQL ----

    def _run(self, role, sql, options):
        command = [self.psql, "-X", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", role, "-d", "postgres", *options]
        return subprocess.run(command, input=sql, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)

    def run(self, sql, role="app", fails=False):
        """Shows a statement and what psql answers. `fails`: the statement is refused, and that is the point."""
        lines = textwrap.dedent(sql).strip().splitlines()
        mark = "#" if role == "postgres" else ">"
        print()
        for number, line in enumerate(lines):
            print(f"{role}{'=' if number == 0 else '-'}{mark} {line}")
        done = self._run(role, "\n".join(lines) + "\n", FORMAT)
        for line in done.stdout.rstrip().splitlines():
            line = line.removeprefix("psql:<stdin>:")
            head, _, rest = line.partition(": ")
            print(folded(rest if head.isdigit() else line))
        if (done.returncode != 0) != fails:
            raise Failed("the statement was expected to be " + ("refused" if fails else "accepted"))
        return done.stdout

    def value(self, sql, role="app"):
        """The answer to a quiet question, as text without alignment."""
        done = self._run(role, sql, ["-qAt"])
        if done.returncode != 0:
            raise Failed(f"{sql}: {done.stdout}")
        return done.stdout.strip()

    def until(self, sql, wanted="t", seconds=60):
        """Waits until a question is answered as wanted; a server that is restarting has no answer yet."""
        end = time.monotonic() + seconds
        answer = None
        while time.monotonic() < end:
            done = self._run("app", sql, ["-qAt"])
            answer = done.stdout.strip()
            if done.returncode == 0 and answer == wanted:
                return
            time.sleep(0.05)
        raise Failed(f"waited {seconds} s for {wanted!r} from: {sql}\nand got {answer!r}")

    # ---- progress ----

    def watch(self, job, seconds=120):
        """Shows a job's open run until it has ended: a line that moves on a terminal, else a line now and then."""
        sql = f"""SELECT status, coalesce(current_page, 0), coalesce(pages_total, 0), coalesce(records_processed, 0),
            coalesce(rate, 0)::bigint FROM sluice.sync_status WHERE data_type = '{job}'"""
        told, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            status, page, pages, records, rate = self.value(sql).split("|")
            if status not in ("running", "publishing", "scheduled", "waiting_for_worker"):
                self._progress(f"{bar(1, 1)} done: {int(records):,} records", last=True)
                return
            of = f" of {pages}" if int(pages) else ""
            text = f"{bar(int(page), int(pages))} {status}: page {page}{of}, {int(records):,} records"
            text += f", {int(rate):,} records/s"
            if status == "running" and int(page) > 0 and (self.live or time.monotonic() - told > 0.7):
                told = time.monotonic()
                self._progress(text)
            time.sleep(0.1)
        raise Failed(f"the run of {job} did not end within {seconds} s")

    def _progress(self, text, last=False):
        if self.live:
            print(f"\r{text[:WIDTH]:{WIDTH}}", end="\n" if last else "", flush=True)
        else:
            print(text[:WIDTH], flush=True)


def folded(line):
    """What psql says, no wider than a terminal: messages in several lines, tables as they are."""
    head, sep, _ = line.partition(":  ")
    if sep and head.isupper():
        return textwrap.fill(line, WIDTH, subsequent_indent=" " * (len(head) + 3), break_on_hyphens=False)
    return line


def bar(done, of):
    """How far, where the remote says how much there is."""
    filled = min(20, round(20 * done / of)) if of else 0
    return "[" + "█" * filled + "·" * (20 - filled) + "]"


def play(story):
    """Runs a story; its exit status says whether all of it is true."""
    sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")
    try:
        story()
    except Failed as failed:
        print(f"\nThe demo failed: {failed}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def ends_with(folder, psql, keep):
    """How to connect, now or with KEEP=1."""
    target = os.environ.get("MAKE_TARGET", "demo")
    if keep:
        print(f"\nIt stays up. To look around:\n\n  {psql} -h {folder} -U app postgres\n\n"
              f"As the superuser: -U postgres. To end it: make demo-stop")
    else:
        print(f"\nEverything is removed again. KEEP=1 make {target} leaves it running, and prints how to connect.")

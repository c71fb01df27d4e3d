#!/usr/bin/env python3
"""Outages, through nbdkit: what must hold is 0 errors and 0 bytes lost, and the controls must lose.

    outage.py [CASE…]              the short suite; CASE: names, see below
    outage.py --long [CASE…]       more of each fault
    outage.py --sanitize [CASE…]   the plugin with ASan and UBSan
    outage.py --threads            the core without nbdkit, under TSan

Prints for each case: fault, count, errors that reached the client, bytes lost, longest stall while nothing was broken; "-"
where a case does not measure it.
"""

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback

import cases
from harness import BUILD, Failure, Relay, Room, Server, require

AT_ONCE = int(os.environ.get("AT_ONCE", "3"))    # most of a case's time is waiting


def run(name, directory, options):
    """One case; a row for the table and whether it held."""
    begin = time.monotonic()
    with Room(name, f"{directory}/{name}", options.sanitize) as room:
        try:
            rows = cases.CASES[name](room, 4 if options.long else 1)
            reports = sanitizer_reports(room)
            require(not reports, f"sanitizers: {reports}")
            held = True
        except Failure as failure:
            rows, held = [(f"FAILED: {failure}", "", "", "", "")], False
        except Exception:       # a case that breaks is a case that failed; the others go on
            rows, held = [(f"BROKEN: {traceback.format_exc()}", "", "", "", "")], False
    if not options.keep:
        shutil.rmtree(f"{directory}/{name}", ignore_errors=True)
    return name, rows, held, time.monotonic() - begin


def sanitizer_reports(room):
    if not os.path.exists(room.path("plugin.log")):
        return ""
    return "\n".join(line for line in room.log("plugin").splitlines()
                     if re.search(r"ERROR: AddressSanitizer|runtime error:|ThreadSanitizer", line))


def threads(directory):
    """threads.c under cuts and power cuts."""
    with Room("threads", f"{directory}/threads") as room:
        server = Server(room, room.image("disk.img"), early=30)
        relay = Relay(room, server.socket)
        # Into a file: the reports of races would fill a pipe that is read at the end only, and then it had none.
        process = room.start("threads", [f"{BUILD}/test/threads", relay.socket, "8"],
                             env={**os.environ, "TSAN_OPTIONS": "halt_on_error=0"})
        dice = random.Random(1)
        while process.poll() is None:
            time.sleep(dice.uniform(0.2, 0.8))
            if dice.random() < 0.5:
                relay.tell("drop")
            else:
                server.power_cut()
                server.power_on()
        out = room.log("threads")
        races = out.count("WARNING: ThreadSanitizer")
        print(f"threads     {out.strip().splitlines()[-1] if not races else out[:4000]}; {races} races")
        return process.returncode == 0 and races == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="*")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the logs")
    options = parser.parse_args()
    unknown = set(options.case) - set(cases.CASES)
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}; there are {' '.join(cases.CASES)}")
    directory = tempfile.mkdtemp(prefix="netdisk-outage-")
    held = True
    try:
        if options.threads:
            return 0 if threads(directory) else 1
        print(f"{'case':10} {'fault':62} {'count':>5} {'errors':>6} {'lost':>9} {'stall':>6}")
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            runs = [pool.submit(run, name, directory, options) for name in options.case or cases.CASES]
            for future in runs:
                name, rows, ok, _ = future.result()
                held &= ok
                for fault, count, errors, lost, stall in rows:
                    stall = stall if isinstance(stall, str) else f"{stall:.1f} s"
                    print(f"{name:10} {fault:62} {count:>5} {errors:>6} {lost:>9} {stall:>6}", flush=True)
    finally:
        if options.keep:
            print(directory)
        else:
            shutil.rmtree(directory)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

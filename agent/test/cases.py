"""The cases. Each gets a Room and a factor (more of it in the long suite) and returns rows for the table:
(fault, how often, errors that reached the client, bytes lost, longest stall while nothing was broken)."""

import os
import random
import signal
import threading
import time

import nbd

from harness import (MIB, NOT_MEASURED, OPT_EXTENDED_HEADERS, OPT_GO, OPT_STRUCTURED_REPLY, Failure, Plugin, Relay, Server, Speaker, Work,
                     differing, end, fault, longest_stall, require, wait_for)
from order import BLOCK, Write, possible

STALL_MAX = 3       # seconds; two attempts are 1.25 apart at most (max-wait=1), the rest is for a busy machine


def checked(what, count, work, medium, faults):
    """A row, after all that must hold has been checked."""
    result = work.result()
    lost = differing(work.model(), medium(len(work.model())))
    stall = longest_stall(result["pauses"], faults)
    require(result["requests"] > 40, f"hardly any work was done: {result['requests']} requests")
    require(result["errors"] == 0, f"{result['errors']} errors reached the client")
    require(result["wrong_bytes"] == 0, f"{result['wrong_bytes']} bytes read were not what had been written")
    require(lost == 0, f"{lost} bytes lost on the medium")
    require(stall <= STALL_MAX, f"a stall of {stall:.1f} s while nothing was broken")
    return (what, count, result["errors"], lost, stall)


def waiting_write(plugin, handle, data, offset):
    """Submits a small write that can't be answered now, and sees that the plugin has it. Returns the list into which what it
    is answered with will be put."""
    done = []
    handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), offset, lambda error: done.append(error.value) or 1)
    wait_for(lambda: plugin.status()["waiting"] == 1, 5, "the plugin has a write that waits")
    return done


def cuts(room, factor):
    rows = []
    for connections in (1, 4):
        with_it = Room2(room, f"c{connections}")
        server = Server(with_it, with_it.image("disk.img"))
        relay = Relay(with_it, server.socket)
        plugin = Plugin(with_it, relay.socket, timeout=3, connections=connections)
        plugin.wait_state("up")
        count = 10 * factor
        work = Work(with_it, plugin, count * 0.55)
        dice, faults = random.Random(connections), []
        for _ in range(count):
            time.sleep(dice.uniform(0.1, 0.6))
            with fault(faults):
                if dice.random() < 0.5:
                    relay.tell("drop")
                else:
                    relay.tell("cut")
                    time.sleep(dice.uniform(0, 0.5))
                    relay.tell("heal")
        rows.append(checked(f"link cut or dropped at random, {connections} connection(s)", count, work, server.medium, faults))
        require(plugin.status()["sessions"] > count / 3, f"the cuts were not felt: {plugin.status()}")
        plugin.kill()
    return rows


def Room2(room, name):
    """A room within a room: own files, the outer one ends its processes."""
    inner = type(room)(room.name, room.path(name), room.sanitize)
    inner.running = room.running
    inner.log = room.log
    inner.start = lambda log, arguments, **options: room.start(log, arguments, **options)
    return inner


def hole(room, factor):
    server = Server(room, room.image("disk.img"))
    relay = Relay(room, server.socket)
    plugin = Plugin(room, relay.socket, timeout=2, dial_timeout=2)
    plugin.wait_state("up")
    work = Work(room, plugin, 7 * factor)
    faults = []
    for _ in range(factor):
        time.sleep(1)
        with fault(faults):
            relay.tell("hole")
            plugin.wait_state("parked", 5, "stalled")
            time.sleep(1.5)
            relay.tell("heal")
        plugin.wait_state("up", 8)
    return [checked("black hole: nothing goes through, nothing is reset", factor, work, server.medium, faults)]


def words(room, _factor):
    """A dial into a black hole holds up no command, and so no status that comes behind it; only `abort` ends the dial."""
    server = Server(room, room.image("disk.img"))
    relay = Relay(room, server.socket)
    plugin = Plugin(room, relay.socket, timeout=1, dial_timeout=30, max_wait_error=60)
    plugin.wait_state("up")
    handle = plugin.connect()
    relay.tell("hole")
    plugin.wait_state("parked", 5, "stalled")
    wait_for(lambda: plugin.status()["next_dial"] == 0, 5, "the plugin dials")
    time.sleep(0.3)                                     # next_dial is rounded
    dials, longest = plugin.status()["dials"], 0.0

    def ask(word):
        nonlocal longest
        begin = time.monotonic()
        answer = plugin.tell(word)
        longest = max(longest, time.monotonic() - begin)
        return answer
    for word, message in (("resume", "dialling now"), ("fail", "nothing to fail")):
        answer = ask(word)
        require(answer["message"].startswith(message), f"{word}: {answer}")
        require(ask("status")["dials"] == dials, f"{word} ended the dial")
    waiting = waiting_write(plugin, handle, b"1" * 4096, 0)
    relay.tell("heal")
    plugin.wait_state("up", STALL_MAX)
    while not waiting:
        handle.poll(1000)
    require(waiting == [0], f"the write that waited was answered with {waiting}")
    relay.tell("hole")
    plugin.wait_state("parked", 5, "stalled")
    wait_for(lambda: plugin.status()["next_dial"] == 0, 5, "the plugin dials again")
    require(ask("abort")["message"].startswith("aborted"), "abort")
    require(longest < 1.5, f"an answer took {longest:.1f} s")
    return [(f"commands while a dial hangs: {longest:.1f} s", 5, "(chosen)", "(chosen)", NOT_MEASURED)]


def idle(room, _factor):
    """A link that dies while nobody asks for anything is noticed, and back before somebody does."""
    server = Server(room, room.image("disk.img"))
    relay = Relay(room, server.socket)
    plugin = Plugin(room, relay.socket, timeout=1, dial_timeout=1)
    plugin.wait_state("up")
    handle, data = plugin.connect(), os.urandom(MIB)
    handle.pwrite(data, 0)
    time.sleep(2.5)
    require(plugin.status()["faults"] == 0, "an idle link was taken for a stalled one")
    relay.tell("hole")
    plugin.wait_state("parked", 4)
    relay.tell("heal")
    begin = time.monotonic()
    plugin.wait_state("up", STALL_MAX)
    stall = time.monotonic() - begin
    handle.flush()
    require(plugin.status()["replayed"] == MIB, "what was acknowledged before was not sent again")
    lost = differing(data, server.medium(MIB))
    require(lost == 0, f"{lost} bytes lost on the medium")
    return [("black hole while idle", 1, 0, lost, stall)]


def slow(room, factor):
    """200 kB/s, so that single requests take seconds, and a time-out of 2 s: slow is not stalled."""
    server = Server(room, room.image("disk.img"))
    relay = Relay(room, server.socket, delay_ms=50, rate=200000)
    plugin = Plugin(room, relay.socket, timeout=2)
    plugin.wait_state("up")
    handle = plugin.connect()
    data = os.urandom(factor * MIB)
    begin = time.monotonic()
    for i in range(factor):
        handle.pwrite(data[i * MIB:(i + 1) * MIB], i * MIB)
    handle.flush()
    took = time.monotonic() - begin
    status = plugin.status()
    require(took > 4 * factor, f"the link was not slow: {took:.1f} s")
    require(status["faults"] == 0, f"a slow link was taken for a dead one: {status['reason']}")
    lost = differing(data, server.medium(len(data)))
    require(lost == 0, f"{lost} bytes lost on the medium")
    return [(f"slow but moving link: 1 MiB took {took / factor:.1f} s, time-out 2 s", factor, 0, lost, NOT_MEASURED)]


def power_cuts(room, count, seed, check=True, **parameters):
    server = Server(room, room.image("disk.img"), early=30, flush_ms=20)
    plugin = Plugin(room, server.socket, timeout=5, **parameters)
    plugin.wait_state("up")
    work = Work(room, plugin, count * 0.75, seed)
    dice, faults = random.Random(seed), []
    for _ in range(count):
        time.sleep(dice.uniform(0.2, 0.8))
        with fault(faults):
            server.power_cut()
            time.sleep(dice.uniform(0, 0.4))
            server.power_on()
    if check:
        row = checked(f"server power cut, volatile cache{parameters and ', ' + str(parameters) or ''}", count, work,
                      server.medium, faults)
        require(plugin.status()["replayed"] > 0, "nothing was replayed: the test shows nothing")
        return row
    result = work.result()
    model = work.model()
    return result["errors"], max(result["wrong_bytes"], differing(model, server.medium(len(model))))


def power(room, factor):
    return [power_cuts(room, 12 * factor, 3)]


def power4(room, factor):
    return [power_cuts(room, 8 * factor, 4, connections=4, retain="2M")]


def control(room, factor):
    errors, lost = power_cuts(room, 6 * factor, 3, check=False, retain=0, identify=0)
    require(lost > 0, "the control lost nothing: the test of retention shows nothing")
    return [("CONTROL: the same without retention must lose data", 6 * factor, errors, lost, NOT_MEASURED)]


def mixed(room, factor):
    """All at once, with little room: every path is taken."""
    server = Server(room, room.image("disk.img"), early=30, flush_ms=5)
    relay = Relay(room, server.socket)
    plugin = Plugin(room, relay.socket, timeout=2, dial_timeout=2, connections=2, retain="2M", depth=16)
    plugin.wait_state("up")
    count = 12 * factor
    work = Work(room, plugin, count * 0.8, 11)
    dice, faults = random.Random(2), []
    for i in range(count):
        time.sleep(dice.uniform(0.2, 0.8))
        with fault(faults):
            if i % 4 == 0:
                relay.tell("drop")
            elif i % 4 == 1:
                server.power_cut()
                time.sleep(0.2)
                server.power_on()
            elif i % 4 == 2:
                relay.tell("cut")
                time.sleep(0.2)
                relay.tell("heal")
            else:
                relay.tell("hole")
                time.sleep(dice.uniform(0, 2.5))
                relay.tell("heal")
    return [checked("cuts, black holes and power cuts, mixed; 2 MiB retained", count, work, server.medium, faults)]


def errors(room, factor):
    rows = []
    for error, text in (("ENOSPC", "No space left on device"), ("EIO", "Input/output error"), ("EPERM", "Operation not permitted")):
        inner = Room2(room, error)
        server = Server(inner, inner.image("disk.img"), error=error, early=30)
        plugin = Plugin(inner, server.socket, timeout=5, max_wait_error=60)
        plugin.wait_state("up")
        work = Work(inner, plugin, 3 * factor)
        faults = []
        for _ in range(factor):
            time.sleep(0.7)
            with fault(faults):
                open(server.error_file, "w").close()
                plugin.wait_state("parked", 5, text)
                require(plugin.status()["kind"] == "error", "parked for another kind of fault")
                time.sleep(0.5)
                os.unlink(server.error_file)
            require(plugin.tell("resume")["ok"], "resume was refused")
            plugin.wait_state("up", 5)
        rows.append(checked(f"server answers {error}; cured, then resume", factor, work, server.medium, faults))
        plugin.kill()
    return rows


def together(room, factor):
    """Two FLUSHes under way together; what both should save is lost, one is told, and the other's answer comes first."""
    lossy = room.path("lossy")
    server = Server(room, room.image("disk.img"), flush_ms=200, lossy=lossy)
    plugin = Plugin(room, server.socket, timeout=5, max_wait_error=60)
    plugin.wait_state("up")
    handle = plugin.connect()
    for i in range(factor):
        data = b"%07d\n" % (i + 1) * 8192
        handle.pwrite(data, i << 16)
        open(lossy, "w").close()
        done = []
        for _ in range(2):
            handle.aio_flush(lambda error: done.append(error.value) or 1)

        def parked():
            handle.poll(50)
            return plugin.status()["state"] == "parked"
        wait_for(parked, 5, "parked by the FLUSH that was told")
        require(not done, f"a FLUSH was answered with {done} although its data is lost")
        require(plugin.tell("resume")["ok"], "resume was refused")
        while len(done) < 2:
            handle.poll(1000)
        require(done == [0, 0], f"the FLUSHes were answered with {done}, not 0")
        require(server.medium((i + 1) << 16)[i << 16:] == data, "what was flushed is not on the medium")
    return [("two FLUSHes at once lose data, only one is told", factor, 0, 0, NOT_MEASURED)]


def fail(room, _factor):
    """The operator passes an error up: the request's own, and for an acknowledged write at the next flush."""
    server = Server(room, room.image("disk.img"), error="EIO", failing="pwrite-")
    plugin = Plugin(room, server.socket, timeout=5, max_wait_error=60)
    plugin.wait_state("up")
    require(plugin.tell("fail")["message"].startswith("nothing to fail"), "fail with nothing refused")
    handle = plugin.connect()
    seen = 0
    handle.pwrite(b"1" * 4096, 0)
    open(server.error_file, "w").close()
    done = waiting_write(plugin, handle, b"2" * 4096, 8192)
    plugin.wait_state("parked", 5, "Input/output error")
    require(not done, "an error went up by itself")
    os.unlink(server.error_file)
    answer = plugin.tell("fail")
    require(answer["ok"] and "failed 1 request" in answer["message"], f"fail: {answer}")
    while not done:
        handle.poll(1000)
    require(done == [5], f"the write was answered with {done}, not EIO")
    seen += 1
    handle.flush()                                      # the acknowledged write is there
    require(server.medium(4096) == b"1" * 4096, "the acknowledged write was lost")

    handle.pwrite(b"3" * 4096, 16384)                   # acknowledged, and then refused while it is replayed
    server.power_cut()
    open(server.error_file, "w").close()
    server.power_on()
    wait_for(lambda: plugin.status()["kind"] == "error", 8, "parked by a refused replay")
    os.unlink(server.error_file)
    answer = plugin.tell("fail")
    require("gave up 1" in answer["message"], f"fail: {answer}")
    try:
        handle.flush()
        raise Failure("a flush succeeded although an acknowledged write had been given up")
    except nbd.Error as error:
        require(error.errno == "EIO", f"{error.errno}, not EIO")
        seen += 1
    handle.flush()                                      # said once
    require(plugin.status()["lost"] == 4096, "lost bytes are not counted")
    lines = [line for line in room.log("plugin").splitlines() if ": fail, by hand: " in line]
    for line, (first, then) in zip(lines, (("failed 1 requests (4096 bytes), gave up 0", "answered write of 4096 bytes at 8192"),
                                           ("gave up 1 acknowledged changes (4096 bytes)", "write of 4096 bytes at 16384"))):
        require(first in line and then in line, f"the journal says {lines}")
    require(len(lines) == 2, f"the journal says {lines}")
    plugin.kill()
    return [("fail: the operator passes the server's errors up", 2, seen, "(chosen)", NOT_MEASURED), fail_head(room)]


def fail_head(room):
    """The server can't read the first bytes, so that no session comes to be: what waits is failed, what is kept stays."""
    inner = Room2(room, "head")
    server = Server(inner, inner.image("disk.img"), error="EIO", failing="pread-")
    plugin = Plugin(inner, server.socket, timeout=5, max_wait_error=60)
    plugin.wait_state("up")
    handle = plugin.connect()
    handle.pwrite(b"1" * 4096, 0)
    handle.flush()
    handle.pwrite(b"2" * 4096, 8192)                    # kept
    server.power_cut()
    plugin.wait_state("parked")
    require(plugin.tell("fail")["message"].startswith("nothing to fail"), "an outage is not for fail")
    done = waiting_write(plugin, handle, b"3" * 4096, 16384)
    open(server.error_file, "w").close()
    server.power_on()
    plugin.wait_state("parked", 8, "reading the first bytes: Input/output error")
    answer = plugin.tell("fail")
    require("failed 1 requests (4096 bytes), gave up 0 acknowledged" in answer["message"], f"fail: {answer}")
    while not done:
        handle.poll(1000)
    require(done == [5], f"the write was answered with {done}, not EIO")
    require(plugin.status()["retained"] == 4096, "what was kept is gone")
    os.unlink(server.error_file)
    plugin.tell("resume")
    plugin.wait_state("up", 5)
    handle.flush()
    require(server.medium(12288)[8192:] == b"2" * 4096, "the acknowledged write was lost")
    require("Parked: reading the first bytes: Input/output error" in inner.log("plugin"), "the journal does not say so")
    return ("fail: not even the first bytes can be read", 1, 1, 0, NOT_MEASURED)


def replay(room, factor):
    """A link that never lives long enough for the whole replay; then order on the medium."""
    server = Server(room, room.image("disk.img"))
    relay = Relay(room, server.socket)
    plugin = Plugin(room, relay.socket, timeout=20)
    plugin.wait_state("up")
    handle = plugin.connect()
    pieces, took, lost = 56, 0.0, 0                     # 7 MiB: of 8 the plugin would flush some by itself
    for turn in range(factor):
        for age in (b"old", b"new"):                    # each place is written twice: only the second may be there
            for i in range(pieces // 2):
                handle.pwrite((b"%s%04d%08d\n" % (age, turn, i)) * 8192, i << 17)
        require(plugin.status()["retained"] == pieces << 17, f"it is not for the replay: {plugin.status()}")
        relay.tell("cut")
        server.power_cut()
        server.power_on()
        relay.tell("rate 2400000")
        relay.tell("heal")
        repaired = time.monotonic()
        stop = threading.Event()

        def flap(until=stop):
            while not until.wait(1.0):
                relay.tell("drop")
        flapping = threading.Thread(target=flap)
        flapping.start()
        try:
            done = []
            handle.aio_flush(lambda error, into=done: into.append(error.value) or 1)
            while not done and time.monotonic() < repaired + 30:
                handle.poll(500)
        finally:
            stop.set()
            flapping.join()
        require(done == [0], f"no flush in 30 s: livelock; {plugin.status()}")
        took = max(took, time.monotonic() - repaired)
        lost += differing(b"".join((b"new%04d%08d\n" % (turn, i)) * 8192 for i in range(pieces // 2)),
                          server.medium(pieces << 16))
        require(lost == 0, f"{lost} bytes lost on the medium")
        relay.tell("rate 0")
    return [(f"replay of {pieces // 8} MiB over a link that drops every second", plugin.status()["sessions"] - 1, 0, lost, took)]


def bulk(room, factor):
    """A long write without a FLUSH, 10 MB/s: about a second of it is kept, and no more is replayed before the next read."""
    server = Server(room, room.image("disk.img"), flush_ms=50)
    relay = Relay(room, server.socket, delay_ms=15, rate=10000000)
    plugin = Plugin(room, relay.socket, timeout=20)
    plugin.wait_state("up")
    handle = plugin.connect()
    most, worst = 0, 0.0
    for _ in range(factor):
        for i in range(256):                            # 32 MiB, so half of what is retained at most
            while handle.aio_in_flight() >= 32:
                handle.poll(1000)
            handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b"%08d" % i * 16384)), i << 17)
            if i % 16 == 0:
                most = max(most, plugin.status()["retained"])
        while handle.aio_in_flight():
            handle.poll(1000)
        relay.tell("drop")
        begin = time.monotonic()
        handle.pread(4096, 0)
        worst = max(worst, time.monotonic() - begin)
    require(8 * MIB < most < 20 * MIB, f"{most} bytes were kept at most")
    require(worst <= STALL_MAX, f"a read took {worst:.1f} s")
    handle.flush()
    lost = differing(b"".join(b"%08d" % i * 16384 for i in range(256)), server.medium(32 * MIB))
    require(lost == 0, f"{lost} bytes lost on the medium")
    return [(f"link dropped in a bulk write: {most / 1e6:.1f} MB kept at most", factor, 0, lost, worst)]


def overlap(room, factor):
    """A client that rewrites the same few blocks with many requests in flight; the server finishes in any order. After each
    round the disk holds what these writes leave in an order that is allowed (order.py), and a replay changes nothing of it."""
    server = Server(room, room.image("disk.img"), early=30, change_ms=8, overlaps=room.path("overlaps"))
    plugin = Plugin(room, server.socket, timeout=5)
    plugin.wait_state("up")
    handle = plugin.connect()
    area, rounds, each = 6 * BLOCK, 6 * factor, 100
    dice, failed, content = random.Random(1), [], bytes(area)

    def power_cycle():
        server.power_cut()
        server.power_on()

    def submit(write):
        def answered(error):
            write.answered = time.monotonic()
            if error.value:
                failed.append(error.value)
            return 1
        handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(write.data)), write.first * BLOCK, answered)

    for _ in range(rounds):
        before, writes = content, []
        for i in range(each):
            writes.append(Write(dice.randrange(4), dice.randbytes(dice.randint(1, 3) * BLOCK), time.monotonic()))
            submit(writes[-1])
            if i == each // 2:
                power_cycle()
            while handle.aio_in_flight() > 16:
                handle.poll(1000)
        while handle.aio_in_flight():
            handle.poll(1000)
        content = handle.pread(area, 0)
        require(not failed, f"writes were answered with {failed}, not 0")
        require(possible(before, writes, content), "no order of the writes leads to what is read")
        require(not possible(before, writes, before), "the round proves nothing: it may have left all as it was")
        power_cycle()
        require(handle.pread(area, 0) == content, "what was read once was another thing after a replay")
        handle.flush()
        require(server.medium(area) == content, "what was read and flushed is not on the medium")
    seen = os.path.getsize(room.path("overlaps")) if os.path.exists(room.path("overlaps")) else 0
    require(seen == 0, f"the server saw {seen} overlapping changes under way together")
    return [("overlapping writes: one at a time, also in a replay", rounds * each, len(failed), 0, NOT_MEASURED)]


def identity(room, _factor):
    """Another disk in the place of ours gets nothing of what is kept for ours, nor of what waits."""
    right = room.image("right.img")
    with open(right, "r+b") as file:
        file.write(b"LUKS" * 100)
    server = Server(room, right)
    plugin = Plugin(room, server.socket, timeout=5, max_wait_refused=1)
    plugin.wait_state("up")
    handle, data = plugin.connect(), os.urandom(MIB + BLOCK)
    handle.pwrite(data[:MIB], MIB)
    server.power_cut()
    waiting = waiting_write(plugin, handle, data[MIB:], 2 * MIB)
    for name, mib, reason in (("wrong.img", 64, "first 4096 bytes differ"), ("small.img", 32, "size is 33554432, was 67108864")):
        wrong = Server(room, room.image(name, mib), early=100)          # whatever is written is on its medium at once
        plugin.wait_state("parked", 10, reason)
        require("refuses the session" in plugin.tell("fail")["message"], "what waits can be failed")
        wrong.power_cut()
        require(wrong.medium(64 * MIB) == bytes(mib * MIB), f"{name} was written to")
    status = plugin.status()
    require(status["retained"] == MIB and status["waiting"] == 1, "there was nothing that could have been written to it")
    server.power_on()
    begin = time.monotonic()
    plugin.wait_state("up", STALL_MAX)
    stall = time.monotonic() - begin
    while not waiting:
        handle.poll(1000)
    require(waiting == [0], f"the write that waited was answered with {waiting}")
    handle.flush()
    lost = differing(data, server.medium(MIB + len(data))[MIB:])
    require(lost == 0, f"{lost} bytes lost on the medium")
    return [("another disk, a smaller disk: parked; then the right one", 2, 0, lost, stall)]


def restart(room, factor):
    """The plugin is killed, the server loses power; what was acknowledged is in the retain file. And what was flushed or
    written with FUA is on the medium even if that file is gone, too."""
    lost = 0
    server = Server(room, room.image("disk.img"))
    count = 6 * factor
    for i in range(count):
        plugin = Plugin(room, server.socket, retain_file=room.path("retained"))
        handle = plugin.connect()
        handle.pwrite(b"%08d" % i * 512, 4096)
        handle.pwrite(b"%08d" % i * 131072, MIB)
        handle.pwrite(b"x%07d" % i * 131072, MIB)
        plugin.kill()
        server.power_cut()
        server.power_on()
        plugin.start()
        plugin.wait_state("up")
        handle = plugin.connect()
        lost += differing(handle.pread(4096, 4096), b"%08d" % i * 512)
        handle.flush()
        lost += differing(server.medium(2 * MIB)[MIB:], b"x%07d" % i * 131072)
        plugin.kill()
        os.unlink(room.path("retained"))
    require(lost == 0, f"{lost} acknowledged bytes lost with the plugin")
    rows = [("plugin killed and server power cut together: retain file", count, 0, lost, NOT_MEASURED)]
    for i in range(count):
        plugin = Plugin(room, server.socket)
        handle = plugin.connect()
        handle.pwrite(b"1%07d" % i * 512, 0)
        if i % 3 == 0:
            handle.pwrite(b"2%07d" % i * 512, 0)
            handle.flush()
        elif i % 3 == 1:
            handle.pwrite(b"2%07d" % i * 512, 0, nbd.CMD_FLAG_FUA)
        else:
            handle.pwrite(b"3%07d" % i * 512, 8192)
            handle.pwrite(b"2%07d" % i * 512, 0, nbd.CMD_FLAG_FUA)
        plugin.kill()
        server.power_cut()
        server.power_on()
        lost += differing(server.medium(4096), b"2%07d" % i * 512)
    require(lost == 0, f"{lost} flushed bytes lost")
    rows.append(("both killed after FLUSH, FUA, overlapping FUA; no file", count, 0, lost, NOT_MEASURED))
    return rows


def grown(room, _factor):
    """The disk was grown on the server: served as it is known, until a plugin is told of the new size; what the one before
    has kept is there."""
    old, new = 64 * MIB, 96 * MIB
    image = room.image("disk.img", old // MIB)
    server, kept = Server(room, image), room.path("retained")
    plugin = Plugin(room, server.socket, retain_file=kept)
    data = os.urandom(MIB)
    plugin.connect().pwrite(data, MIB)

    def again(size, **parameters):
        nonlocal plugin
        plugin.kill()
        server.power_cut()
        os.truncate(image, size)
        server.power_on()
        plugin = Plugin(room, server.socket, retain_file=kept, **parameters)
        return plugin.connect()

    for parameters, size, wanted in (({}, new, old), ({"grow_to": new}, old, old), ({"grow_to": new + MIB}, new, old),
                                     ({"grow_to": new}, new, new), ({}, new, new)):
        handle = again(size, **parameters)
        plugin.wait_state("up")
        found = (handle.get_size(), plugin.status()["size"])
        require(found == (wanted, wanted), f"with {parameters} a server of {size} is {found}, not {wanted}")
    handle.pwrite(data, new - MIB)
    handle.flush()
    medium = server.medium(new)
    lost = differing(data, medium[MIB:2 * MIB]) + differing(data, medium[-MIB:])
    require(lost == 0, f"{lost} bytes lost")
    plugin.kill()
    server.power_cut()
    waits = Plugin(room, server.socket, retain_file=kept, grow_to=new + MIB)
    client = threading.Thread(target=waits.connect, daemon=True)
    client.start()
    client.join(1)
    require(client.is_alive(), "a client was told a size before the server was asked")
    os.truncate(image, new + MIB)
    server.power_on()
    client.join(STALL_MAX)
    require(not client.is_alive() and waits.status()["size"] == new + MIB, f"it did not grow: {waits.status()}")
    return [("grown on the server: taken over when told, and only then", 6, 0, lost, NOT_MEASURED)]


def command(room, factor):
    """The way is a command on stdio, as ssh is: killed, stopped, gone."""
    image, pids = room.image("disk.img"), room.path("pids")
    script = room.path("way")
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\necho $$ >>{pids}\nif test -e {room.path("refuse")}; then echo "Permission denied (publickey)." >&2; exit 255; fi\n'
                   f'if test -e {room.path("cut")}; then printf "NBDMAGICIHAVEOPT\\000\\003"; echo "Timeout, server not responding." >&2; exit 255; fi\n'
                   f'exec nbdkit -s file {image}\n')
    os.chmod(script, 0o755)
    plugin = Plugin(room, command=["/bin/sh", script], timeout=2, dial_timeout=2, max_wait_refused=2)
    plugin.wait_state("up")

    def newest():
        with open(pids) as file:
            return int(file.read().split()[-1])
    count = 8 * factor
    work = Work(room, plugin, count * 0.4 + 4)
    faults, last = [], 0
    for _ in range(count):
        time.sleep(0.4)
        wait_for(lambda: newest() != last, 5, "another command after one that was killed")
        last = newest()
        with fault(faults):
            os.kill(last, signal.SIGKILL)
    time.sleep(0.5)
    wait_for(lambda: newest() != last, 5, "another command after one that was killed")
    last = newest()
    with fault(faults):
        os.kill(last, signal.SIGSTOP)
        wait_for(lambda: newest() != last, 8, "another command after one that hangs")
    wait_for(lambda: not os.path.exists(f"/proc/{last}"), 3, "the one that hangs is gone")

    def medium(length):
        with open(image, "rb") as file:
            return file.read(length)
    rows = [checked("command on stdio killed, and once stopped", count + 1, work, medium, faults)]
    handle, data = plugin.connect(), os.urandom(MIB + BLOCK)
    handle.pwrite(data[:MIB], 0)
    open(room.path("refuse"), "w").close()
    os.kill(newest(), signal.SIGKILL)
    status = plugin.wait_state("parked", 5, "Permission denied (publickey)")
    require(status["kind"] == "refused", f"a refusal is taken for {status['kind']}")
    waiting = waiting_write(plugin, handle, data[MIB:], MIB)
    time.sleep(4)
    dials = plugin.status()["dials"]
    time.sleep(3)
    more = plugin.status()["dials"] - dials
    require(more <= 3, f"{more} dials in 3 s where it was refused")
    open(room.path("cut"), "w").close()
    os.unlink(room.path("refuse"))
    require(plugin.tell("resume")["ok"], "resume")
    status = plugin.wait_state("parked", 5, "Timeout, server not responding")
    require(status["kind"] == "unanswered", f"a cut in the midst of the handshake is taken for {status['kind']}")
    os.unlink(room.path("cut"))
    begin = time.monotonic()
    require(plugin.tell("resume")["ok"], "resume")
    plugin.wait_state("up", 3)
    stall = time.monotonic() - begin
    while not waiting:
        handle.poll(1000)
    require(waiting == [0], f"the write that waited was answered with {waiting}")
    handle.flush()
    lost = differing(data, medium(len(data)))
    require(lost == 0, f"{lost} bytes lost on the medium")
    rows.append((f"refused by ssh: {more} dials in 3 s, cause shown; resume", 1, 0, lost, stall))
    return rows


def handshake(room, _factor):
    """What the plugin asks of a server before the first request, and what it makes of its answers."""
    speaker = Speaker(room, multi_conn=True)
    plugin = Plugin(room, speaker.socket, connections=2)
    require(plugin.wait_state("up")["connections"] == 2, "not two connections to a server with CAN_MULTI_CONN")
    asked = speaker.options
    require(OPT_GO in asked and not asked & {OPT_STRUCTURED_REPLY, OPT_EXTENDED_HEADERS}, f"the options {asked} were asked for")
    speaker.multi_conn = False
    speaker.drop()
    wait_for(lambda: plugin.status()["sessions"] == 2, 5, "another session")
    require(plugin.wait_state("up")["connections"] == 1, "two connections to a server without CAN_MULTI_CONN")

    handle = plugin.connect()
    speaker.deaf = True
    speaker.drop()
    waiting = waiting_write(plugin, handle, b"1" * 4096, 0)
    wait_for(lambda: plugin.status()["dials"] > 3, 5, "more dials")
    status = plugin.wait_state("parked", 5)
    require(status["kind"] != "error", f"a request that could not be sent is an error of the server's: {status['reason']}")
    require(plugin.tell("fail")["message"].startswith("nothing to fail"), "a lost connection is not for fail")
    speaker.deaf = False
    plugin.tell("resume")
    plugin.wait_state("up", STALL_MAX)
    while not waiting:
        handle.poll(1000)
    require(waiting == [0], f"the write that waited was answered with {waiting}")
    return [("structured replies, CAN_MULTI_CONN, a send that fails", 3, 0, 0, NOT_MEASURED)]


def stop(room, _factor):
    """A clean end flushes, and does not wait for what is run once the last client has gone (unit-orphan.c has the rest of
    that); an end while parked needs `abort`, which is quick and says what was lost."""
    server = Server(room, room.image("disk.img"))
    relay = Relay(room, server.socket)
    runs = room.path("runs")
    plugin = Plugin(room, relay.socket, retain_file=room.path("retained"), timeout=2, on_disconnect=f"echo >{runs}; sleep 600")
    handle = plugin.connect()
    handle.pwrite(b"1" * 4096, 0)
    handle.shutdown()
    wait_for(lambda: os.path.exists(runs), 5, "the command for when the last client has gone runs")
    begin = time.monotonic()
    end(plugin.process, signal.SIGTERM)
    took = time.monotonic() - begin
    require(took < 3, f"a clean end took {took:.1f} s")
    require(server.medium(4096) == b"1" * 4096, "a clean end did not flush")
    require(not os.path.exists(room.path("retained")), "a clean end left the retain file")

    plugin.start()
    plugin.wait_state("up")
    handle = plugin.connect()
    handle.pwrite(b"2" * 4096, 0)
    relay.tell("cut")
    plugin.wait_state("parked")
    done = []
    handle.aio_flush(lambda error: done.append(error.value) or 1)
    time.sleep(0.2)
    begin = time.monotonic()
    answer = plugin.tell("abort")
    require("1 acknowledged changes (4096 bytes)" in answer["message"], f"abort: {answer}")
    while not done:
        handle.poll(1000)
    require(done[0] != 0, "a flush succeeded after abort")
    del handle                                          # the kernel's netlink disconnect: nbdkit waits for its clients
    end(plugin.process, signal.SIGTERM)
    took = max(took, time.monotonic() - begin)
    require(took < 3, f"abort and end took {took:.1f} s")
    lines = [line for line in room.log("plugin").splitlines() if line.startswith("netdisk-session:")]
    require(any("parked: connection lost" in line for line in lines), f"the journal says {lines}")
    return [(f"end while up flushes; abort while parked ends it: {took:.1f} s", 2, "(chosen)", "(chosen)", NOT_MEASURED)]


CASES = {case.__name__: case for case in (
    replay, command, power, cuts, errors, hole, words, slow, bulk, power4, mixed, control, restart, grown, overlap, identity, idle,
    fail, handshake, stop, together)}

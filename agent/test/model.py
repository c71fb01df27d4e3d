"""model.py SOCKET SECONDS SEED DEPTH RATE: random work on an NBD disk, compared with a model in memory.

Writes (some with FUA), zeroes, trims, reads and flushes of 4 to 128 KiB, up to DEPTH in flight and RATE a second, on the
first 16 MiB, so that each place is rewritten again and again. Requests in flight never overlap, as those of a file system
do not. Every read is compared. At the end a flush; then the model lies in SOCKET.model. Prints one line of JSON: errors,
bytes read that were not what was written last, and all pauses of more than 50 ms (begin and end, monotonic clock): of the
disk, while something was asked of it.
"""

import json
import random
import sys
import time

import nbd

AREA = 16 << 20
LENGTHS = [4096, 4096, 8192, 16384, 65536, 131072]
PAUSE = 0.05


def main():
    socket, seconds, seed, depth, rate = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    dice = random.Random(seed)
    handle = nbd.NBD()
    handle.connect_unix(socket)
    model = bytearray(handle.pread(AREA, 0))
    busy = set()
    seen = {"requests": 0, "errors": 0, "wrong_bytes": 0, "pauses": []}
    last = [time.monotonic()]

    def finished(place, buffer=None, expected=None):
        def callback(error):
            now = time.monotonic()
            if now - last[0] > PAUSE:
                seen["pauses"].append((last[0], now))
            last[0] = now
            busy.discard(place)
            if error.value:
                seen["errors"] += 1
            elif expected is not None:
                got = buffer.to_bytearray()
                if got != expected:
                    seen["wrong_bytes"] += sum(a != b for a, b in zip(got, expected))
            return 1
        return callback

    def one():
        kind = dice.random()
        seen["requests"] += 1
        if kind > 0.99:
            handle.aio_flush(finished(None))
            return
        length = dice.choice(LENGTHS)
        offset = dice.randrange((AREA - length) // 4096 + 1) * 4096
        if any(o < offset + length and offset < o + n for o, n in busy):
            return
        place = (offset, length)
        busy.add(place)
        if kind < 0.55:
            data = bytearray(b"%015d\n" % seen["requests"]) * (length // 16)
            model[offset:offset + length] = data
            flags = nbd.CMD_FLAG_FUA if dice.random() < 0.03 else 0
            handle.aio_pwrite(nbd.Buffer.from_bytearray(data), offset, finished(place), flags)
        elif kind < 0.62:
            model[offset:offset + length] = bytes(length)
            (handle.aio_zero if dice.random() < 0.5 else handle.aio_trim)(length, offset, finished(place))
        else:
            buffer = nbd.Buffer(length)
            handle.aio_pread(buffer, offset, finished(place, buffer, model[offset:offset + length]))

    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        if handle.aio_in_flight() < depth and seen["requests"] < (time.monotonic() - begin) * rate:
            one()
            handle.poll(0)
        else:
            handle.poll(5)
        if handle.aio_in_flight() == 0:
            last[0] = time.monotonic()      # nothing was asked for: not a pause of the disk's
    while handle.aio_in_flight() > 0:
        handle.poll(1000)
    last[0] = time.monotonic()
    handle.aio_flush(finished(None))
    while handle.aio_in_flight() > 0:
        handle.poll(1000)
    seen["wrong_bytes"] += sum(a != b for a, b in zip(handle.pread(AREA, 0), model))
    with open(socket + ".model", "wb") as file:
        file.write(model)
    handle.shutdown()
    print(json.dumps(seen))


main()

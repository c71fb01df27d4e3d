"""What the outage tests are made of: servers whose power can be cut, a link that can fail, the plugin, a workload."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import nbd

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(HERE), os.environ.get("BUILD", "build"))
VOLCACHE = f"{BUILD}/test/nbdkit-volcache-plugin.so"
MIB = 1 << 20
NOT_MEASURED = "-"
OPT_GO, OPT_STRUCTURED_REPLY, OPT_EXTENDED_HEADERS = 7, 8, 11
CMD_READ, CMD_WRITE = 0, 1


class Failure(Exception):
    """A test's claim does not hold."""


def require(truth, what):
    if not truth:
        raise Failure(what)


def wait_for(condition, seconds, what):
    """Waits until condition() is true and returns what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Failure(f"not within {seconds} s: {what}")


class Room:
    """One test's directory and processes; leaving it ends them all."""

    def __init__(self, name, directory, sanitize=False):
        self.name, self.directory, self.sanitize, self.running = name, directory, sanitize, []
        os.makedirs(directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            end(process)

    def path(self, name):
        return f"{self.directory}/{name}"

    def start(self, log, arguments, **options):
        with open(self.path(log + ".log"), "ab") as file:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options)
        self.running.append(process)
        return process

    def image(self, name, mib=64):
        with open(self.path(name), "wb") as file:
            file.truncate(mib * MIB)
        return self.path(name)

    def log(self, name):
        with open(self.path(name + ".log"), errors="replace") as file:
            return file.read()


def end(process, how=signal.SIGKILL):
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Failure(f"did not end by signal {how}: {process.args[:4]}") from None


def answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return True
        except OSError:
            return False


class Server:
    """A disk with a volatile cache behind NBD; see volcache.c. While error_file exists, all requests (or
    those named by FAILING, as nbdkit's error filter does) are answered with ERROR."""

    def __init__(self, room, image, error=None, failing="", **parameters):
        self.room, self.image, self.socket = room, image, room.path("server.sock")
        self.error_file = room.path("failing")
        self.filters = ["--filter=error"] if error else []
        self.parameters = [f"{key.replace('_', '-')}={value}" for key, value in parameters.items()]
        if error:
            self.parameters += [f"error={error}", f"error-{failing}rate=100%", f"error-file={self.error_file}"]
        self.power_on()

    def arguments(self, *how):
        return ["nbdkit", "-f", *how, "-t", "32", *self.filters, VOLCACHE, f"file={self.image}", *self.parameters]

    def power_on(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = self.room.start("server", self.arguments("-U", self.socket))
        wait_for(lambda: answers(self.socket), 10, "the server answers")

    def power_cut(self):
        end(self.process)       # its cache was private memory

    def medium(self, length):
        with open(self.image, "rb") as file:
            return file.read(length)


class Speaker:
    """A server of 64 MiB of zeros in this process, for what no other one does. MULTI_CONN: it says so. DEAF: it hears nothing
    any more from the end of the handshake on."""

    def __init__(self, room, multi_conn=False, deaf=False):
        self.multi_conn, self.deaf, self.options, self.connections = multi_conn, deaf, set(), []
        self.socket = room.path("speaker.sock")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.socket)
        listening.listen(16)
        threading.Thread(target=self.accept, args=(listening,), daemon=True).start()

    def accept(self, listening):
        while True:
            connection, _ = listening.accept()
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def drop(self):
        while self.connections:
            self.connections.pop().shutdown(socket.SHUT_RDWR)

    def serve(self, connection):
        with contextlib.suppress(OSError), connection.makefile("rb") as heard:
            connection.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
            heard.read(4)
            option = 0
            while option != OPT_GO:
                if len(header := heard.read(16)) < 16:
                    return
                option, length = struct.unpack(">8xLL", header)
                heard.read(length)
                self.options.add(option)
                self.agree(connection, option)
            while len(header := heard.read(28)) == 28:
                command, cookie, length = struct.unpack(">6xH8s8xL", header)
                if command == CMD_WRITE:
                    heard.read(length)
                connection.sendall(struct.pack(">LL8s", 0x67446698, 0, cookie) + bytes(length if command == CMD_READ else 0))

    def agree(self, connection, option):
        def reply(kind, data=b""):
            connection.sendall(struct.pack(">QLLL", 0x3e889045565a9, option, kind, len(data)) + data)
        if option != OPT_GO:
            reply(0x80000001)                                           # unsupported
        else:
            flags = 1 | 4 | (0x100 if self.multi_conn else 0)           # HAS_FLAGS, SEND_FLUSH, CAN_MULTI_CONN
            reply(3, struct.pack(">HQH", 0, 64 * MIB, flags))
            if self.deaf:
                connection.shutdown(socket.SHUT_RD)
            reply(1)


class Relay:
    """A link that can fail; see relay.c."""

    def __init__(self, room, upstream, delay_ms=0, rate=0):
        self.socket, self.control = room.path("relay.sock"), room.path("relay.ctl")
        self.process = room.start("relay", [f"{BUILD}/test/relay", self.socket, upstream, self.control, str(delay_ms), str(rate)])
        wait_for(lambda: os.path.exists(self.control), 10, "the relay listens")

    def tell(self, word):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(word.encode(), self.control)


class Plugin:
    """nbdkit with the plugin under test."""

    def __init__(self, room, upstream=None, command=None, threads=64, **parameters):
        self.room, self.socket, self.control = room, room.path("disk.sock"), room.path("control.sock")
        way = [f"socket={upstream}"] if upstream else [f"command={command[0]}", *(f"arg={word}" for word in command[1:])]
        parameters = {"lock-memory": os.environ.get("LOCK_MEMORY", "false"), "max-wait": 1, "max-wait-error": 2, **parameters}
        self.arguments = ["nbdkit", "-f", "-U", self.socket, "-t", str(threads),
                          f"{BUILD}/{'asan/' if room.sanitize else ''}nbdkit-netdisk-session-plugin.so", *way,
                          f"name={room.name}", f"control={self.control}",
                          *(f"{key.replace('_', '-')}={value}" for key, value in parameters.items())]
        self.start()

    def start(self):
        environment = dict(os.environ)
        if self.room.sanitize:          # nbdkit is not built with them
            environment["LD_PRELOAD"] = " ".join(
                subprocess.check_output(["gcc", f"-print-file-name={name}.so"], text=True).strip()
                for name in ("libasan", "libubsan"))
            environment["ASAN_OPTIONS"] = "detect_leaks=0"      # nbdkit's own
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = self.room.start("plugin", self.arguments, env=environment)
        wait_for(lambda: os.path.exists(self.socket), 20, "the plugin listens")

    def kill(self):
        end(self.process)

    def connect(self):
        """A client of its own. Each of its methods but aio_* raises an error that reaches it."""
        handle = nbd.NBD()
        handle.connect_unix(self.socket)
        return handle

    def tell(self, word):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.control)
            s.sendall(word.encode() + b"\n")
            text = b""
            while part := s.recv(65536):
                text += part
        return json.loads(text)

    def status(self):
        return self.tell("status")

    def wait_state(self, state, seconds=10, reason=""):
        def there():
            status = self.status()
            return status if status["state"] == state and reason in status["reason"] else None
        return wait_for(there, seconds, f"state {state} {reason!r}; it is {self.status()}")


class Work:
    """model.py on a disk."""

    def __init__(self, room, disk, seconds, seed=1, depth=24, rate=500):
        self.disk = disk
        self.process = subprocess.Popen(
            [sys.executable, f"{HERE}/model.py", disk.socket, str(seconds), str(seed), str(depth), str(rate)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        room.running.append(self.process)

    def result(self, seconds=60):
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"the work did not end; {self.disk.status()}") from None
        require(self.process.returncode == 0, f"the work failed: {err[-600:]}")
        return json.loads(out)

    def model(self):
        with open(self.disk.socket + ".model", "rb") as file:
            return file.read()


def differing(a, b):
    """Bytes in 4 KiB blocks that are not the same."""
    return sum(4096 for i in range(0, max(len(a), len(b)), 4096) if a[i:i + 4096] != b[i:i + 4096])


@contextlib.contextmanager
def fault(faults):
    """Something is broken in here: when it began and when it was repaired goes into FAULTS. What only ends connections is
    repaired at once."""
    begin = time.monotonic()
    yield
    faults.append((begin, time.monotonic()))


def longest_stall(pauses, faults):
    """The longest stretch of a pause, in seconds, in which nothing was broken; FAULTS are in the order of their times."""
    longest = 0.0
    for start, stop in pauses:
        since = start
        for begin, repaired in [*faults, (stop, stop)]:
            longest = max(longest, min(begin, stop) - since)
            since = max(since, repaired)
    return longest

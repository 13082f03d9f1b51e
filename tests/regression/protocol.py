"""As much of PostgreSQL's protocol as a client needs that is let in without a password and takes all values as text."""
import socket
import struct


class Lost(Exception):
    """The connection has ended."""


class Refused(Exception):
    """The server's error; `code` is its SQLSTATE."""

    def __init__(self, fields):
        self.code = fields.get("C", "")
        super().__init__(f"{self.code} {fields.get('M', '')}")


class Connection:
    """One session over a Unix socket."""

    def __init__(self, path, **parameters):
        self._socket = socket.socket(socket.AF_UNIX)
        self._received = b""
        try:
            self._socket.settimeout(600)
            self._socket.connect(path)
            body = b"".join(text(word) for pair in parameters.items() for word in pair) + b"\0"
            self._socket.sendall(struct.pack("!ii", len(body) + 8, 3 << 16) + body)
            self._answer()
        except OSError as error:
            raise Lost(str(error)) from None

    def query(self, sql):
        """A simple query's rows, as tuples of text."""
        return self._ask(message(b"Q", text(sql)))

    def parse(self, name, sql):
        """Makes a prepared statement by the extended protocol."""
        self._ask(message(b"P", text(name) + text(sql) + b"\0\0") + message(b"S"))

    def execute(self, name):
        """Runs one, without parameters."""
        bind = message(b"B", b"\0" + text(name) + bytes(6))
        return self._ask(bind + message(b"E", b"\0" + bytes(4)) + message(b"S"))

    def forget(self, name):
        self._ask(message(b"C", b"S" + text(name)) + message(b"S"))

    def close(self):
        try:
            self._socket.sendall(message(b"X"))
        except OSError:
            pass
        self._socket.close()

    def _ask(self, request):
        try:
            self._socket.sendall(request)
            return self._answer()
        except OSError as error:
            raise Lost(str(error)) from None

    def _answer(self):
        """Reads up to ReadyForQuery."""
        rows, error = [], None
        while True:
            kind, length = struct.unpack("!ci", self._take(5))
            body = self._take(length - 4)
            if kind == b"D":
                rows.append(columns(body))
            elif kind == b"E":
                fields = (field.decode(errors="replace") for field in body.split(b"\0") if field)
                error = Refused({field[0]: field[1:] for field in fields})
                if error.code.startswith("57P") or error.code.startswith("08"):
                    raise Lost(str(error))
            elif kind == b"Z":
                if error:
                    raise error
                return rows

    def _take(self, size):
        while len(self._received) < size:
            more = self._socket.recv(65536)
            if not more:
                raise Lost("the server hung up")
            self._received += more
        taken, self._received = self._received[:size], self._received[size:]
        return taken


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def text(word):
    return word.encode() + b"\0"


def columns(body):
    """The values of a DataRow."""
    (count,), at, values = struct.unpack_from("!h", body), 2, []
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return tuple(values)

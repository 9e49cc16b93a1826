"""Ways to mistreat a server. Each makes a function of a port whose outcome is a status, or None where it hung up."""

import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from server import HOST
from traffic import BOUNDARY

PATIENCE_S = 60  # longer than every timeout of the server: who waits this long, hangs
DRIP_S = 0.5  # between the bytes of a slow client


@dataclass(frozen=True)
class Outcome:
    """`status` is None where the connection was closed without one; `problem` says what must not be."""

    status: int | None
    body: str = ""
    may_pass: bool = False
    problem: str = ""

    def but(self, problem: str) -> "Outcome":
        return replace(self, problem=problem)


Case = Callable[[int], Outcome]


def allow_files(number: int) -> None:
    """Raises the limit of open files, which a server started afterwards inherits."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise OSError(
            f"the system allows {hard} open files, expected {number}: raise `ulimit -Hn`, or pass --connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (number if hard == resource.RLIM_INFINITY else hard, hard))


def raw(sent: bytes, may_pass: bool = False, must_lack: bytes | None = None) -> Case:
    """Sends bytes as they are."""

    def case(port: int) -> Outcome:
        with socket.create_connection((HOST, port), timeout=PATIENCE_S) as connection:
            try:
                connection.sendall(sent)
            except OSError:
                pass  # a server may answer, and close, before it has read everything
            outcome = answer(connection)
        if must_lack and must_lack.decode() in outcome.body:
            return outcome.but("a file of the system was served")
        return replace(outcome, may_pass=may_pass)

    return case


def request(method: str, target: str, body: bytes = b"", content_type: str = "", **expected: object) -> Case:
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {content_type}\r\n" if content_type else ""
    return raw(head.encode() + b"\r\n" + body, **expected)


def form_request(body: bytes, **expected: object) -> Case:
    return request("POST", "/predict", body, f"multipart/form-data; boundary={BOUNDARY}", **expected)


def head_of_form(length: int) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


def with_field(body: bytes, name: str, value: str) -> bytes:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    return part.encode() + body


def with_fields(body: bytes, number: int) -> bytes:
    parts = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f{index}"\r\n\r\nx\r\n' for index in range(number)
    )
    return parts.encode() + body


def without_file(body: bytes) -> bytes:
    first, *_ = body.split(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"'.encode())
    return first + f"--{BOUNDARY}--\r\n".encode()


def slow(start: bytes, drop: bytes) -> Case:
    """Sends byte after byte, without end."""

    def case(port: int) -> Outcome:
        with socket.create_connection((HOST, port), timeout=PATIENCE_S) as connection:
            connection.sendall(start)
            return drip([connection], drop)

    return case


def many_slow(number: int) -> Case:
    start = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"

    def case(port: int) -> Outcome:
        connections = [socket.create_connection((HOST, port), timeout=PATIENCE_S) for _ in range(number)]
        for connection in connections:
            connection.sendall(start)
        return drip(connections, b" ")

    return case


def drip(connections: list[socket.socket], drop: bytes) -> Outcome:
    """Feeds connections slowly until the server has ended each; the outcome of the last."""
    deadline, outcome = time.monotonic() + PATIENCE_S, Outcome(None)
    while connections:
        if time.monotonic() > deadline:
            return outcome.but(f"{len(connections)} slow connections are still open after {PATIENCE_S} s")
        time.sleep(DRIP_S)
        for connection in list(connections):
            try:
                connection.sendall(drop)
                connection.setblocking(False)
                ended = connection.recv(1, socket.MSG_PEEK) is not None  # an answer, or the end
            except BlockingIOError:
                ended = False
            except OSError:
                ended = True
            connection.settimeout(PATIENCE_S)
            if ended:
                outcome = answer(connection)
                connection.close()
                connections.remove(connection)
                if outcome.problem or (outcome.status or 0) >= 500:
                    return outcome
    return outcome


def idle(number: int) -> Case:
    """Opens connections and says nothing; a newcomer must get an answer, and all be closed in the end."""

    def case(port: int) -> Outcome:
        connections = []
        try:
            for _ in range(number):
                connection = socket.create_connection((HOST, port), timeout=PATIENCE_S)
                connections.append(connection)
        except OSError as error:
            return Outcome(None, problem=f"connection {len(connections)}: {error}")
        newcomer = request("GET", "/health")(port)
        if newcomer.status != 200:
            return newcomer.but(f"a newcomer got {newcomer.status} {newcomer.problem}")
        return drip_nothing(connections)

    return case


def drip_nothing(connections: list[socket.socket]) -> Outcome:
    deadline, open_ = time.monotonic() + PATIENCE_S, connections
    while open_ and time.monotonic() < deadline:
        time.sleep(1)
        open_ = [connection for connection in open_ if is_open(connection)]
    for connection in connections:
        connection.close()
    return Outcome(None, problem=f"{len(open_)} idle connections are still open after {PATIENCE_S} s" if open_ else "")


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1024) != b""  # what a server says before it closes is read and dropped
    except BlockingIOError:
        return True
    except OSError:
        return False


def answer(connection: socket.socket) -> Outcome:
    received = b""
    try:
        while len(received) < 1_000_000 and (part := connection.recv(65_536)):
            received += part
            if complete(received):
                break
    except TimeoutError:
        return Outcome(None, problem=f"no answer after {PATIENCE_S} s")
    except OSError:
        pass  # a reset connection is a closed one; what came before it counts
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return Outcome(None, body.decode(errors="replace"))
    return Outcome(int(words[1]), body.decode(errors="replace"))


def complete(received: bytes) -> bool:
    """Whether a whole response with a Content-Length is there: not every server closes after a refusal."""
    head, end, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if end and line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False

"""A server of this machine that is started for a measurement: on a free port, waited for, watched, stopped."""

import json
import os
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE_S = 180  # to load the weights
GRACE_S = 40  # to stop


class Failed(Exception):
    """Something did not do what it was told; says what, and the end of a server's log."""


class Server:
    """A process that answers on `port` of the loopback address; `PORT` in the command stands for it."""

    def __init__(self, name: str, command: list[str | Path], log: Path, environment: dict[str, str] | None = None):
        self.name, self.log, self.port = name, log, free_port()
        words = [str(word).replace("PORT", str(self.port)) for word in command]
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w", encoding="utf-8") as output:
            variables = os.environ | (environment or {})
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables
            )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_ready(self, path: str = "/health") -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")
            try:
                if get(self.port, path)[0] < 500:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} is not ready after {PATIENCE_S} s\n{self.tail()}")
            time.sleep(0.1)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def tail(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def get(port: int, path: str, timeout: float = 60) -> tuple[int, bytes]:
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def post(port: int, path: str, value: object, timeout: float = 60) -> tuple[int, bytes]:
    connection = HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def serve(name: str, options: list[str | Path], log: Path) -> Server:
    """Our server with these options, ready. `KO_STS_BIN` is the folder of the program."""
    program = Path(os.environ["KO_STS_BIN"]) / "serve"
    server = Server(name, [program, "--port", "PORT", *options], log)
    try:
        server.wait_until_ready()
    except BaseException:
        server.stop()
        raise
    return server

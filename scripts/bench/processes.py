"""Processes of the benchmark: sides that obey commands, and programs whose peak memory is wanted."""

import os
import subprocess
from pathlib import Path

Command = list[str | Path]


class Failed(Exception):
    """A process did not do what it was told; says which one and the end of what it printed."""


class Side:
    """A process that has loaded a model and answers commands: our example `bench`, or peer.py."""

    def __init__(self, name: str, command: Command, log: Path, environment: dict[str, str] | None = None) -> None:
        self.name, self.log = name, log
        with open(log, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | (environment or {}),
            )

    def wait_until_ready(self) -> None:
        self.expect("ready", "load")

    def ask(self, *words: object) -> float:
        return float(self.tell(*words))

    def tell(self, *words: object) -> str:
        command = " ".join(str(word) for word in words)
        try:
            print(command, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # the answer is missing then, and the log says why
        return self.answer(command)

    def answer(self, command: str) -> str:
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise Failed(f"{self.name}: no answer to `{command}`\n{tail(self.log)}")
        return answer

    def expect(self, expected: str, command: str) -> None:
        if (answer := self.answer(command)) != expected:
            raise Failed(f"{self.name}: `{answer}` as the answer to `{command}`, expected `{expected}`")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def run(command: Command, log: Path, environment: dict[str, str] | None = None) -> int:
    """Runs a program to its end; its peak memory in bytes. Standard output is appended to the log too."""
    with open(log, "a", encoding="utf-8") as output:
        variables = os.environ | (environment or {})
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=variables)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit status {process.returncode}\n{tail(log)}")
    return usage.ru_maxrss * 1024


def tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-15:])

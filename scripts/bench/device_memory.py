"""Peak memory of what runs on a GPU meanwhile, of any process."""

import threading
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

INTERVAL = 0.01  # seconds between two looks


def used(device: str) -> int:
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def peak_during(device: str, work: Callable[[], T]) -> tuple[T, int | None]:
    """What the work gives, and the most bytes that were taken beyond those at its start; none on a processor."""
    if device == "cpu":
        return work(), None
    before, done = used(device), threading.Event()
    peaks = [before]

    def watch() -> None:
        while not done.wait(INTERVAL):
            peaks[0] = max(peaks[0], used(device))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = work()
        peaks[0] = max(peaks[0], used(device))
    finally:
        done.set()
        watcher.join()
    return result, peaks[0] - before

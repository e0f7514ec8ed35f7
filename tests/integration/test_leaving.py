"""Q on a flat book, real processes on a real pty: an engine stops only where this screen started it and nobody misses it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.link.address import socket_path
from hoox_tui.cli.ask import answers

PATIENCE_S = 20.0
RUN = (sys.executable, "-c", "from hoox_tui.cli import main; main()")


def until(ready: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    return any(ready() or time.sleep(0.05) for _ in range(round(PATIENCE_S / 0.05)))


class Terminal:
    """A screen on a pty, and all that it wrote."""

    def __init__(self, home: Path, *args: str, **settings: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [*RUN, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment(home) | settings,
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._seen = bytearray()

    def shows(self, text: str) -> bool:
        """Whether it was written by now."""
        try:
            self._seen.extend(os.read(self._master, 65_536))
        except (BlockingIOError, OSError):
            pass
        return text.encode() in self._seen

    def press(self, keys: str) -> None:
        """Type it."""
        os.write(self._master, keys.encode())

    def ended(self) -> bool:
        """It is gone, and all of its words are read."""
        self.shows("")
        return self.process.poll() is not None

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"HOOX_HOME": str(home), "TERM": "xterm-256color"}


@contextmanager
def screen(home: Path, *args: str, **settings: str) -> Iterator[Terminal]:
    """A screen that shows an empty book; no engine is left behind."""
    terminal = Terminal(home, *args, **settings)
    ledger = home / "sim.sqlite"
    try:
        assert until(lambda: terminal.shows("no open positions") and terminal.shows("disarmed"))
        yield terminal
    finally:
        terminal.close()
        if answers(socket_path(ledger)):
            os.kill(pid_of_engine(home), signal.SIGTERM)
        assert until(lambda: not answers(socket_path(ledger)))


def pid_of_engine(home: Path) -> int:
    return int((home / "sim.sqlite.lock").read_text().split()[1])


def test_a_screen_that_found_its_engine_running_leaves_it_running(tmp_path: Path) -> None:
    engine = subprocess.Popen([*RUN, "engine"], env=environment(tmp_path), stderr=subprocess.DEVNULL)
    assert until(lambda: answers(socket_path(tmp_path / "sim.sqlite")))
    with screen(tmp_path) as terminal:
        terminal.press("Q")
        assert until(terminal.ended)
        assert until(lambda: terminal.shows("the engine goes on watching"))
        assert until(lambda: terminal.shows(f"kill {engine.pid} stops it"))
        assert answers(socket_path(tmp_path / "sim.sqlite"))
        os.kill(engine.pid, signal.SIGTERM)
        assert engine.wait(PATIENCE_S) == 0


def test_a_screen_that_started_its_engine_stops_it_and_says_so(tmp_path: Path) -> None:
    with screen(tmp_path) as terminal:
        terminal.press("Q")
        assert until(terminal.ended)
        assert until(lambda: terminal.shows("was told to stop"))
        assert until(lambda: not answers(socket_path(tmp_path / "sim.sqlite")))


def test_an_engine_that_listens_is_stopped_only_when_asked_to(tmp_path: Path) -> None:
    with screen(tmp_path, HOOX_WEBHOOK="127.0.0.1:0") as terminal:
        terminal.press("Q")
        assert until(lambda: terminal.shows("takes signals at 127.0.0.1:"))
        assert answers(socket_path(tmp_path / "sim.sqlite"))
        terminal.press("d")
        assert until(terminal.ended)
        assert until(lambda: terminal.shows("the engine goes on watching"))
        assert answers(socket_path(tmp_path / "sim.sqlite"))

"""A desk on a pseudo-terminal of its own, read all the while."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.desk import COLUMNS, ROWS
from engine.runtime import EngineConfig
from tests.engine_process import ROOT

NOTHING_OPEN, LONG_OPEN = b"no open positions", b"BTCUSDT L "
MOST_KEPT = 1 << 20
_STYLE = re.compile(rb"\x1b\[[0-9;:]*m")
_DESK = """
import sys
from pathlib import Path
from engine.link.client import SocketLink
from hoox_tui.app import run_desk
run_desk(SocketLink(Path(sys.argv[1]), "bench"), symbol="BTCUSDT")
"""


class Terminal:
    """Reads what a desk draws, as it comes; looks for words in it, whatever their style."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._drawn = bytearray()
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def forget(self) -> None:
        """Look only at what is drawn from now on."""
        with self._changed:
            self._drawn.clear()

    def wait(self, words: bytes, seconds: float = 30) -> None:
        """Until these words were drawn; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: words in _STYLE.sub(b"", self._drawn), seconds):
                raise TimeoutError(f"{words!r} was not drawn within {seconds} s")

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return
            with self._changed:
                self._drawn += data
                del self._drawn[:-MOST_KEPT]
                self._changed.notify_all()


@contextmanager
def desk_on_pty(config: EngineConfig) -> Iterator[Terminal]:
    """A desk at the socket of this engine."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    desk = subprocess.Popen(
        [sys.executable, "-c", _DESK, str(config.socket)],
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master)
        assert desk.poll() is None, "the desk did not stay open"
    finally:
        desk.terminate()
        desk.wait(10)
        os.close(master)

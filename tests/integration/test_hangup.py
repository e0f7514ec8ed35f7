"""A terminal that dies takes its screen with it, and nothing else: real processes on a real pty."""

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
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.link.address import socket_path
from hoox_tui.cli.ask import answers

PATIENCE_S = 20.0
START = """
import fcntl, sys, termios
if sys.argv.pop(1):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from hoox_tui.cli import main
main()
"""
"""A terminal that controls a session sends it a signal when it dies, another one nothing."""


def until(ready: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    tries = round(PATIENCE_S / 0.05)
    return any(ready() or time.sleep(0.05) for _ in range(tries))


@pytest.mark.parametrize("controls", [True, False], ids=["with a signal", "without a signal"])
@pytest.mark.parametrize("behind", ["reading", "stuck", "stuck while all was drawn anew"])
def test_a_screen_whose_terminal_died_ends_and_its_engine_goes_on(tmp_path: Path, behind: str, controls: bool) -> None:
    """Also one that had stopped reading: what waits for it is never written, and nobody waits for that."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 160, 0, 0))
    screen = subprocess.Popen(
        [sys.executable, "-c", START, "controls" if controls else "", "--rate", "50"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=os.environ | {"HOOX_HOME": str(tmp_path), "TERM": "xterm-256color"},
    )
    os.close(slave)
    os.set_blocking(master, False)
    seen = bytearray()

    def drawn() -> bool:
        try:
            seen.extend(os.read(master, 65_536))
        except BlockingIOError:
            pass
        return b"SIMULATED PRICES" in seen and b"positions" in seen

    ledger = tmp_path / "sim.sqlite"
    try:
        assert until(drawn)
        if behind != "reading":
            time.sleep(1.5)
        if behind == "stuck while all was drawn anew":
            for number in range(40):
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44 + number % 2, 160, 0, 0))
                screen.send_signal(signal.SIGWINCH)
                time.sleep(0.02)
        os.close(master)
        assert until(lambda: screen.poll() is not None), "the screen still waits for its terminal"
        assert answers(socket_path(ledger))
    finally:
        screen.kill()
        screen.wait()
        pid = int(ledger.with_name(ledger.name + ".lock").read_text().split()[1])
        os.kill(pid, signal.SIGTERM)
        until(lambda: not answers(socket_path(ledger)))

"""What a busy desk costs beside its engine: a real engine process, a real screen on a real pty, read as a terminal would."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

from engine.link.address import socket_path
from engine.link.client import SocketLink
from engine.link.hub import Kind

COLUMNS, ROWS = 160, 45
TICKS = os.sysconf("SC_CLK_TCK")


def _cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _read_for(master: int, seconds: float) -> int:
    """Bytes that came within a time; the terminal reads all the while."""
    end, total = time.monotonic() + seconds, 0
    os.set_blocking(master, False)
    while time.monotonic() < end:
        try:
            total += len(os.read(master, 65_536))
        except BlockingIOError:
            time.sleep(0.005)
        except OSError:
            break
    return total


def read_until(master: int, over: threading.Event) -> None:
    """A terminal that reads until the end."""
    while not over.is_set():
        _read_for(master, 0.2)


def _hoox(*arguments: str, home: Path, **options: Any) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "HOOX_HOME": str(home), "HOOX_THEME": "ansi-dark", "TERM": "xterm-256color", "LINES": str(ROWS), "COLUMNS": str(COLUMNS),
    }  # fmt: skip
    environment.pop("COLORTERM", None)
    return subprocess.Popen([sys.executable, "-m", "hoox_tui", *arguments], env=environment, **options)


async def _ages(ledger: Path) -> dict[str, Any]:
    link = SocketLink(socket_path(ledger), "bench", kind=Kind.COMMAND)
    await link.start()
    try:
        answer: dict[str, Any] = await link.query("engine")
        return answer
    finally:
        await link.close()


def busy_desk(seconds: float = 10.0, rate: int = 5_000) -> dict[str, float]:
    """Tick ages in the engine with and without the screen, the screen's CPU and bytes, time to first paint."""
    with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
        home = Path(folder)
        ledger = home / "sim.sqlite"
        engine = _hoox("engine", "--rate", str(rate), home=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(socket_path(ledger))
            time.sleep(seconds)
            alone = asyncio.run(_ages(ledger))
            master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            begin = time.monotonic()
            screen = _hoox("attach", home=home, preexec_fn=lambda: os.login_tty(slave))
            os.close(slave)
            first = _first_paint(master, begin)
            _read_for(master, 3.0)
            cpu, at = _cpu_s(screen.pid), time.monotonic()
            sent = _read_for(master, seconds)
            passed = time.monotonic() - at
            used = _cpu_s(screen.pid) - cpu
            beside = asyncio.run(_ages(ledger))
            os.close(master)
            screen.wait(10)
        finally:
            engine.send_signal(signal.SIGTERM)
            engine.wait(15)
    return {
        "attach_first_paint_ms": first[1] * 1_000,
        "tick_age_alone_p99_us": alone["tick_age_us"]["p99"],
        "tick_age_p50_us": beside["tick_age_us"]["p50"],
        "tick_age_p99_us": beside["tick_age_us"]["p99"],
        "screen_cpu_percent": 100 * used / passed,
        "screen_kb_per_s": sent / passed / 1_000,
    }


def first_paint(rounds: int = 5) -> dict[str, float]:
    """Ms from the command to a drawn desk that says what its prices are, the engine's start included."""
    taken: list[tuple[float, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="hoox-bench-") as folder:
            master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            begin = time.monotonic()
            screen = _hoox(home=Path(folder), preexec_fn=lambda slave=slave: os.login_tty(slave))
            os.close(slave)
            taken.append(_first_paint(master, begin))
            asyncio.run(_stop(Path(folder) / "sim.sqlite"))
            os.close(master)
            screen.wait(15)
    drawn, priced = (sorted(times) for times in zip(*taken, strict=True))
    return {
        "drawn_median_ms": drawn[rounds // 2] * 1_000,
        "drawn_least_ms": drawn[0] * 1_000,
        "priced_median_ms": priced[rounds // 2] * 1_000,
        "priced_least_ms": priced[0] * 1_000,
    }


async def _stop(ledger: Path) -> None:
    link = SocketLink(socket_path(ledger), "bench", kind=Kind.COMMAND)
    await link.start()
    link.stop_engine("benchmark done")
    await asyncio.sleep(0.5)
    await link.close()


def _wait_for(path: Path) -> None:
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(f"{path} did not appear")


def _first_paint(master: int, begin: float) -> tuple[float, float]:
    """Seconds until the desk's panes were drawn, and until it said what its prices are."""
    seen, drawn = b"", 0.0
    os.set_blocking(master, False)
    while b"SIMULATED" not in seen and time.monotonic() - begin < 20:
        try:
            seen += os.read(master, 65_536)
        except BlockingIOError:
            time.sleep(0.002)
        if not drawn and b"positions" in seen:
            drawn = time.monotonic() - begin
    return drawn, time.monotonic() - begin

"""hoox doctor: is this machine fit for a desk? Each line says what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_json, print_table
from hoox_tui.cli.problems import FAILED

if TYPE_CHECKING:
    from hoox_tui.settings import Settings

app = typer.Typer()

_GIB = 1 << 30
_LOGIND = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
_KILLS = ["busctl", "get-property", *_LOGIND, "KillUserProcesses"]
_YEAR_2025_NS = 1_735_689_600 * 10**9


class Check(NamedTuple):
    """One finding; `level` is ok, warn or fail."""

    name: str
    level: str
    text: str


@app.command()
def doctor(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Check this machine: Python, SQLite, terminal, folders, limits, logout rules. Exit code 1 when something cannot work."""
    checks = list(examine(settings_for(env, feed, ledger)))
    if as_json:
        print_json([check._asdict() for check in checks])
    else:
        print_table(("check", "", "what was found"), checks)
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(FAILED)


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, in order."""
    yield from _programs()
    yield from _terminal()
    yield from _home(settings.home)
    yield _socket(settings)
    yield from _signals(settings)
    yield from _system()


def _programs() -> Iterator[Check]:
    import sqlite3
    from importlib.metadata import version

    yield _check("python", sys.version_info >= (3, 11), sys.version.split()[0], "Python 3.11 or newer is needed")
    fit = sqlite3.sqlite_version_info >= (3, 37)
    yield _check("sqlite", fit, sqlite3.sqlite_version, "SQLite 3.37 or newer is needed")
    yield Check("textual", "ok", version("textual"))


def _terminal() -> Iterator[Check]:
    if not sys.stdout.isatty():
        yield Check("terminal", "warn", "the output is not a terminal: the desk cannot be checked here")
        return
    term, colours = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")
    yield _warn("terminal", term not in ("", "dumb"), f"TERM={term or '(not set)'}", "set TERM, e.g. xterm-256color")
    rich = colours in ("truecolor", "24bit")
    yield _warn(
        "colours",
        rich,
        f"COLORTERM={colours or '(not set)'}",
        "with 256 colours use HOOX_THEME=ansi-dark, or set COLORTERM=truecolor",
    )
    size = shutil.get_terminal_size()
    yield _warn("size", size.columns >= 80 and size.lines >= 24, f"{size.columns}x{size.lines}", "the desk needs 80x24")
    if os.environ.get("TMUX"):
        yield Check("tmux", "ok", "inside tmux: set -sg escape-time 10 keeps Esc quick")


def _home(home: Path) -> Iterator[Check]:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".doctor"
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield Check("home", "fail", f"{home} cannot be written ({error.strerror}): set HOOX_HOME to a folder of yours")
        return
    yield Check("home", "ok", str(home))
    free = shutil.disk_usage(home).free
    yield _warn(
        "disk", free > _GIB, f"{free / _GIB:.1f} GiB free", "a ledger that cannot grow blocks entries: free some room"
    )


def _socket(settings: Settings) -> Check:
    from engine.link.address import check_folder, check_length, socket_path
    from hoox_tui.cli.ask import running_socket

    path = socket_path(settings.ledger_path)
    try:
        check_length(path)
        check_folder(path.parent)
    except FileNotFoundError:
        return Check("socket", "ok", f"{path.parent} will be made")
    except OSError as error:
        return Check("socket", "fail", str(error))
    return Check(
        "socket", "ok", f"{path}: {'an engine answers' if running_socket(settings) else 'no engine is running'}"
    )


def _signals(settings: Settings) -> Iterator[Check]:
    """Where signals are taken, and from whom."""
    from engine.intake import enroll
    from engine.intake.sources import SourcesError, needs_attention

    yield _webhook(settings)
    try:
        sources = enroll.sources(settings.home)
    except SourcesError as error:
        yield Check("sources", "fail", str(error))
        return
    for source in sources:
        for warning in needs_attention(source):
            yield Check("sources", "warn", f"{source.name} {warning}")
    if settings.webhook and not sources:
        yield Check("sources", "warn", "nobody may send signals yet: hoox source add NAME --mode trade")


def _webhook(settings: Settings) -> Check:
    from engine.intake.listening import ListenerError
    from engine.link.base import LinkLost
    from hoox_tui.cli.ask import running_socket, with_engine
    from hoox_tui.cli.problems import Problem
    from hoox_tui.cli.startable import check_listener

    if running_socket(settings) is not None:
        try:
            at = with_engine(settings, lambda link: link.query("status"))["webhook"]
        except (Problem, LinkLost) as error:
            return Check("webhook", "warn", f"the engine does not say where it listens: {error}")
        other = "" if at or not settings.webhook else f"; it was started without webhook {settings.webhook}"
        return Check("webhook", "warn" if other else "ok", f"the engine takes signals at {at}" if at else f"off{other}")
    if not settings.webhook:
        return Check("webhook", "ok", "off")
    try:
        check_listener(settings)
    except ListenerError as error:
        return Check("webhook", "fail", str(error))
    return Check("webhook", "ok", f"the next engine takes signals at {settings.webhook}")


def _system() -> Iterator[Check]:
    import resource

    from engine.clock import wall_ns

    yield _check("clock", wall_ns() > _YEAR_2025_NS, "later than 2025", "the system clock is wrong: set it")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield _warn("files", files >= 256 or files == resource.RLIM_INFINITY, f"{files} open files", "ulimit -n 1024")
    if sys.platform == "linux":
        yield _logout()


def _logout() -> Check:
    """systemd can end an engine at logout."""
    import subprocess

    if shutil.which("loginctl") is None:
        return Check("logout", "ok", "no systemd-logind: nothing ends the engine at logout")
    try:
        safe = "true" not in _asked(_KILLS) or "yes" in _asked(
            ["loginctl", "show-user", str(os.geteuid()), "-p", "Linger"]
        )
    except (OSError, subprocess.SubprocessError):
        return Check(
            "logout", "warn", "it is not known whether logout ends the engine: see KillUserProcesses in logind.conf"
        )
    return _warn(
        "logout",
        safe,
        "the engine survives logout",
        "this system ends your processes at logout: loginctl enable-linger",
    )


def _asked(command: list[str]) -> str:
    import subprocess

    done = subprocess.run(command, capture_output=True, text=True, timeout=3, check=True)
    return done.stdout


def _check(name: str, good: bool, found: str, remedy: str) -> Check:
    return Check(name, "ok" if good else "fail", found if good else f"{found}: {remedy}")


def _warn(name: str, good: bool, found: str, remedy: str) -> Check:
    return Check(name, "ok" if good else "warn", found if good else f"{found}: {remedy}")

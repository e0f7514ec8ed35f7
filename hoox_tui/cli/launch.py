"""Starting an engine in a session of its own, and keeping one running while a screen is attached (DESIGN 9)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hoox_tui.cli.ask import answers
from hoox_tui.cli.problems import Problem
from hoox_tui.settings import Settings, SettingsError

if TYPE_CHECKING:
    from engine.link.client import SocketLink

START_S = 30.0
"""How long an engine may take from its start to its socket; a long tail is folded, a venue is asked for its instruments."""
BOTH_S = 0.5
LOOK_AGAIN_S = 0.01
LOOK_S = 0.2
FIRST_DELAY_S = 0.5
LAST_DELAY_S = 30.0
_LOG_BYTES = 5 << 20


def engine_config(settings: Settings) -> dict[str, Any]:
    """engine.runtime.EngineConfig as plain JSON data."""
    from engine.link.address import socket_path

    ledger = settings.ledger_path
    risk = msgspec.to_builtins(settings.risk)
    risk["max_data_age_ns"] = risk.pop("max_data_age_ms") * 1_000_000
    return {
        "env": settings.env,
        "feed": settings.feed_name,
        "symbols": list(settings.symbols),
        "ledger": str(ledger),
        "socket": str(socket_path(ledger)),
        "record": None if settings.record is None else str(settings.record),
        "seed": settings.seed,
        "rate": settings.rate,
        "speed": settings.speed,
        "start_balance": str(settings.start_balance),
        "asset": settings.asset,
        "limits": risk,
        "latency_ns": round(settings.latency_ms * 1e6),
        "rehearse": settings.rehearse,
        "intake": _intake(settings) if settings.webhook or settings.mail else None,
    }


def _intake(settings: Settings) -> dict[str, Any]:
    """engine.runtime.config.IntakeConfig as plain JSON data."""
    cert, key, password = settings.webhook_tls_cert, settings.webhook_tls_key, settings.mail_password_file
    return {
        "home": str(settings.home),
        "webhook": settings.webhook,
        "proxies": list(settings.webhook_proxies),
        "tls_cert": None if cert is None else str(cert),
        "tls_key": None if key is None else str(key),
        "behind_proxy": settings.behind_proxy,
        "address_rate": settings.webhook_rate,
        "mail": settings.mail,
        "mail_password_file": None if password is None else str(password),
        "mail_authserv": settings.mail_authserv,
    }


class EngineProcess:
    """One start of an engine. It outlives this process: its session, its output and its working folder are its own."""

    def __init__(self, settings: Settings) -> None:
        """Start it; raises OSError, SettingsError."""
        settings.make_home()
        self.slow = False
        """It runs, and did not answer for longer than a screen waits."""
        self.log = _log_file(settings)
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hoox_tui.cli.engine", json.dumps(engine_config(settings))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=settings.home,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> bool:
        """It is not running any more."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Ask it to stop cleanly."""
        self._process.terminate()

    def last_words(self) -> str:
        """The last line it wrote, without its time."""
        with self.log.open("rb") as file:
            file.seek(self._begin)
            lines = file.read().decode(errors="replace").strip().splitlines()
        return (
            lines[-1].rpartition(" ERROR ")[2]
            if lines
            else f"it ended with code {self._process.returncode} and wrote nothing"
        )

    def wait_ready(self, socket: Path) -> None:
        """Returns when it answers at its socket; raises Problem with its own words when it ends or takes too long."""
        patience = START_S
        while patience > 0:
            if answers(socket):
                return
            if self.ended():
                # When two desks start at once, one engine finds the ledger taken; the other will answer.
                patience = min(patience, BOTH_S)
            time.sleep(LOOK_AGAIN_S)
            patience -= LOOK_AGAIN_S
        if self.ended():
            raise Problem(f"the engine did not start: {self.last_words()}\nits output is in {self.log}")
        self.slow = True
        raise Problem(
            f"the engine did not answer within {START_S:g} s; it goes on starting (pid {self.pid}), and hoox attaches to it"
            f" once it answers; its output is in {self.log}"
        )


class Keeper(threading.Thread):
    """Starts an engine again when it is gone without having said why. A thread: a stuck terminal does not stop it.

    Two screens may both start one: the ledger's lock lets one live. The new engine begins disarmed.
    """

    def __init__(self, link: SocketLink, settings: Settings, process: EngineProcess | None) -> None:
        super().__init__(name="engine-keeper", daemon=True)
        self._link = link
        self._settings = settings
        self._process = process
        self._over = threading.Event()
        self._refusal = ""

    def process_ended(self) -> bool:
        """The engine this keeper started or was given is not running any more; so is one it never had."""
        return self._process is None or self._process.ended()

    def started(self, pid: int) -> bool:
        """That engine is one this keeper started or was given."""
        return self._process is not None and self._process.pid == pid

    def explain(self) -> str:
        """Why there is no engine; empty while none that was started again has failed."""
        return f"it does not start again: {self._refusal}" if self._refusal else ""

    def close(self) -> None:
        """Stop keeping; the engine goes on."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look five times a second; wait longer after each start that did not last."""
        delay, again = FIRST_DELAY_S, False
        while not self._over.wait(LOOK_S):
            if self._lost():
                if again and self._process is not None:
                    self._refusal = self._process.last_words()
                again = self._start()
                self._over.wait(delay)
                delay = min(delay * 2, LAST_DELAY_S)
            elif self._connected():
                delay, again, self._refusal = max(FIRST_DELAY_S, delay * 0.98), False, ""

    def _start(self) -> bool:
        settings = self._settings
        if settings.record is not None:
            settings = msgspec.structs.replace(settings, record=next_record(settings.record))
        try:
            self._process = EngineProcess(settings)
        except (OSError, SettingsError) as error:
            self._refusal = str(error)
            return False
        return True

    def _connected(self) -> bool:
        return self._link.state == "connected"

    def _lost(self) -> bool:
        return self._link.state == "lost" and not self._link.stopped and self.process_ended()


def next_record(path: Path) -> Path:
    """Where a recording goes on whose engine died: nothing is overwritten, and what was written stays readable."""
    later = (path.with_stem(f"{path.stem}.{number}") for number in count(2))
    return next(file for file in chain((path,), later) if not file.exists())


def _log_file(settings: Settings) -> Path:
    """The log of this ledger's engines; a long one is put aside once."""
    settings.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.logs / f"{settings.ledger_path.stem}.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path

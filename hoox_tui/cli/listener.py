"""Where a running engine takes signals, as it says itself: what is set here may be of another start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hoox_tui.cli.ask import running_socket, with_engine
from hoox_tui.cli.problems import Problem

if TYPE_CHECKING:
    from engine.link.client import SocketLink
    from hoox_tui.settings import Settings

ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
"""Addresses that stand for all of this machine, and how they are reached from it."""


class Listening(NamedTuple):
    """The URL as this machine reaches it, and the certificate that is shown there (None: no TLS)."""

    url: str
    certificate: Path | None


def listener_of(settings: Settings) -> Listening | None:
    """Where the engine of this ledger listens; None where it takes no signals. Raises NoEngine, Problem, LinkLost."""
    from engine.intake.enroll import base_url

    async def look(link: SocketLink) -> tuple[str, dict[str, Any]]:
        return str((await link.query("status"))["webhook"]), await link.query("config")

    at, config = with_engine(settings, look)
    if not at:
        return None
    host, _, port = at.rpartition(":")
    certificate = config["intake"]["tls_cert"]
    url = base_url(f"{ANY.get(host, host)}:{port}", tls=certificate is not None)
    return Listening(url, None if certificate is None else Path(certificate))


def listener_of_home(settings: Settings) -> Listening | None:
    """Where an engine of this data folder listens, that of the chosen ledger first; None where none does, or none says so."""
    from msgspec.structs import replace

    for ledger in dict.fromkeys([settings.ledger_path, *sorted(settings.home.glob("*.sqlite"))]):
        chosen = replace(settings, ledger=ledger)
        try:
            found = listener_of(chosen) if running_socket(chosen) is not None else None
        except (Problem, OSError, RuntimeError):
            continue
        if found is not None:
            return found
    return None

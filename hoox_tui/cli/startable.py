"""What would keep an engine from starting with these settings, said before one is started, in the engine's own words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hoox_tui.settings import Settings

_OPEN = """SELECT (SELECT count(*) FROM positions WHERE closed_ns = 0) + (SELECT count(*) FROM orders
    WHERE status NOT IN ('DENIED', 'FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')) AS open"""

_EXECUTIONS = """SELECT DISTINCT coalesce(json_extract(payload, '$.execution'), 'paper') AS execution
    FROM events WHERE type = 'AccountOpened'"""


def refusals(settings: Settings) -> Iterator[str]:
    """Each thing that is wrong, with its value and the remedy. Nothing is made, and no venue is asked."""
    from engine.feeds.base import FeedError
    from engine.intake.listening import ListenerError
    from engine.intake.mailing import MailboxError
    from engine.ledger.errors import LedgerError

    for look in (_feed, _record, _ledger, check_listener, _mail):
        try:
            look(settings)
        except (FeedError, LedgerError, ListenerError, MailboxError, OSError) as error:
            yield str(error)


def check_listener(settings: Settings) -> None:
    """Raises ListenerError where the listener would not be allowed to start, or somebody else is at its address."""
    from engine.intake.listening import ListenerConfig, bound, check, where
    from hoox_tui.cli.ask import running_socket

    if not settings.webhook:
        return
    host, port = where(settings.webhook)
    config = ListenerConfig(
        host=host,
        port=port,
        proxies=settings.webhook_proxies,
        tls_cert=settings.webhook_tls_cert,
        tls_key=settings.webhook_tls_key,
        behind_proxy=settings.behind_proxy,
    )
    check(config)
    if running_socket(settings) is None:  # else it is this ledger's own engine that is there
        bound(config).close()


def _mail(settings: Settings) -> None:
    from engine.intake.mailing import mailbox_config

    if settings.mail:
        mailbox_config(settings.mail, settings.mail_password_file, settings.mail_authserv)


def _feed(settings: Settings) -> None:
    if settings.feed_name == "simulated":
        from engine.feeds.simulated.listing import listing_of

        for symbol in settings.symbols:
            listing_of(symbol)
    else:
        _identity(settings)


def _identity(settings: Settings) -> str:
    """What a ledger is stamped with by this feed; raises FeedError where it is a recording that cannot be played."""
    from engine.feeds.recording import RecordingFeed

    kind, _, file = settings.feed_name.partition(":")
    return RecordingFeed(Path(file)).identity if kind == "recording" else kind


def _record(settings: Settings) -> None:
    from engine.feeds.base import FeedError

    path = settings.record
    if path is not None and path.exists():
        raise FeedError(f"record: {path} exists; choose another name, nothing is overwritten")
    if path is not None and not os.access(path.parent, os.W_OK):
        raise FeedError(f"record: cannot write {path}: make the folder, or choose another one of yours")


def _ledger(settings: Settings) -> None:
    from engine.ledger.errors import LedgerError, NoFile

    path = settings.ledger_path
    if path.exists() and not path.is_file():
        raise NoFile(str(path))
    if path.exists() and path.stat().st_size:
        _check_stamps(settings)
        # Locks and logs are made beside the file itself.
        if not all(os.access(needed, os.W_OK) for needed in (path, path.resolve().parent)):
            raise LedgerError(f"{path} may not be written; check the file's and the folder's permissions")
        return
    # A start makes the file, and the folders that are not there.
    folder = next(parent for parent in path.parents if parent.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise LedgerError(f"{path} cannot be made in {folder}; choose another file with --ledger, or another HOOX_HOME")


def _check_stamps(settings: Settings) -> None:
    """A ledger belongs to one environment and one way of its orders, and to one feed while anything is open."""
    from engine.feeds.base import FeedError
    from engine.ledger.errors import WrongEnvironment, WrongExecution, WrongFeed
    from engine.ledger.query import read_rows
    from engine.model.account import Execution

    path = settings.ledger_path
    stamped = {row["key"]: row["value"] for row in read_rows(path, "SELECT key, value FROM meta")}
    env, feed = stamped.get("env", ""), stamped.get("feed", "")
    if env != settings.env:
        raise WrongEnvironment(str(path), env, settings.env)
    wanted = Execution.VENUE if settings.rehearse else Execution.PAPER
    if any(row["execution"] != wanted for row in read_rows(path, _EXECUTIONS)):
        raise WrongExecution(path.name, rehearses=not settings.rehearse)
    (found,) = read_rows(path, _OPEN)
    with suppress(FeedError):  # which is said already
        asked = _identity(settings)
        if found["open"] and asked != feed:
            raise WrongFeed(str(path), feed, asked, found["open"])

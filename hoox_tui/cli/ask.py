"""Talking to the running engine: connect, ask, leave."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hoox_tui.cli.problems import NoEngine, Problem, nobody_reads, note

if TYPE_CHECKING:
    from engine.link.client import SocketLink
    from engine.model.command import AnyCommand
    from engine.views import Preview
    from hoox_tui.settings import Settings

T = TypeVar("T")
_numbers = count(1)


def answers(path: Path) -> bool:
    """Whether something listens at an engine's socket; one that stands still takes nobody in, and is there all the same."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def running_socket(settings: Settings) -> Path | None:
    """Where the engine of these settings' ledger answers; None when none does."""
    from engine.link.address import socket_paths

    return next((path for path in socket_paths(settings.ledger_path) if answers(path)), None)


def request_id() -> str:
    """A new id of an intent from the command line."""
    from engine.clock import wall_ns

    return f"cli-{wall_ns():x}-{os.getpid()}-{next(_numbers)}"


def with_engine(settings: Settings, talk: Callable[[SocketLink], Awaitable[T]]) -> T:
    """Run `talk` over a link to the engine of these settings' ledger; raises NoEngine, Problem or LinkLost."""
    import asyncio

    from engine.link.base import LinkState
    from engine.link.client import SocketLink
    from engine.link.hub import Kind

    path = running_socket(settings)
    if path is None:
        raise NoEngine(f"no engine is running on {settings.ledger_path}; start one with: hoox engine")

    async def run() -> T:
        link = SocketLink(path, f"cli-{os.getpid()}", kind=Kind.COMMAND)
        await link.start()
        try:
            if link.state is not LinkState.CONNECTED:
                raise Problem(f"the engine of {settings.ledger_path} does not take the connection: {link.detail}")
            return await talk(link)
        finally:
            await link.close()

    return asyncio.run(run())


def confirm_and_send(settings: Settings, commands: Sequence[AnyCommand], *, yes: bool) -> None:
    """Show the engine's previews, ask, send all; raises Problem when one is impossible or refused, or nobody agreed."""

    async def look(link: SocketLink) -> list[Preview]:
        return [await link.preview(command) for command in commands]

    async def send(link: SocketLink) -> list[str]:
        acks = [await link.submit(command) for command in commands]
        return [f"{ack.code}: {ack.message}" for ack in acks if not ack.ok]

    previews = with_engine(settings, look)
    try:
        for preview in previews:
            _show(preview)
        sys.stdout.flush()
    except BrokenPipeError:
        # What was agreed to beforehand is done, whether or not somebody reads on.
        if not (nobody_reads() and yes):
            raise Problem("nothing was done: nobody reads what it would do; add --yes") from None
    errors = [error for preview in previews for error in preview.errors]
    if errors:
        raise Problem("\n".join(errors))
    agree(yes)
    refused = with_engine(settings, send)
    if refused:
        raise Problem("\n".join(refused))
    note("done")


def agree(yes: bool) -> None:
    """Ask y/N, unless `yes`; raises Problem when the answer is no, or there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem("nothing was done: there is no terminal to ask at; add --yes")
    import typer

    if not typer.confirm("Do it?"):
        raise Problem("nothing was done")


def _show(preview: Preview) -> None:
    from hoox_tui.cli.output import say

    say(preview.title)
    width = max((len(label) for label, _ in preview.rows), default=0)
    for label, value in preview.rows:
        say(f"  {label.ljust(width)}  {value}")
    for warning in preview.warnings:
        say(f"  ! {warning}")

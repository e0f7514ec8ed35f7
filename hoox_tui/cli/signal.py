"""hoox signal: send one from a file to the running listener, as any sender does; answer one that waits for a person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoox_tui.cli import ask
from hoox_tui.cli.listener import listener_of
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, Yes, settings_for
from hoox_tui.cli.output import print_json, say
from hoox_tui.cli.problems import NoEngine, Problem

if TYPE_CHECKING:
    from hoox_tui.settings import Settings

app = typer.Typer(help="Signals: send one, approve, decline or replay one.", no_args_is_help=True)

ANSWER_S = 10.0

Name = Annotated[str, typer.Argument(metavar="SIGNAL", help="A signal's id, as `hoox signals` tells it.")]


@app.command()
def send(
    file: Annotated[str, typer.Argument(help="A JSON file with the signal and its apiKey; - reads standard input.")],
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
    as_json: Json = False,
) -> None:
    """Send one signal to the engine's listener, at once, and print its answer; exit code 1 when it is refused."""
    settings = settings_for(env, feed, ledger)
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error.strerror}") from None
    answer = _post(settings, body)
    if as_json:
        print_json(answer)
    elif answer["result"]:
        say("  ".join(f"{name} {value}" for name, value in answer["result"].items()))
    if not answer["success"]:
        raise Problem(f"{answer['code']}: {answer['error']}")


@app.command()
def approve(name: Name, yes: Yes = False, env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Let a CLOSE go that waits for a person. An entry takes an armed screen: approve it there (F4)."""
    from engine.model.command import ApproveSignal

    settings = settings_for(env, feed, ledger)
    ask.confirm_and_send(settings, [ApproveSignal(request_id=ask.request_id(), signal=name)], yes=yes)


@app.command()
def decline(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")] = "",
    yes: Yes = False,
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """End a signal that waits, whatever for; the orders that it became already stay."""
    from engine.model.command import DeclineSignal

    command = DeclineSignal(request_id=ask.request_id(), signal=name, reason=reason)
    ask.confirm_and_send(settings_for(env, feed, ledger), [command], yes=yes)


@app.command()
def replay(name: Name, yes: Yes = False, env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Take a CLOSE in anew, in env sim. An entry takes an armed screen: replay it there (F4)."""
    from engine.model.command import ReplaySignal

    settings = settings_for(env, feed, ledger)
    ask.confirm_and_send(settings, [ReplaySignal(request_id=ask.request_id(), signal=name)], yes=yes)


def _post(settings: Settings, body: bytes) -> dict[str, Any]:
    import httpx

    url, verify = _listener(settings)
    try:
        answered = httpx.post(
            f"{url}/webhook",
            content=body,
            headers={"content-type": "application/json"},
            timeout=ANSWER_S,
            trust_env=False,
            verify=verify,
        )
        answer: dict[str, Any] = answered.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Problem(
            f"{url} did not answer: {error}; whether it was taken is not known, sending it again is safe"
        ) from (None)
    return answer


def _listener(settings: Settings) -> tuple[str, Any]:
    """Where the running engine listens, and whom to trust there."""
    import ssl

    found = listener_of(settings)
    if found is None:
        raise NoEngine(
            "the engine takes no signals: stop it, and start it with webhook set, e.g. HOOX_WEBHOOK=127.0.0.1:8787"
        )
    if found.certificate is None:
        return found.url, False
    context = ssl.create_default_context(cafile=str(found.certificate))
    # The certificate itself is pinned; its name is that of the outside.
    context.check_hostname = False
    return found.url, context

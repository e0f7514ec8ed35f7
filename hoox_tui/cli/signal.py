"""hoox signal send: a signal from a file to the running listener, the way any sender's comes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoox_tui.cli.listener import listener_of
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile, settings_for
from hoox_tui.cli.output import print_json, say
from hoox_tui.cli.problems import NoEngine, Problem

if TYPE_CHECKING:
    from hoox_tui.settings import Settings

app = typer.Typer(help="Signals: send one.", no_args_is_help=True)

ANSWER_S = 10.0


@app.callback()
def signal() -> None:
    """Signals: send one."""


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

"""hoox ledger: is it what was written, what does it say, and keep a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hoox_tui.cli.export import export
from hoox_tui.cli.options import Env, Feed, Json, LedgerFile
from hoox_tui.cli.output import print_json
from hoox_tui.cli.problems import FAILED, Problem, note
from hoox_tui.cli.replay import existing, replay, travel

app = typer.Typer(help="The ledger: verify, replay, travel, snapshot, backup, rebuild, export.", no_args_is_help=True)


@app.command()
def verify(env: Env = None, feed: Feed = None, ledger: LedgerFile = None, as_json: Json = False) -> None:
    """Check every hash, page, trigger, index, projection and snapshot; exit code 1 names what is wrong."""
    from engine.ledger.verify import verify as check

    path = existing(env, feed, ledger)
    report = check(path)
    if as_json:
        print_json(
            {
                "ledger": str(path),
                "ok": report.ok,
                "events": report.events,
                "findings": [finding._asdict() for finding in report.findings],
                "note": report.note,
            }
        )
    else:
        for line in report.lines:
            typer.echo(line)
        if report.rebuildable:
            note("the events are sound: hoox ledger rebuild puts the rest right")
    if not report.ok:
        raise typer.Exit(FAILED)


@app.command()
def snapshot(env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Store the state for a quicker next start. Needs the engine stopped: a running one does this by itself every 10 s."""
    from contextlib import closing

    from engine.clock import wall_ns
    from engine.ledger.query import read_rows
    from engine.ledger.store import Ledger

    path = existing(env, feed, ledger)
    stamps = {row["key"]: row["value"] for row in read_rows(path, "SELECT key, value FROM meta")}
    # A stamp that is missing the ledger names itself.
    stamped_env, stamped_feed = (stamps.get(name, "") for name in ("env", "feed"))
    with closing(Ledger.open(path, env=stamped_env, feed=stamped_feed, now_ns=wall_ns(), create=False)) as opened:
        loaded = opened.load()
        for warning in loaded.warnings:
            note(warning)
        state = loaded.state
        if not state.seq:
            raise Problem(f"{path} holds no events yet")
        opened.snapshot(state)
    note(f"snapshot after event {state.seq}")


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A file that does not exist yet.", show_default=False)],
    env: Env = None,
    feed: Feed = None,
    ledger: LedgerFile = None,
) -> None:
    """Copy the ledger, also while its engine runs, and verify the copy."""
    from engine.ledger.backup import backup as copy

    report = copy(existing(env, feed, ledger), target.expanduser().absolute())
    note(f"{target}: {report.events} events, verified{f'; {report.note}' if report.note else ''}")


@app.command()
def rebuild(env: Env = None, feed: Feed = None, ledger: LedgerFile = None) -> None:
    """Make the projections anew from the events; the old file is kept beside it. Needs the engine stopped."""
    from engine.ledger.rebuild import rebuild_projections

    kept = rebuild_projections(existing(env, feed, ledger), kept_as="before-rebuild")
    note(f"projections are rebuilt; the old file is {kept}")


for command in (replay, travel, export):
    app.command()(command)

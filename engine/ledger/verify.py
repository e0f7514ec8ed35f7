"""Is the ledger what was written? Chain, HEAD, pages, schema, stamps, projections, snapshots, each named when it is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from engine.core.state import State, encode_state
from engine.ledger import schema
from engine.ledger.agreement import disagreement
from engine.ledger.chain import GENESIS
from engine.ledger.errors import LedgerBroken, unless_hindered
from engine.ledger.guards import changed_guards, wrong_stamps
from engine.ledger.head import Head, compare_head, read_head
from engine.ledger.integrity import find_damage
from engine.ledger.rebuild import ProjectionTables, rebuild_projections
from engine.ledger.replay import connect_readonly, fold_verified, verified_events
from engine.ledger.snapshots import SnapshotBad, read_snapshot, snapshot_seqs
from engine.model.event import Event

__all__ = ["Finding", "Report", "rebuild_projections", "verify", "verify_events"]


_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""The second: names of columns, or of a broken schema, that are no text any more."""
_STAMPS = {"env", "feed", "ledger_id", "schema"}
_OURS = "a fault of this program, which no rebuild mends: believe hoox ledger replay, and report it"
_MENDED = "hoox ledger rebuild puts it right"
_DERIVED = {*schema.PROJECTIONS, "snapshots", "pages", "schema", "stamps"}


class Finding(NamedTuple):
    """One thing that is wrong: `part` is HEAD, a table, `pages` of no table, `state` where the tables are made wrongly,
    `schema`, `stamps`, or `file`; `seq` the event, where there is one."""

    part: str
    text: str
    seq: int | None = None


class Report(NamedTuple):
    """The outcome; so many `events` are good from the first on."""

    events: int
    findings: tuple[Finding, ...]
    note: str = ""
    """What was not looked at, and why."""

    @property
    def ok(self) -> bool:
        """Everything is as it was written."""
        return not self.findings

    @property
    def rebuildable(self) -> bool:
        """The events are whole: rebuild_projections() puts the rest right."""
        return bool(self.findings) and all(finding.part in _DERIVED for finding in self.findings)

    @property
    def whole(self) -> bool:
        """The events are as they were written, whatever was made of them; a HEAD that says nothing takes nothing from them."""
        return all(
            finding.part in _DERIVED or finding.part == "state" or (finding.part == "HEAD" and finding.seq is None)
            for finding in self.findings
        )

    @property
    def lines(self) -> list[str]:
        """For a person."""
        outcome = "as it was written" if self.ok else "NOT as it was written"
        return [
            f"{self.events} events verified; the ledger is {outcome}",
            *(f"{finding.part}: {finding.text}" for finding in self.findings),
            *([self.note] if self.note else []),
        ]


def verify(path: Path) -> Report:
    """Everything, from the first event on. An engine may be writing: events are read in pages, what came in the meantime and
    the tables in one moment at the end.

    Of a file of an earlier schema only the truth is checked: events, HEAD and pages; the rest is made anew at its next
    open. Raises LedgerError for a file of a newer one, and where something else than the file kept it from being read.
    """
    findings: list[Finding] = []
    head = _head(path, findings)
    events, note = 0, ""
    try:
        with closing(connect_readonly(path)) as db:
            findings.extend(Finding(*damage) for damage in find_damage(db))
            version = _check_meta(path, db, findings)
            if version == schema.SCHEMA_VERSION:
                events = _check_all(db, head, findings)
            else:
                events, _ = _walk(db, head, findings, partial(fold_verified, State()))
                note = f"schema {version}: only events, HEAD and pages were checked; its engine brings it to schema {schema.SCHEMA_VERSION}"
    except _UNREADABLE as error:
        unless_hindered(error)
        findings.append(Finding("file", str(error)))
    return Report(events, tuple(findings), note)


def _check_meta(path: Path, db: sqlite3.Connection, findings: list[Finding]) -> int:
    """The schema it was written with; today's where that is not said."""
    meta = schema.read_meta(db)
    missing = _STAMPS - meta.keys()
    findings.extend(Finding("meta", f"the stamp {name} is missing") for name in sorted(missing))
    try:
        return schema.version_of(path, meta)
    except LedgerBroken as broken:
        if "schema" not in missing:
            findings.append(_finding(broken))
        return schema.SCHEMA_VERSION


def _check_all(db: sqlite3.Connection, head: Head | None, findings: list[Finding]) -> int:
    with closing(sqlite3.connect("", isolation_level=None)) as made:
        schema.create(made, {})
        tables = ProjectionTables(made)
        states = _States(db, findings)

        def visit(event: Event) -> None:
            states.add(event)
            tables.add(event)

        events, whole = _walk(db, head, findings, visit)
        if whole:
            tables.flush()
            for table in schema.PROJECTIONS:
                _compare_table(db, made, table, findings)
            if difference := disagreement(made, states.state):
                findings.append(Finding("state", f"{difference}; {_OURS}"))
            findings.extend(
                Finding("stamps", f"{line}; {_MENDED}") for line in wrong_stamps(schema.read_meta(db), states.state)
            )
        findings.extend(Finding("schema", f"{line}; {_MENDED}") for line in changed_guards(db))
        return events


def verify_events(path: Path) -> Report:
    """Chain and HEAD only: the light pass beside a running engine. Raises LedgerError as verify does."""
    findings: list[Finding] = []
    head = _head(path, findings)
    events = 0
    try:
        with closing(connect_readonly(path)) as db:
            events, _ = _walk(db, head, findings, lambda _: None)
    except _UNREADABLE as error:
        unless_hindered(error)
        findings.append(Finding("file", str(error)))
    return Report(events, tuple(findings))


def _head(path: Path, findings: list[Finding]) -> Head | None:
    # Before the events are read, which an engine may go on writing: HEAD is then never the newer one.
    try:
        head = read_head(path)
    except LedgerBroken as broken:
        findings.append(_finding(broken))
        return None
    if head is None:
        findings.append(Finding("HEAD", "the file is missing, so a cut tail cannot be ruled out"))
    return head


def _finding(broken: LedgerBroken) -> Finding:
    return Finding(broken.part, str(broken).removeprefix(f"{broken.part}: "), broken.seq)


def _walk(
    db: sqlite3.Connection, head: Head | None, findings: list[Finding], visit: Callable[[Event], None]
) -> tuple[int, bool]:
    """Good events from the first on, and whether those are all; the moment of the last is then held."""
    last, previous = 0, GENESIS
    try:
        for held in (False, True):
            if held:
                db.execute("BEGIN")
            for event, row in verified_events(db, last, previous):
                visit(event)
                last, previous = event.seq, row[12]
    except LedgerBroken as broken:
        findings.append(_finding(broken))
        return last, False
    try:
        compare_head(db, head)
    except LedgerBroken as broken:
        findings.append(_finding(broken))
    return last, True


class _States:
    """The state as it was after each event, compared with the snapshots taken then."""

    def __init__(self, db: sqlite3.Connection, findings: list[Finding]) -> None:
        self.state = State()
        self._findings = findings
        self._snapshots: dict[int, bytes] = {}
        # Read at once: an engine goes on taking new ones for old.
        db.execute("BEGIN")
        try:
            for seq in snapshot_seqs(db):
                try:
                    self._snapshots[seq] = read_snapshot(db, seq).data
                except SnapshotBad as bad:
                    findings.append(Finding("snapshots", str(bad), seq))
        except sqlite3.DatabaseError as error:
            unless_hindered(error)
            findings.append(Finding("snapshots", f"cannot be read: {error}"))
        finally:
            db.execute("ROLLBACK")

    def add(self, event: Event) -> None:
        fold_verified(self.state, event)
        if event.seq in self._snapshots and self._snapshots.pop(event.seq) != encode_state(self.state):
            text = f"snapshot {event.seq} is not the state its events give"
            self._findings.append(Finding("snapshots", text, event.seq))


def _compare_table(db: sqlite3.Connection, made: sqlite3.Connection, table: str, findings: list[Finding]) -> None:
    ask = f"SELECT * FROM {table} ORDER BY 1, 2"  # noqa: S608  the name is one of ours
    try:
        for stored, right in zip_longest(db.execute(ask), made.execute(ask)):
            if stored != right:
                row = (right or stored)[0]
                findings.append(Finding(table, f"row {row!r} is not what the events give; rebuild the projections"))
                return
    except _UNREADABLE as error:
        unless_hindered(error)
        findings.append(Finding(table, f"cannot be read: {error}; rebuild the projections"))

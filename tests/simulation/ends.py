"""The rows that speak of whole runs: at every restart, and where a run ends (semantics 11: 2, 3, 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing

from engine.core.state import encode_state
from engine.ledger.replay import connect_readonly, verified_events
from engine.ledger.snapshots import read_snapshot, snapshot_seqs
from engine.ledger.verify import verify
from engine.model import event as ev
from tests.simulation.invariants import Broken
from tests.simulation.life import Life
from tests.simulation.witness import Witness, replayed


def judge_restart(witness: Witness, life: Life, acked: Mapping[str, int]) -> None:
    """10: what the new engine finds is what was told, and nothing else; 2: its state is what its events fold to."""
    with closing(connect_readonly(life.path)) as db:
        events = [event for event, _ in verified_events(db)]
    if len(events) < witness.durable:
        raise Broken(10, f"event {witness.durable} was told as durable, the ledger ends at {len(events)}")
    for found, told in zip(events, witness.events, strict=False):
        if found != told:
            raise Broken(10, f"event {found.seq} is {found}, told was {told}")
    if life.found.warnings:
        raise Broken(10, f"a clean restart warns: {life.found.warnings}")
    for request, seq in acked.items():
        if life.found.state.requests.get(request) != seq:
            raise Broken(10, f"request {request} was acknowledged as event {seq} and is not there")
    if encode_state(life.found.state) != replayed(events):
        raise Broken(2, f"the state at event {len(events)}, from snapshot {life.found.snapshot_seq}, is not the replay")
    witness.dropped(len(events))
    witness.committed(len(events), 0)


def judge_start(witness: Witness, life: Life, left: Iterable[str]) -> None:
    """10: nobody knows what became of orders on their way (`left`) when an engine died, until the venue is asked (W7)."""
    orders = life.state.orders
    taken = [name for name in left if name in orders and orders[name].status == "SENT"]
    witness.check(10, not taken, f"{', '.join(taken)} may have left before the start, and is not asked for")


def judge_end(witness: Witness, life: Life, acked: Mapping[str, int]) -> bytes:
    """2: from the first event and from every snapshot, byte for byte; 10: every accepted intent has one outcome. Returns the chain's last hash."""
    live = encode_state(life.keeper.desk.state)
    with closing(connect_readonly(life.path)) as db:
        rows = list(verified_events(db))
        events = [event for event, _ in rows]
        if replayed(events) != live:
            raise Broken(2, f"a replay of all {len(events)} events gives another state")
        for seq in snapshot_seqs(db):
            if replayed(events[seq:], read_snapshot(db, seq).state) != live:
                raise Broken(2, f"a replay from the snapshot at {seq} gives another state")
    if events != witness.events:
        raise Broken(10, f"{len(witness.events)} events were told, {len(events)} are in the ledger")
    taken = {event.request_id: event.seq for event in events if isinstance(event.body, ev.IntentCreated)}
    for request, seq in acked.items():
        if taken.get(request) != seq:
            raise Broken(10, f"request {request} was acknowledged as event {seq} and is not in the ledger")
    for line in witness.books.orders.values():
        if line.live:
            raise Broken(10, f"{line.terms.id} of request {line.terms.request_id} has no outcome")
    return bytes(rows[-1][1][-1])


def judge_file(life: Life) -> None:
    """Chain, HEAD, projections and snapshots of the file that was left."""
    report = verify(life.path)
    if not report.ok:
        raise Broken(2, "; ".join(report.lines))

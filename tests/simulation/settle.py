"""The end of a seed: the faults stop, and everything must come right (semantics 11.2, 11.10)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.model import command as cmd
from engine.model.market import Side
from engine.model.order import OrderType
from engine.views import Mode
from tests.simulation.ends import judge_end, judge_file
from tests.simulation.invariants import Broken
from tests.simulation.life import Life
from tests.simulation.signal_rows import works_on

if TYPE_CHECKING:
    from tests.simulation.world import World

SETTLE_S = 5.0
VERIFIED = 19
"""Every so manieth seed's file is verified whole: chain, HEAD, projections, snapshots. Odd: of both worlds."""
FLAT_S = 60.0
ENTERED_S = 60.0
FLAT_VENUE_S = 400.0
AGREED_S = 300.0
WORKED_S = 400.0
"""A venue that banned us is left alone for as long as it said."""


async def settle(world: World) -> None:
    """The faults stop, time goes on, and everything must come right."""
    world.note("the faults stop")
    _calm(world)
    await world.wait(SETTLE_S)
    life = await _living(world)
    check = world.witness.check
    check(10, life.keeper.mode is Mode.OK, f"the engine stays {life.keeper.mode}: {life.keeper.mode_reason}")
    await _agree(world)
    await _ask(world, cmd.SetKill(request_id="end-kill", on=False))
    await _all_signals_worked(world)
    for account in life.state.accounts:
        await _ask(world, cmd.FlattenAll(request_id=f"end-flat-{account}", account=account))
    await _quiet(world)
    await _ask(world, cmd.Deposit(request_id="end-money", asset="USDT", amount=Decimal(1_000_000)))
    name = world.instrument.id
    side = Side.BUY
    probe = cmd.PlaceOrder(
        request_id="end-probe", instrument=name, side=side, type=OrderType.MARKET, size=Decimal("0.001")
    )
    market = life.keeper.desk.kernel.market(name)
    until = world.loop.time() + ENTERED_S
    while not market.live and world.loop.time() < until:
        await world.wait(0.5)  # a gap of the last moment is still being mended
    await _ask(world, probe)
    while not life.state.positions and world.loop.time() < until:
        await world.wait(0.5)
    check(10, bool(life.state.positions), "an entry does not work although nothing stands in its way any more")
    await _close_by_signal(world, life)
    await _ask(world, cmd.FlattenAll(request_id="end-flat"))
    await _quiet(world)
    await _agree(world)
    await _all_signals_worked(world)
    await life.close()
    await world.wait(0)
    world.last_hash = judge_end(world.witness, life, world.acked)
    if world.plan.seed % VERIFIED == 0:
        judge_file(life)
    await world.wait(0)


async def _all_signals_worked(world: World) -> None:
    """10: every signal has its verdict, waits for a person, or rests in the book as a LIMIT; for a bounded time."""
    senders = world.senders
    if senders is None:
        return
    life = await _living(world)
    until = world.loop.time() + WORKED_S
    while (senders.busy or works_on(world.witness.books, life.state)) and world.loop.time() < until:
        await world.wait(0.5)
    left = works_on(world.witness.books, life.state)
    world.witness.check(10, not left, f"{WORKED_S:.0f} s after the last fault there is no verdict of {left}")
    gone = [signal for signal in senders.heard if signal not in world.witness.books.signals.by_id]
    world.witness.check(10, not gone, f"{gone} was answered as recorded and is not there")
    await world.wait(0)


async def _close_by_signal(world: World, life: Life) -> None:
    """A CLOSE leaves nothing open once there are no faults."""
    senders = world.senders
    if senders is None:
        return
    senders.close("end", world.intake)
    until = world.loop.time() + FLAT_VENUE_S
    while any(p.account == "main" for p in life.state.positions.values()) and world.loop.time() < until:
        await world.wait(0.5)
    left = [f"{p.id} {p.size}" for p in life.state.positions.values() if p.account == "main"]
    world.witness.check(10, not left, f"a CLOSE left {left} open")
    await world.wait(0)


async def _ask(world: World, command: cmd.AnyCommand) -> None:
    world.send(command, -1)
    await world.wait(0.1)


async def _living(world: World) -> Life:
    for _ in range(100):
        if world.life is not None:
            return world.life
        await world.wait(0.1)
    raise Broken(10, "the engine does not come back")


async def _quiet(world: World) -> None:
    """Until nothing is open, for a bounded time."""
    life = await _living(world)
    until = world.loop.time() + (FLAT_VENUE_S if world.plan.venue else FLAT_S)
    while world.loop.time() < until:
        state = life.state
        if not (state.positions or state.orders or state.flattening):
            return
        await world.wait(0.5)
    left = [f"{p.id} {p.size}" for p in life.state.positions.values()]
    left += [f"{o.id} {o.status} {o.remaining}" for o in life.state.orders.values()]
    world.witness.check(10, False, f"nothing comes to rest: {', '.join(left)} {life.state.flattening}")
    await world.wait(0)


async def _agree(world: World) -> None:
    """Until the ledger holds what the exchange holds, for a bounded time (semantics 11.10)."""
    outside = world.outside
    if outside is None:
        return
    life = await _living(world)
    until = world.loop.time() + AGREED_S
    while (text := outside.differs(life.state)) and world.loop.time() < until:
        await world.wait(0.5)
    world.witness.check(10, not text, f"{AGREED_S:.0f} s after the last fault, {text}")
    text = outside.doubled()
    world.witness.check(10, not text, text)
    happened = {code for _, code, _ in life.state.alarms}
    if not happened & {"POSITION_ADJUSTED", "ATTESTED_DIFFERS"} and not world.witness.happened["OrderAttested"]:
        books = world.witness.books
        text = outside.unbooked({line.terms.client_id: line.filled for line in books.orders.values() if line.sent})
        world.witness.check(10, not text, text)
    await world.wait(0)


def _calm(world: World) -> None:
    if world.outside is not None:
        world.outside.faults.stop()
    disk = world.disk
    disk.slow_s, disk.full, disk.behind, disk.doom, disk.dies = 0.0, False, False, "", {}
    if world.feed is not None:
        world.feed.silent.clear()
        world.feed.hold_back = False
        world.feed.snapshot()

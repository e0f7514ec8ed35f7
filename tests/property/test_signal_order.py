"""Whatever signals come in whatever order, with restarts between: one receipt, one verdict, and no order too many (W1 to W7)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.inputs import NotSent
from engine.core.translate import ENTERS
from engine.model import command as cmd
from engine.model import event as ev
from engine.model.account import Execution
from engine.model.order import ENDED, OrderStatus
from engine.model.signal import Opposite, SameSide, SignalAction, SourceMode, WaitsFor
from tests.kit import SECOND, bodies, fill
from tests.signal_kit import Inbox, policy

D = Decimal
policies = st.builds(
    policy,
    mode=st.sampled_from((SourceMode.TRADE, SourceMode.TRADE, SourceMode.APPROVE, SourceMode.LOG, SourceMode.OFF)),
    same_side=st.sampled_from(SameSide),
    opposite=st.sampled_from(Opposite),
    orders_per_hour=st.sampled_from((None, None, 3)),
    retry_s=st.sampled_from(((1, 5), (30, 60))),
)
sends = st.tuples(
    st.just("send"),
    st.integers(1, 9),
    st.sampled_from(SignalAction),
    st.sampled_from(("0.1", "0.3")),
    st.sampled_from((None, None, "59000", "61000")),
    policies,
)
answers = st.tuples(st.sampled_from(("fills", "accepts", "rejects", "not sent", "cancels")), st.integers(0, 5))
others = st.sampled_from(
    (
        ("restart",),
        ("pass", 1),
        ("pass", 20),
        ("pass", 70),
        ("price", "60000"),
        ("price", "60400"),
        ("kill", True),
        ("kill", False),
        ("approve",),
        ("decline",),
    )
)
stories = st.lists(st.one_of(sends, sends, answers, answers, others), max_size=40)
Step = tuple[object, ...]


class Day:
    """A desk at a venue, driven by steps; keeps what was sent under each key first."""

    def __init__(self) -> None:
        self.inbox = Inbox(balance="1000000", execution=Execution.VENUE)
        self.price = "60000"
        self.inbox.reconciled()

    def go(self, step: Step) -> None:
        getattr(self, "_" + str(step[0]).replace(" ", "_"))(*step[1:])

    def _send(self, key: int, action: SignalAction, size: str, price: str | None, rules: object) -> None:
        limit = {} if price is None or action not in ENTERS else {"type": "LIMIT", "price": price}
        self.inbox.signal(action, size, rules, key=f"k{key}", exchange="sim", **limit)  # type: ignore[arg-type]

    def _restart(self) -> None:
        self.inbox.restart()
        self.inbox.reconciled()
        self._price(self.price)

    def _pass(self, seconds: int) -> None:
        for _ in range(seconds):
            self.inbox.wait(SECOND)
            self._price(self.price)

    def _price(self, price: str) -> None:
        self.price = price
        self.inbox.quote(price, str(D(price) + D("0.1")))

    def _kill(self, on: bool) -> None:
        self.inbox.ask(cmd.SetKill, on=on, reason="story")

    def _approve(self) -> None:
        for record in list(self.inbox.state.signals.values()):
            if record.waits is WaitsFor.APPROVAL:
                self.inbox.ask(cmd.ApproveSignal, signal=record.signal.id)

    def _decline(self) -> None:
        for record in list(self.inbox.state.signals.values())[:1]:
            self.inbox.ask(cmd.DeclineSignal, signal=record.signal.id)

    def _answer(self, which: int, status: OrderStatus) -> None:
        live = self.inbox.live()
        if not live:
            return
        order = live[which % len(live)]
        if status is not OrderStatus.FILLED:
            self.inbox.said(order, status, str(order.filled), reason="story")
            return
        most = order.remaining
        if order.terms.reduce_only:
            held = self.inbox.size * -order.terms.side.sign
            most = min(most, max(held, D(0)))
        if most:
            filled = order.filled + most
            ended = OrderStatus.FILLED if filled == order.size else OrderStatus.CANCELLED
            self.inbox.said(order, ended, str(filled), fill(f"f{order.id}", self.price, str(most)))
        else:
            self.inbox.said(order, OrderStatus.REJECTED, reason="nothing to reduce")

    def _fills(self, which: int) -> None:
        self._answer(which, OrderStatus.FILLED)

    def _accepts(self, which: int) -> None:
        self._answer(which, OrderStatus.ACCEPTED)

    def _cancels(self, which: int) -> None:
        self._answer(which, OrderStatus.CANCELLED)

    def _rejects(self, which: int) -> None:
        sent = [n for n, o in enumerate(self.inbox.live()) if o.status in (OrderStatus.SENT, OrderStatus.UNKNOWN)]
        if sent:
            self._answer(sent[which % len(sent)], OrderStatus.REJECTED)

    def _not_sent(self, which: int) -> None:
        sent = [o for o in self.inbox.live() if o.status is OrderStatus.SENT]
        if sent:
            self.inbox.handle(NotSent(self.inbox.now, sent[which % len(sent)].id, "UNREACHABLE", "no route"))

    def settle(self) -> None:
        """The venue answers everything with a fill until nothing is left to answer, and nobody answers the inbox."""
        for _ in range(60):
            while self.inbox.live():
                self._answer(0, OrderStatus.FILLED)
            if not self.inbox.state.signals:
                return
            self._pass(10)


def check(day: Day) -> None:
    """What holds at every moment."""
    inbox = day.inbox
    received = Counter((b.signal.source, b.signal.key) for b in bodies(inbox.events, ev.SignalReceived))
    assert set(received.values()) <= {1}
    verdicts = Counter(b.signal for b in bodies(inbox.events, ev.SignalEnded))
    assert set(verdicts.values()) <= {1}
    ended = {s.signal.id for s in inbox.state.signals_ended.values()}
    assert ended == set(verdicts)
    for record in inbox.state.signals.values():
        assert record.signal.id not in verdicts
    expired = [b for b in bodies(inbox.events, ev.SignalEnded) if b.status == "expired"]
    raised = [b for b in bodies(inbox.events, ev.AlarmRaised) if b.code == "SIGNAL_EXPIRED"]
    assert len(raised) == len(expired), "every expiry is an alarm"


def check_orders(day: Day) -> None:
    """What a signal's orders may be, whatever came between."""
    inbox = day.inbox
    policies = {b.signal.id: (b.signal, b.policy) for b in bodies(inbox.events, ev.SignalReceived)}
    made: dict[str, list[ev.OrderCreated]] = {}
    for body in bodies(inbox.events, ev.OrderCreated):
        if not body.terms.parent:
            made.setdefault(body.terms.request_id.partition("/")[0], []).append(body)
    sent = {b.order for b in bodies(inbox.events, ev.OrderSent)}
    never_left = {b.order for b in bodies(inbox.events, ev.OrderRejected) if b.code == "UNREACHABLE"}
    for name, orders in made.items():
        asked, rules = policies[name]
        entries = [o.terms for o in orders if not o.terms.reduce_only and o.terms.id in sent]
        exits = [o.terms for o in orders if o.terms.reduce_only]
        left = [terms for terms in entries if terms.id not in never_left]
        if rules.mode in (SourceMode.LOG, SourceMode.OFF):
            assert not orders
        if asked.action in ENTERS:
            assert len(left) <= 1, "an entry leaves once"
            assert all(terms.side is ENTERS[asked.action] and terms.size == asked.quantity for terms in entries)
            assert not exits or rules.opposite is Opposite.REVERSE
        else:
            assert not entries, "a close never opens"
    assert len({b.terms.client_id for b in bodies(inbox.events, ev.OrderCreated)}) == inbox.state.orders_made


@settings(max_examples=120, deadline=None)
@given(stories)
def test_each_key_has_one_receipt_and_at_most_one_verdict_and_no_order_too_many(steps: list[Step]) -> None:
    day = Day()
    for step in steps:
        day.go(step)
        check(day)
    check_orders(day)
    assert day.inbox.replayed()


@settings(max_examples=60, deadline=None)
@given(stories)
def test_once_the_venue_answers_every_signal_has_its_verdict(steps: list[Step]) -> None:
    day = Day()
    for step in steps:
        day.go(step)
    day.settle()
    check(day)
    check_orders(day)
    assert not [o for o in day.inbox.live() if o.status not in ENDED]
    assert not day.inbox.state.signals
    assert not day.inbox.desk.kernel.lines
    assert day.inbox.replayed()

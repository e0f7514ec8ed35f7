"""Who may send: addresses, rates, keys, signatures (DESIGN 7, the checks before the schema)."""

from __future__ import annotations

from engine.intake.addresses import counted_as
from engine.intake.alarms import Alarms
from engine.intake.answers import Refused
from engine.intake.keys import signature_fault
from engine.intake.limits import Buckets, Patience, Quarantine, Rate
from engine.intake.sources import Member, Registry, Roster, SourcesError
from engine.intake.walk import Request, Walk
from engine.model.signal import SourceMode

ADDRESS_RATE = Rate(200, 2_000)


class Gate:
    """Lets requests pass or raises Refused; remembers who came too often and who guessed."""

    def __init__(
        self, registry: Registry, alarms: Alarms, address_rate: Rate = ADDRESS_RATE, patience: Patience | None = None
    ) -> None:
        self._registry = registry
        self._alarms = alarms
        self._address_rate = address_rate
        self._by_address = Buckets()
        self._by_source = Buckets()
        self._quarantine = Quarantine(patience)

    def admit(self, address: str, source: str, now_ns: int) -> None:
        """Whether a body from `address`, for `source` where the path names one, is worth reading."""
        if not self._roster(now_ns).may_call(address, source):
            raise Refused("ADDRESS", "this address is not on the list")
        self.slow_down(address, now_ns)

    def slow_down(self, address: str, now_ns: int) -> None:
        """Whether an address is within its rate."""
        wait_s = self._by_address.take(counted_as(address), self._address_rate, now_ns)
        if wait_s:
            raise Refused("RATE", "too many requests from this address; slow down", wait_s)

    def check_registry(self, now_ns: int) -> None:
        """Whether signals can be taken at all."""
        self._roster(now_ns)

    def identify(self, key: object, request: Request, now_ns: int) -> Member:
        """Whose key it is. Strangers learn nothing by the answer."""
        member, named = self._roster(now_ns).verify(key)
        if member is None or request.source not in ("", member.source.name):
            self._wrong(request, named, now_ns)
            raise Refused("BAD_KEY", "the API key is missing, wrong, or not of the source in the path")
        return member

    def authenticate(self, member: Member, request: Request, walk: Walk, now_ns: int, wall_ns: int) -> None:
        """The owner of the key: sent from where it may be, signed where it must be."""
        source = member.source
        if source.addresses and request.address not in member.addresses:
            self._alarms.tell(
                "KEY_ELSEWHERE",
                f"the right key of source {source.name} came from {request.address}, which is not on its list: "
                "if it is not yours, rotate the key",
                now_ns,
            )
            raise Refused("ADDRESS", "this address is not on the source's list")
        walk.passed("secret")
        if source.hmac:
            fault = signature_fault(source.hmac, request.timestamp, request.signature, request.body, wall_ns)
            if fault:
                self._wrong(request, source.name, now_ns)
                raise Refused("BAD_SIGNATURE", fault)
            walk.passed("signature")

    def quarantined(self, now_ns: int) -> dict[str, float]:
        """Every source there is, and for how long its keys are not looked at, seconds; none while the registry is broken."""
        try:
            names = self._registry.roster().members
        except SourcesError:
            return {}
        return {name: self._quarantine.wait_s("", name, now_ns) for name in names}

    def pace(self, member: Member, now_ns: int) -> None:
        """Whether a source is on, and within its rate."""
        source = member.source
        if source.policy.mode is SourceMode.OFF:
            raise Refused("SOURCE_OFF", f"source {source.name} is off; switch it on to be heard")
        wait_s = self._by_source.take(source.name, member.rate, now_ns)
        if wait_s:
            raise Refused("SOURCE_RATE", f"source {source.name} sends more than its rate allows; slow down", wait_s)

    def member(self, name: str, now_ns: int) -> Member:
        """A source that a transport authenticated in its own way."""
        member = self._roster(now_ns).members.get(name)
        if member is None:
            raise Refused("BAD_KEY", f"there is no source {name!r}")
        return member

    def _wrong(self, request: Request, named: str, now_ns: int) -> None:
        """Count a guess. The right key passes all the same: nobody guesses 256 bits, and a CLOSE must not wait for strangers."""
        who = counted_as(request.address)
        wait_s = self._quarantine.wait_s(who, named, now_ns)
        if wait_s:
            raise Refused("QUARANTINED", "too many wrong keys; guesses are not answered for a while", wait_s)
        for shut in self._quarantine.wrong(who, named, now_ns):
            self._alarms.tell(
                "KEY_GUESSING", f"{shut}: too many wrong keys; guesses are not answered for a while", now_ns
            )

    def _roster(self, now_ns: int) -> Roster:
        try:
            return self._registry.roster()
        except SourcesError as error:
            self._alarms.tell("SOURCES", f"no signal is taken: {error}", now_ns)
            raise Refused("SOURCES", "signals are not taken at the moment", 60) from None

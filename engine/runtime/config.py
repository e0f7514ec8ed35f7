"""What an engine is started with."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from engine.core.state import State
from engine.ledger.errors import WrongExecution
from engine.model.account import Execution, RiskLimits

VERSION = "0.1.0"
VENUES = {Execution.PAPER: "paper", Execution.VENUE: "rehearsal"}
"""The venue of an account, by who carries out its orders."""


class StartError(RuntimeError):
    """The engine cannot start; the message says why and what to do."""


class IntakeConfig(Struct, frozen=True, kw_only=True):
    """How signals come in: by a listener, by a mailbox, by both."""

    home: Path
    """Where sources.json lies."""
    webhook: str = ""
    """Where the listener listens, like 127.0.0.1:8787; empty for none."""
    proxies: tuple[str, ...] = ()
    """Addresses, networks of the proxies whose X-Forwarded-For is believed."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    address_rate: float = 100.0
    """Requests a second of one address on the long run; ten times as many at once."""
    mail: str = ""
    """A mailbox, like imaps://user@host/INBOX; empty for none."""
    mail_password_file: Path | None = None
    mail_authserv: str = ""
    """What the receiving mail server calls itself in Authentication-Results."""


class EngineConfig(Struct, frozen=True, kw_only=True):
    """One engine. `feed` as engine.feeds.factory takes it; `speed` 0 plays a recording as fast as it goes."""

    env: str
    feed: str
    symbols: tuple[str, ...] = ()
    ledger: Path
    socket: Path | None = None
    """None serves nobody: the engine is used in-process."""
    record: Path | None = None
    seed: int = 1
    rate: float = 50.0
    speed: float = 1.0
    volatility: float = 1.0
    start_balance: Decimal = Decimal(10_000)
    asset: str = "USDT"
    limits: RiskLimits = RiskLimits()
    latency_ns: int = 5_000_000
    """Median time of a paper order to the book."""
    rehearse: bool = False
    """Orders are carried out by an exchange simulated in this process, over a bad line, instead of on paper."""
    intake: IntakeConfig | None = None
    """None takes no signals."""

    @property
    def execution(self) -> Execution:
        """Who carries out the orders of the account it opens."""
        return Execution.VENUE if self.rehearse else Execution.PAPER


def check_execution(config: EngineConfig, state: State) -> None:
    """Raises WrongExecution where an account's orders go another way."""
    if any(account.execution is not config.execution for account in state.accounts.values()):
        raise WrongExecution(config.ledger.name, rehearses=not config.rehearse)

"""Settings. Later wins: defaults < hoox.toml < .env < environment (HOOX_*) < flags; every value knows where it came from.

No validation library: the desk starts its engine as soon as it has read these, and the import alone would take longer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, NamedTuple, get_type_hints

from msgspec import Struct
from platformdirs import user_data_path

from hoox_tui import takes
from hoox_tui.takes import Takes

PREFIX = "HOOX_"
TOML = "hoox.toml"
DOTENV = ".env"
SIMULATED = "simulated"
LIVE_FEEDS = ("backpack", "binance")
LATER_FEEDS = ("bybit", "mexc", "hyperliquid")
THEMES = ("hoox-dark", "hoox-light", "hoox-cb", "ansi-dark")


class SettingsError(ValueError):
    """One line per thing that is wrong: where it was set, what it is, what it should be."""


class Risk(Struct, frozen=True, kw_only=True):
    """Pre-trade limits in the settle asset; `off` switches one off."""

    max_order_notional: Annotated[
        Decimal | None, Takes(takes.limit, "largest value of one order, above 0, at most 10^12, or off")
    ] = Decimal(1_000_000)
    max_position_notional: Annotated[
        Decimal | None, Takes(takes.limit, "largest value of one position, above 0, at most 10^12, or off")
    ] = Decimal(5_000_000)
    max_open_orders: Annotated[int, Takes(takes.whole(1), "a whole number from 1 to 10^12")] = 2_000_000
    price_band: Annotated[
        Decimal | None,
        Takes(takes.limit, "how far a limit price may lie beyond the market, a fraction above 0, or off"),
    ] = Decimal("0.2")
    max_data_age_ms: Annotated[int, Takes(takes.whole(1), "oldest price an entry may use, 1 to 10^12 milliseconds")] = (
        5_000
    )
    daily_loss: Annotated[
        Decimal | None, Takes(takes.limit, "loss of a day that stops entries, above 0, at most 10^12, or off")
    ] = None


class Settings(Struct, frozen=True, kw_only=True):
    """What a person may set. Empty `feed`, `symbols` and `ledger` are chosen by `env`."""

    home: Annotated[Path, Takes(takes.folder, "a folder of yours for ledgers, logs and recordings")]
    env: Annotated[str, Takes(takes.one_of("sim", "paper", "live"), "sim, paper or live")] = "sim"
    feed: Annotated[str, Takes(takes.text, "simulated, recording:FILE, backpack or binance")] = ""
    symbols: Annotated[tuple[str, ...], Takes(takes.words, "symbols with commas between, e.g. BTCUSDT,ETHUSDT")] = ()
    ledger: Annotated[Path | None, Takes(takes.file, "a file; one engine at a time holds it")] = None
    record: Annotated[Path | None, Takes(takes.file, "a file for what the feed says")] = None
    seed: Annotated[
        int, Takes(takes.whole(0), "a whole number from 0 to 10^12; the same seed gives the same simulated market")
    ] = 1
    rate: Annotated[float, Takes(takes.number(1, 5_000), "simulated quotes a second and symbol, 1 to 5000")] = 50.0
    speed: Annotated[float, Takes(takes.speed, "how fast a recording plays, e.g. 1 or 10, or max")] = 1.0
    start_balance: Annotated[
        Decimal, Takes(takes.balance, "paper money of a new ledger, above 0, at most 10^12, to 8 places")
    ] = Decimal(10_000)
    asset: Annotated[str, Takes(takes.some_text, "the asset of the paper money")] = "USDT"
    latency_ms: Annotated[
        float, Takes(takes.number(0, 60_000), "how long a paper order travels, 0 to 60000 milliseconds")
    ] = 5.0
    rehearse: Annotated[
        bool, Takes(takes.yes_or_no, "yes or no; orders go over a bad line to a simulated exchange")
    ] = False
    webhook: Annotated[str, Takes(takes.address, "where signals are taken, like 127.0.0.1:8787, or off")] = ""
    webhook_proxies: Annotated[
        tuple[str, ...], Takes(takes.listed, "addresses and networks of the proxies in front, with commas between")
    ] = ()
    webhook_tls_cert: Annotated[Path | None, Takes(takes.file, "a PEM file: the listener's certificate")] = None
    webhook_tls_key: Annotated[Path | None, Takes(takes.file, "a PEM file: the certificate's key")] = None
    webhook_rate: Annotated[float, Takes(takes.number(1, 100_000), "requests a second of one address, 1 to 100000")] = (
        100.0
    )
    behind_proxy: Annotated[bool, Takes(takes.yes_or_no, "yes or no; a proxy in front of the listener speaks TLS")] = (
        False
    )
    mail: Annotated[
        str, Takes(takes.text, "a mailbox for signals, like imaps://user@host/INBOX, without the password")
    ] = ""
    mail_password_file: Annotated[
        Path | None, Takes(takes.file, "a file with the mailbox's password, only yours to read")
    ] = None
    mail_authserv: Annotated[str, Takes(takes.text, "the mail server's name in Authentication-Results")] = ""
    theme: Annotated[str, Takes(takes.one_of(*THEMES), "hoox-dark, hoox-light, hoox-cb or ansi-dark")] = "hoox-dark"
    risk: Risk = Risk()

    @property
    def feed_name(self) -> str:
        """The feed, chosen by env when none was; a recording's file made absolute."""
        if not self.feed:
            return SIMULATED if self.env == "sim" else "binance"
        name, colon, file = self.feed.partition(":")
        return f"{name}:{Path(file).expanduser().absolute()}" if colon and file else self.feed

    @property
    def ledger_path(self) -> Path:
        """The ledger's file: the chosen one, else one for each environment, each recording, and rehearsals."""
        if self.ledger is not None:
            return self.ledger
        name, _, file = self.feed_name.partition(":")
        if name == "recording":
            return (
                self.home
                / f"recording-{Path(file).name.partition('.')[0]}-{blake2b(file.encode(), digest_size=4).hexdigest()}.sqlite"
            )
        return self.home / ("rehearse.sqlite" if self.rehearse else f"{self.env}.sqlite")

    @property
    def ledger_flag(self) -> str:
        """What a command must be told to mean this ledger: empty where it would by itself."""
        path = self.ledger_path
        if path == self.home / "sim.sqlite":
            return ""
        return f"--env {self.env}" if path == self.home / f"{self.env}.sqlite" else f"--ledger {quote(str(path))}"

    def make_home(self) -> None:
        """Make the data folder where there is none; raises SettingsError."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = f"home: {self.home} cannot be made ({error.strerror}); set HOOX_HOME to a folder of yours"
            raise SettingsError(reason) from None

    @property
    def logs(self) -> Path:
        """Folder of the engines' output."""
        return self.home / "logs"


def _settings() -> Iterator[tuple[str, Takes]]:
    for group, kind in (("", Settings), ("risk.", Risk)):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            yield from ((f"{group}{name}", taken) for taken in getattr(hint, "__metadata__", ()))


SETTINGS = dict(_settings())
"""Every setting by its key, in order; limits are `risk.name`."""


class Value(NamedTuple):
    """One setting as it will be used, and where it came from."""

    key: str
    value: str
    source: str


class Loaded(NamedTuple):
    """The settings, and the source of every value that is not a default."""

    settings: Settings
    sources: dict[str, str]

    def values(self) -> list[Value]:
        """Every setting, in order, risk limits as `risk.name`."""
        return [Value(key, _shown(self.settings, key), self.sources.get(key, "default")) for key in SETTINGS]


def load(flags: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Loaded:
    """Settings from all layers; `flags` that are None were not given. `folder` is searched for hoox.toml and .env.

    hoox.toml is looked for in the working folder, then in HOOX_HOME. Raises SettingsError naming everything that is wrong.
    """
    environ = os.environ if environ is None else environ
    folder = folder or Path.cwd()
    dotenv = _dotenv(folder / DOTENV)
    home = Path(environ.get(f"{PREFIX}HOME") or dotenv.get(f"{PREFIX}HOME") or user_data_path("hoox")).expanduser()
    toml = next((path for path in (folder / TOML, home / TOML) if path.is_file()), None)
    layers = [
        (str(toml), _flat(_toml(toml))),
        (DOTENV, _prefixed(dotenv)),
        ("environment", _prefixed(environ)),
        ("flag", _flat({key: value for key, value in flags.items() if value is not None})),
    ]
    given: dict[str, Any] = {"home": home}
    sources: dict[str, str] = {}
    problems: list[str] = []
    for source, layer in layers:
        problems += _unknown(source, layer)
        given |= layer
        sources |= dict.fromkeys(layer, source)
    if problems:
        raise SettingsError("\n".join(problems))
    settings = _read(given, sources)
    for problem in _disagreements(settings):
        raise SettingsError(problem)
    return Loaded(settings, sources)


def _read(given: Mapping[str, Any], sources: Mapping[str, str]) -> Settings:
    values: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given.items():
        group, _, name = key.rpartition(".")
        setting = SETTINGS[key]
        try:
            (limits if group else values)[name] = setting.read(value)
        except (ValueError, TypeError, ArithmeticError, RuntimeError):
            source = sources.get(key, "default")
            problems.append(f"{source}: {spelled(source, key)} is {value!r}; it takes {setting.text}")
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**values, risk=Risk(**limits))


def _disagreements(settings: Settings) -> Iterator[str]:
    """What cannot be had, or not together; the first says enough."""
    if settings.env == "live":
        yield "env live is not built yet: orders cannot reach a venue. Choose --env sim or --env paper"
    name, _, file = settings.feed_name.partition(":")
    known = (SIMULATED, "recording", *LIVE_FEEDS)
    if name in LATER_FEEDS:
        yield f"feed {name} is not built yet: choose {', '.join(LIVE_FEEDS)}, recording:FILE or simulated"
    if name not in known:
        yield f"feed is {settings.feed!r}{_meant(name, known)}; choose simulated, recording:FILE, {' or '.join(LIVE_FEEDS)}"
    if name == "recording" and not file:
        yield "feed recording names no file: write recording:FILE"
    if settings.env == "sim" and name != SIMULATED:
        yield f"env sim has its own simulated prices; for feed {settings.feed} add --env paper"
    if settings.rehearse and settings.env != "sim":
        yield f"rehearse needs the simulated market, env is {settings.env}: leave --rehearse out, or choose --env sim"
    if settings.env == "paper" and name == SIMULATED:
        yield "env paper trades on real prices; for simulated ones choose --env sim"


def _toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from io import StringIO

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    # A line that cannot be read would leave out what it sets, a limit perhaps; what else a folder's .env holds is not ours.
    read = parse_stream(StringIO(text))
    wrong = [part.original.line for part in read if part.error and PREFIX in part.original.string]
    if wrong:
        raise SettingsError("\n".join(f"{path}: line {line} is not NAME=value" for line in wrong))
    return {key: value or "" for key, value in dotenv_values(stream=StringIO(text)).items()}


def _prefixed(environ: Mapping[str, str]) -> dict[str, Any]:
    """HOOX_ENV -> env, HOOX_RISK__DAILY_LOSS -> risk.daily_loss; empty means not set."""
    return {
        name.removeprefix(PREFIX).lower().replace("__", "."): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value.strip()
    }


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table's values as `table.name`."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _unknown(source: str, layer: Mapping[str, Any]) -> Iterator[str]:
    for key in [key for key in layer if key not in SETTINGS]:
        group, dot, name = key.rpartition(".")
        near = [known.removeprefix(group + dot) for known in SETTINGS if known.startswith(group + dot)]
        yield f"{source}: {spelled(source, key)} is not a setting{_meant(name, near)}; hoox config print lists them"


def _meant(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def spelled(source: str, key: str) -> str:
    """A setting as it is written where it was given: HOOX_SEED, --seed, seed."""
    return (
        PREFIX + key.replace(".", "__").upper()
        if source in (DOTENV, "environment")
        else f"--{key}"
        if source == "flag"
        else key
    )


def _shown(settings: Settings, key: str) -> str:
    chosen = {"feed": settings.feed_name, "ledger": settings.ledger_path}
    group, _, name = key.rpartition(".")
    if group:
        limit = getattr(settings.risk, name)
        return "off" if limit is None else str(limit)
    value = chosen.get(key, getattr(settings, key))
    if value is None:
        return ""
    if key == "webhook":
        return settings.webhook or "off"
    return ",".join(value) if isinstance(value, tuple) else str(value)

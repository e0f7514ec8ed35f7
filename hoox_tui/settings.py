"""Settings. Later wins: defaults < hoox.toml < .env < environment (HOOX_*) < flags; every value knows where it came from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

PREFIX = "HOOX_"
TOML = "hoox.toml"
DOTENV = ".env"
SIMULATED = "simulated"
LIVE_FEEDS = ("backpack", "binance")
LATER_FEEDS = ("bybit", "mexc", "hyperliquid")


class SettingsError(ValueError):
    """One line per thing that is wrong: where it was set, what it is, what it should be."""


def _words(value: object) -> object:
    return tuple(word.strip().upper() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _off(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


def _fastest(value: object) -> object:
    return 0.0 if isinstance(value, str) and value.strip().lower() == "max" else value


def _expanded(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str | Path) and str(value) else None


Limit = Annotated[Annotated[Decimal, Field(gt=0)] | None, BeforeValidator(_off)]
File = Annotated[Path | None, BeforeValidator(_expanded)]


class Risk(BaseModel):
    """Pre-trade limits in the settle asset; `off` switches one off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_order_notional: Limit = Field(
        default=Decimal(1_000_000), description="largest value of one order, above 0, or off"
    )
    max_position_notional: Limit = Field(
        default=Decimal(5_000_000), description="largest value of one position, above 0, or off"
    )
    max_open_orders: int = Field(default=2_000_000, gt=0, description="a whole number above 0")
    price_band: Limit = Field(
        default=Decimal("0.2"), description="how far a limit price may lie beyond the market, as a fraction, or off"
    )
    max_data_age_ms: int = Field(default=5_000, gt=0, description="oldest price an entry may use, milliseconds above 0")
    daily_loss: Limit = Field(default=None, description="loss of a day that stops entries, above 0, or off")


class Settings(BaseModel):
    """What a person may set. Empty `feed`, `symbols` and `ledger` are chosen by `env`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Annotated[Path, BeforeValidator(_expanded)] = Field(
        default_factory=lambda: user_data_path("hoox"), description="a folder of yours for ledgers, logs and recordings"
    )
    env: Literal["sim", "paper", "live"] = Field(default="sim", description="sim, paper or live")
    feed: str = Field(default="", description="simulated, recording:FILE, backpack or binance")
    symbols: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        default=(), description="symbols with commas between, e.g. BTCUSDT,ETHUSDT"
    )
    ledger: File = Field(default=None, description="a file; one engine at a time holds it")
    record: File = Field(default=None, description="a file for what the feed says")
    seed: int = Field(default=1, ge=0, description="a whole number; the same seed gives the same simulated market")
    rate: float = Field(default=50.0, ge=1, le=5_000, description="simulated quotes a second and symbol, 1 to 5000")
    speed: Annotated[float, BeforeValidator(_fastest)] = Field(
        default=1.0, ge=0, description="how fast a recording plays, e.g. 1 or 10, or max"
    )
    start_balance: Decimal = Field(default=Decimal(10_000), gt=0, description="paper money of a new ledger, above 0")
    asset: str = Field(default="USDT", min_length=1, description="the asset of the paper money")
    latency_ms: float = Field(default=5.0, ge=0, le=60_000, description="how long a paper order travels, milliseconds")
    theme: str = Field(default="hoox-dark", description="hoox-dark, hoox-light, hoox-cb or ansi-dark")
    risk: Risk = Field(default_factory=Risk, description="a table of limits")

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.env == "live":
            raise ValueError("env live is not built yet: orders cannot reach a venue. Choose --env sim or --env paper")
        name, _, file = self.feed_name.partition(":")
        if name in LATER_FEEDS:
            raise ValueError(
                f"feed {name} is not built yet: choose {', '.join(LIVE_FEEDS)}, recording:FILE or simulated"
            )
        if name not in (SIMULATED, "recording", *LIVE_FEEDS):
            raise ValueError(
                f"feed is {self.feed!r}{_meant(name, (SIMULATED, 'recording', *LIVE_FEEDS))}; choose simulated, recording:FILE, {' or '.join(LIVE_FEEDS)}"
            )
        if name == "recording" and not file:
            raise ValueError("feed recording names no file: write recording:FILE")
        if self.env == "sim" and name != SIMULATED:
            raise ValueError(f"env sim has its own simulated prices; for feed {self.feed} add --env paper")
        if self.env == "paper" and name == SIMULATED:
            raise ValueError("env paper trades on real prices; for simulated ones choose --env sim")
        return self

    @property
    def feed_name(self) -> str:
        """The feed, chosen by env when none was; a recording's file made absolute."""
        if not self.feed:
            return SIMULATED if self.env == "sim" else "binance"
        name, colon, file = self.feed.partition(":")
        return f"{name}:{Path(file).expanduser().absolute()}" if colon and file else self.feed

    @property
    def ledger_path(self) -> Path:
        """The ledger's file: the chosen one, else one for each environment and each recording."""
        if self.ledger is not None:
            return self.ledger
        name, _, file = self.feed_name.partition(":")
        if name == "recording":
            return (
                self.home
                / f"recording-{Path(file).name.partition('.')[0]}-{blake2b(file.encode(), digest_size=4).hexdigest()}.sqlite"
            )
        return self.home / f"{self.env}.sqlite"

    @property
    def logs(self) -> Path:
        """Folder of the engines' output."""
        return self.home / "logs"


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
        return [Value(key, value, self.sources.get(key, "default")) for key, value in _flat(self.settings)]


def load(flags: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Loaded:
    """Settings from all layers; `flags` that are None were not given. `folder` is searched for hoox.toml and .env.

    hoox.toml is looked for in the working folder, then in HOOX_HOME. Raises SettingsError naming everything that is wrong.
    """
    environ = os.environ if environ is None else environ
    folder = folder or Path.cwd()
    dotenv = {key: value or "" for key, value in dotenv_values(folder / DOTENV).items()}
    home = Path(environ.get(f"{PREFIX}HOME") or dotenv.get(f"{PREFIX}HOME") or user_data_path("hoox")).expanduser()
    toml = next((path for path in (folder / TOML, home / TOML) if path.is_file()), None)
    layers = [
        (str(toml), _toml(toml)),
        (DOTENV, _prefixed(dotenv)),
        ("environment", _prefixed(environ)),
        ("flag", {key: value for key, value in flags.items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: list[str] = []
    for source, layer in layers:
        problems += _unknown(source, layer)
        for key, value in layer.items():
            if key == "risk" and isinstance(value, dict):
                merged["risk"] = {**merged.get("risk", {}), **value}
                sources |= {f"risk.{name}": source for name in value}
            else:
                merged[key] = value
                sources[key] = source
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        return Loaded(Settings.model_validate(merged), sources)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error, sources))) from None


def _toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _prefixed(environ: Mapping[str, str]) -> dict[str, Any]:
    """HOOX_ENV -> env, HOOX_RISK__DAILY_LOSS -> risk.daily_loss; empty means not set."""
    layer: dict[str, Any] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and value.strip():
            group, _, key = name.removeprefix(PREFIX).lower().partition("__")
            if key:
                layer.setdefault(group, {})[key] = value
            else:
                layer[group] = value
    return layer


def _unknown(source: str, layer: Mapping[str, Any]) -> Iterator[str]:
    for key, value in layer.items():
        if key not in Settings.model_fields:
            yield f"{source}: {_spelled(source, key)} is not a setting{_meant(key, Settings.model_fields)}; hoox config print lists them"
        elif key == "risk" and isinstance(value, dict):
            for name in value.keys() - Risk.model_fields.keys():
                yield f"{source}: {_spelled(source, f'risk.{name}')} is not a setting{_meant(name, Risk.model_fields)}; hoox config print lists them"


def _meant(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _spelled(source: str, key: str) -> str:
    return (
        PREFIX + key.replace(".", "__").upper()
        if source in (DOTENV, "environment")
        else f"--{key}"
        if source == "flag"
        else key
    )


def _explain(error: ValidationError, sources: Mapping[str, str]) -> Iterator[str]:
    for item in error.errors():
        path = [
            str(part) for part in item["loc"] if str(part) in Settings.model_fields or str(part) in Risk.model_fields
        ]
        if not path:
            yield str(item["ctx"]["error"]) if "ctx" in item else item["msg"]
            continue
        key = ".".join(path)
        field = (Risk if len(path) > 1 else Settings).model_fields[path[-1]]
        source = sources.get(key, "default")
        yield f"{source}: {_spelled(source, key)} is {item['input']!r}: {item['msg'].lower()}; it takes {field.description}"


def _flat(settings: Settings) -> Iterator[tuple[str, str]]:
    shown = {"feed": settings.feed_name, "ledger": settings.ledger_path}
    for key, value in settings:
        if isinstance(value, Risk):
            yield from ((f"{key}.{name}", "off" if limit is None else f"{limit}") for name, limit in value)
        else:
            yield key, _text(shown.get(key, value))


def _text(value: object) -> str:
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)

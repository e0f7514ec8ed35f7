"""Settings: later layers win, every value knows its source, and every mistake is named with its remedy."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.model.account import RiskLimits
from hoox_tui.settings import Loaded, SettingsError, load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


class Layers:
    """Writes settings into their places and loads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"HOOX_HOME": str(folder.parent / "home")}

    def load(self, toml: str = "", dotenv: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Loaded:
        if toml:
            (self.folder / "hoox.toml").write_text(toml)
        if dotenv:
            (self.folder / ".env").write_text(dotenv)
        return load(flags, environ=self.environ | (environ or {}), folder=self.folder)

    def error(self, **layers: Any) -> str:
        with pytest.raises(SettingsError) as caught:
            self.load(**layers)
        return str(caught.value)


@pytest.fixture
def layers(folder: Path) -> Layers:
    return Layers(folder)


class TestPrecedence:
    def test_defaults_are_a_simulated_desk(self, layers: Layers) -> None:
        loaded = layers.load()
        settings = loaded.settings
        assert (settings.env, settings.feed_name, settings.start_balance) == ("sim", "simulated", Decimal(10_000))
        assert settings.ledger_path == settings.home / "sim.sqlite"
        assert {value.source for value in loaded.values() if value.key != "home"} == {"default"}

    def test_later_layers_win_and_the_source_is_known(self, layers: Layers) -> None:
        seeds: list[tuple[int, str]] = []
        for given in (
            {"toml": "seed = 2"},
            {"dotenv": "HOOX_SEED=3"},
            {"environ": {"HOOX_SEED": "4"}},
            {"environ": {"HOOX_SEED": "4"}, "seed": 5},
        ):
            loaded = layers.load(**given)
            seeds.append((loaded.settings.seed, Path(loaded.sources["seed"]).name))
        assert seeds == [(2, "hoox.toml"), (3, ".env"), (4, "environment"), (5, "flag")]

    def test_risk_limits_are_merged_one_by_one(self, layers: Layers) -> None:
        loaded = layers.load(
            toml="[risk]\ndaily_loss = 100\nmax_open_orders = 5", environ={"HOOX_RISK__DAILY_LOSS": "off"}
        )
        assert loaded.settings.risk.daily_loss is None
        assert loaded.settings.risk.max_open_orders == 5
        assert {value.key: value.source for value in loaded.values()}["risk.daily_loss"] == "environment"

    def test_a_flag_that_was_not_given_and_an_empty_variable_change_nothing(self, layers: Layers) -> None:
        assert layers.load(environ={"HOOX_SEED": ""}, seed=None).settings.seed == 1

    def test_hoox_toml_in_the_home_folder_counts_where_the_working_folder_has_none(self, layers: Layers) -> None:
        home = Path(layers.environ["HOOX_HOME"])
        home.mkdir()
        (home / "hoox.toml").write_text("seed = 8")
        assert layers.load().settings.seed == 8
        assert layers.load(toml="seed = 9").settings.seed == 9


def test_the_default_limits_are_the_engines_own(layers: Layers) -> None:
    settings, limits = layers.load().settings.risk, RiskLimits()
    for name in ("max_order_notional", "max_position_notional", "max_open_orders", "price_band", "daily_loss"):
        assert getattr(settings, name) == getattr(limits, name)
    assert settings.max_data_age_ms * 1_000_000 == limits.max_data_age_ns


class TestLedger:
    def test_each_environment_and_each_recording_has_its_own(self, layers: Layers) -> None:
        paths = [
            layers.load(env=env, feed=feed).settings.ledger_path
            for env, feed in (
                ("sim", ""),
                ("paper", "binance"),
                ("paper", "recording:a.gz"),
                ("paper", "recording:b.gz"),
            )
        ]
        assert len(set(paths)) == 4
        assert [path.name for path in paths[:2]] == ["sim.sqlite", "paper.sqlite"]
        assert paths[2].name.startswith("recording-a-")

    def test_a_rehearsal_never_touches_the_paper_ledger(self, layers: Layers) -> None:
        said = ({"rehearse": True}, {"environ": {"HOOX_REHEARSE": "yes"}}, {"toml": "rehearse = true"})
        assert [layers.load(**given).settings.ledger_path.name for given in said] == ["rehearse.sqlite"] * 3

    def test_a_chosen_file_is_used(self, layers: Layers, tmp_path: Path) -> None:
        assert layers.load(ledger=str(tmp_path / "x.sqlite")).settings.ledger_path == tmp_path / "x.sqlite"

    def test_a_command_elsewhere_is_told_which_it_is_where_it_would_not_take_it_by_itself(
        self, layers: Layers, tmp_path: Path
    ) -> None:
        assert layers.load().settings.ledger_flag == ""
        assert layers.load(env="paper", feed="binance").settings.ledger_flag == "--env paper"
        assert layers.load(ledger=str(tmp_path / "my day.sqlite")).settings.ledger_flag == (
            f"--ledger '{tmp_path}/my day.sqlite'"
        )
        of_recording = layers.load(env="paper", feed="recording:a.gz").settings
        assert of_recording.ledger_flag == f"--ledger {of_recording.ledger_path}"


class TestMistakes:
    def test_unknown_keys_are_errors_with_a_suggestion(self, layers: Layers) -> None:
        said = layers.error(toml="sede = 1\n[risk]\ndaly_loss = 1", environ={"HOOX_SYMBOL": "BTCUSDT"})
        assert "sede is not a setting; did you mean seed?" in said
        assert "risk.daly_loss is not a setting; did you mean daily_loss?" in said
        assert "environment: HOOX_SYMBOL is not a setting; did you mean symbols?" in said

    def test_a_wrong_value_is_named_with_its_place_and_what_it_takes(self, layers: Layers) -> None:
        said = layers.error(environ={"HOOX_RATE": "fast"}, seed=-1)
        assert "environment: HOOX_RATE is 'fast'" in said
        assert "1 to 5000" in said
        assert "flag: --seed is -1" in said

    @pytest.mark.parametrize(
        ("key", "value", "takes"),
        [
            ("rate", "nan", "1 to 5000"),
            ("rehearse", "maybe", "yes or no"),
            ("rate", "5001", "1 to 5000"),
            ("speed", "inf", "or max"),
            ("start_balance", "0", "above 0"),
            ("start_balance", "Infinity", "above 0"),
            ("start_balance", "1e999999", "at most 10^12"),
            ("start_balance", "0.000000001", "8 places"),
            ("seed", "1.5", "a whole number"),
            ("seed", "-1", "from 0"),
            ("seed", "9" * 30, "to 10^12"),
            ("latency_ms", "60001", "0 to 60000"),
            ("webhook_rate", "100001", "1 to 100000"),
            ("asset", "", "the asset"),
            ("env", "demo", "sim, paper or live"),
            ("symbols", 5, "commas between"),
            ("ledger", "~nobody-of-that-name/x.sqlite", "a file"),
        ],
    )
    def test_a_value_out_of_range_is_refused(self, layers: Layers, key: str, value: object, takes: str) -> None:
        said = layers.error(**{key: value})
        assert f"flag: --{key} is {value!r}; it takes " in said
        assert takes in said

    @pytest.mark.parametrize("limit", ["max_open_orders", "max_data_age_ms", "max_order_notional", "daily_loss"])
    def test_a_limit_that_could_not_be_computed_with_is_refused(self, layers: Layers, limit: str) -> None:
        assert "to 10^12" in layers.error(toml=f"[risk]\n{limit} = 1{'0' * 30}").replace("at most", "to")

    def test_everything_that_is_wrong_is_said_at_once(self, layers: Layers) -> None:
        said = layers.error(
            toml="seed = true\nsymbols = [1]\n[risk]\nprice_band = -1", dotenv="HOOX_RISK__DAILY_LOSS=x"
        )
        assert [line.partition(": ")[2].partition(" is ")[0] for line in said.splitlines()] == [
            "seed",
            "symbols",
            "risk.price_band",
            "HOOX_RISK__DAILY_LOSS",
        ]

    def test_broken_toml_says_where(self, layers: Layers) -> None:
        assert "line 1" in layers.error(toml="seed = \nrate = 5")

    def test_a_line_of_dotenv_that_cannot_be_read_is_refused_so_that_no_limit_is_left_out(self, layers: Layers) -> None:
        said = layers.error(dotenv='HOOX_SEED=4\nHOOX_RISK__DAILY_LOSS="500\n')
        assert said == f"{layers.folder / '.env'}: line 2 is not NAME=value"
        assert layers.load(dotenv="what another program reads\nHOOX_SEED=4").settings.seed == 4

    @pytest.mark.parametrize("name", [".env", "hoox.toml"])
    def test_a_file_that_is_no_text_is_refused(self, layers: Layers, name: str) -> None:
        (layers.folder / name).write_bytes(b"HOOX_SEED=4 \xff")
        said = layers.error()
        assert str(layers.folder / name) in said
        assert "not" in said

    @pytest.mark.parametrize(
        ("flags", "remedy"),
        [
            ({"env": "live"}, "not built yet"),
            ({"env": "paper", "rehearse": True}, "rehearse needs the simulated market"),
            ({"env": "paper", "feed": "mexc"}, "choose backpack, binance"),
            ({"env": "sim", "feed": "binance"}, "add --env paper"),
            ({"env": "paper", "feed": "simulated"}, "choose --env sim"),
            ({"env": "paper", "feed": "recording"}, "recording:FILE"),
            ({"env": "paper", "feed": "binanse"}, "did you mean binance?"),
        ],
    )
    def test_what_does_not_go_together_is_refused_with_the_remedy(
        self, layers: Layers, flags: dict[str, Any], remedy: str
    ) -> None:
        assert remedy in layers.error(**flags)

"""API keys, signatures, the registry of sources and what `hoox source` does with it."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.intake import enroll
from engine.intake.keys import holds_key, masked, matches, new_key, signature, signature_fault, split
from engine.intake.schema import read_draft
from engine.intake.sources import Registry, Source, SourcesError, needs_attention, read, write
from engine.intake.text import read_object
from engine.model.signal import Policy, SignalAction, SourceMode

NOW = 1_769_860_800 * 1_000_000_000


def enrolled(home: Path, source: Source) -> enroll.Enrolled:
    return enroll.add(home, source, base_url="http://127.0.0.1:8787", now_ns=NOW)


def registry_text(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sources.json"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_key_has_256_random_bits_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    key = new_key(NOW)
    name, secret = split(key.text) or ("", "")
    assert key.text == f"hx_{name}_{secret}"
    assert len(bytes.fromhex(secret)) == 32
    assert matches(secret, key.kept)
    assert not matches(secret[::-1], key.kept)
    assert not matches(secret, None)
    added = enrolled(tmp_path, Source("tv"))
    assert (split(added.api_key) or ("", ""))[1] not in (tmp_path / "sources.json").read_text()


@pytest.mark.parametrize(
    "text", ["", "hx_", "hx_0_0", "hx_00000000_" + "g" * 64, "hx_00000000_" + "0" * 64 + "\n", 5, None]
)
def test_what_has_not_the_form_of_a_key_is_none(text: object) -> None:
    assert split(text) is None


def test_masks_hide_whole_broken_and_bare_secrets_and_leave_the_rest() -> None:
    key = new_key(NOW).text
    for shown in (key, key[:-1], key + "x", key.upper().replace("HX", "hx"), key[12:], f'{{"apiKey":"{key}","a":1}}'):
        assert key[12:60].lower() not in masked(shown).lower()
        assert holds_key(shown) == ("hx_" in shown)
    assert masked(f'{{"apiKey":"{key}","a":1}}') == f'{{"apiKey":"{key[:12]}***","a":1}}'
    plain = "bar-2026-01-31 123e4567e89b12d3a456426614174000 hx BTCUSDT"
    assert masked(plain) == plain


def test_a_signature_holds_for_its_body_and_time_only() -> None:
    at = str(NOW // 1_000_000_000)
    signed = signature("s" * 64, at, b"{}")
    assert signature_fault("s" * 64, at, signed, b"{}", NOW) == ""
    assert signature_fault("s" * 64, at, f"sha256={signed}", b"{}", NOW) == ""
    for fault in (
        signature_fault("s" * 64, at, signed, b"{ }", NOW),
        signature_fault("t" * 64, at, signed, b"{}", NOW),
        signature_fault("s" * 64, at + "0", signed, b"{}", NOW),
        signature_fault("s" * 64, at, "", b"{}", NOW),
        signature_fault("s" * 64, "", signed, b"{}", NOW),
        signature_fault("s" * 64, "-1", signed, b"{}", NOW),
    ):
        assert fault
    late = NOW + 301_000_000_000
    assert "5 minutes" in signature_fault("s" * 64, at, signed, b"{}", late)


def test_a_registry_is_written_for_its_owner_only_and_comes_back_as_it_was(tmp_path: Path) -> None:
    policy = Policy(
        mode=SourceMode.TRADE, symbols=("BTCUSDT",), actions=(SignalAction.LONG,), max_notional=Decimal("500.10")
    )
    enrolled(tmp_path, Source("tv", policy=policy, addresses=("tradingview", "10.0.0.0/8"), weak_dedup=True))
    path = tmp_path / "sources.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (source,) = read(path)
    assert source.policy == policy
    assert (source.addresses, source.weak_dedup) == (("tradingview", "10.0.0.0/8"), True)


def test_every_reader_sees_a_whole_registry_while_two_write(tmp_path: Path) -> None:
    path = tmp_path / "sources.json"
    enrolled(tmp_path, Source("first"))
    registry = Registry(tmp_path)

    def add(prefix: str) -> None:
        for number in range(10):
            enrolled(tmp_path, Source(f"{prefix}{number}"))

    writers = [threading.Thread(target=add, args=(prefix,)) for prefix in "ab"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert "first" in registry.roster().members
    assert len(read(path)) == len(registry.roster().members) == 21


def test_a_change_is_seen_at_the_next_look(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert registry.roster().members == {}
    key = enrolled(tmp_path, Source("tv")).api_key
    assert registry.roster().verify(key).name == "tv"
    enroll.remove(tmp_path, "tv")
    assert registry.roster().verify(key).member is None


def test_a_registry_open_to_others_linked_or_foreign_is_refused(tmp_path: Path) -> None:
    enrolled(tmp_path, Source("tv"))
    path = tmp_path / "sources.json"
    registry = Registry(tmp_path)
    registry.roster()
    path.chmod(0o640)
    with pytest.raises(SourcesError, match="chmod 600"):
        registry.roster()
    path.chmod(0o600)
    registry.roster()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourcesError, match="cannot be read"):
        registry.roster()
    path.unlink()
    path.mkdir(0o700)
    with pytest.raises(SourcesError):
        registry.roster()
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(SourcesError, match="not a file"):
        registry.roster()


@pytest.mark.parametrize("call", ["open", "read", "fstat", "lstat"])
def test_a_registry_that_could_not_be_read_for_a_moment_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    key = enrolled(tmp_path, Source("tv")).api_key
    registry = Registry(tmp_path)
    failing = OSError(errno.EMFILE, "Too many open files")

    def fails(*_: Any, **__: Any) -> Any:
        raise failing

    with monkeypatch.context() as short:
        short.setattr(os, call, fails)
        if call != "lstat":
            for _ in range(2):
                with pytest.raises(SourcesError, match="cannot be read: Too many open files"):
                    registry.roster()
        else:
            assert registry.roster().verify(key).name == "tv"
            # What cannot be looked at is read every time: a key that was taken away must not stay valid.
            enroll.remove(tmp_path, "tv")
            assert registry.roster().verify(key).member is None
            key = enrolled(tmp_path, Source("tv")).api_key
    assert registry.roster().verify(key).name == "tv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "repair"),
        ("[]", "repair"),
        ("[" * 100_000, "repair"),
        ('{"version":2,"sources":[]}', "version 2"),
        ('{"version":1,"sources":[{"name":"a","polcy":{}}]}', "polcy"),
        ('{"version":1,"sources":[{"name":"a","policy":{"max_notionl":"5"}}]}', "did you mean max_notional"),
        ('{"version":1,"sources":[{"name":"a","policy":{"max_notional":"-5"}}]}', "above 0"),
        ('{"version":1,"sources":[{"name":"a","policy":{"max_notional":"NaN"}}]}', "above 0"),
        ('{"version":1,"sources":[{"name":"a","policy":{"mode":"yes"}}]}', "yes"),
        ('{"version":1,"sources":[{"name":"a","policy":{"symbols":["BTC-USDT"]}}]}', "like BTCUSDT"),
        ('{"version":1,"sources":[{"name":"A b"}]}', "a-z"),
        ('{"version":1,"sources":[{"name":"a"},{"name":"a"}]}', "twice"),
        ('{"version":1,"sources":[{"name":"a","addresses":["tradingvew"]}]}', "tradingview"),
        ('{"version":1,"sources":[{"name":"a","rate":0}]}', "rate"),
        ('{"version":1,"sources":[{"name":"a","hmac":"short"}]}', "32 characters"),
    ],
)
def test_a_registry_that_is_not_understood_stops_everything_and_says_why(tmp_path: Path, text: str, said: str) -> None:
    registry_text(tmp_path, text)
    with pytest.raises(SourcesError, match=said):
        Registry(tmp_path).roster()


def test_a_refused_change_leaves_the_registry_as_it_was(tmp_path: Path) -> None:
    enrolled(tmp_path, Source("tv"))
    before = (tmp_path / "sources.json").read_bytes()
    for wrong in (
        lambda: enrolled(tmp_path, Source("tv")),
        lambda: enrolled(tmp_path, Source("-")),
        lambda: enroll.change(tmp_path, "tv", lambda source: Source("tv", rate=-1.0)),
        lambda: enroll.rotate(tmp_path, "nobody", base_url="", now_ns=0),
        lambda: enroll.remove(tmp_path, "nobody"),
        lambda: write(tmp_path / "sources.json", [Source("a"), Source("a")]),
    ):
        with pytest.raises(SourcesError):
            wrong()
    assert (tmp_path / "sources.json").read_bytes() == before


def test_a_source_that_trades_from_anywhere_without_a_limit_is_pointed_out() -> None:
    assert len(needs_attention(Source("tv", policy=Policy(mode=SourceMode.TRADE)))) == 2
    bound = Policy(mode=SourceMode.TRADE, max_notional=Decimal(5))
    assert needs_attention(Source("tv", policy=bound, addresses=("tradingview",))) == ()
    assert needs_attention(Source("tv")) == ()


def test_that_a_source_which_signs_has_no_weak_dedup_is_pointed_out() -> None:
    (said,) = needs_attention(Source("tv", hmac="s" * 64, weak_dedup=True))
    assert "weak_dedup has no effect" in said
    assert "idempotencyKey or time" in said
    assert needs_attention(Source("tv", weak_dedup=True)) == ()


def test_the_pine_template_says_what_the_listener_takes(tmp_path: Path) -> None:
    added = enrolled(tmp_path, Source("tv"))
    assert added.url == "http://127.0.0.1:8787/webhook/tv"
    (line,) = [line for line in added.template.splitlines() if line.strip().startswith("'{")]
    # What Pine would make of it: texts in quotes, joined, variables replaced.
    said: dict[str, Any] = {
        "hooxKey": added.api_key,
        "hooxExchange": "paper",
        "action": "LONG",
        "syminfo.ticker": "BTCUSDT.P",
        "hooxQuantity": "0.01",
        "str.format_time(timenow, \"yyyy-MM-dd'T'HH:mm:ss'Z'\", \"UTC\")": "2026-01-31T12:00:00Z",
    }
    parts = [part.strip() for part in line.strip().split(" + ")]
    message = "".join(part[1:-1] if part.startswith("'") else said[part] for part in parts)
    fields, _ = read_object(message.encode())
    assert fields.pop("apiKey") == added.api_key
    draft = read_draft(fields)
    assert (draft.symbol, draft.action, draft.time) == ("BTCUSDT", SignalAction.LONG, NOW)


def test_sources_are_managed_without_the_listener_or_what_it_stands_on() -> None:
    heavy = ("pydantic", "starlette", "uvicorn", "asyncio")
    said = f"import engine.intake.enroll, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_curl_example_is_a_command_a_shell_understands_and_shows_nobody_the_key(tmp_path: Path) -> None:
    added = enrolled(tmp_path, Source("tv"))
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" >arguments\ncat\n")
    curl.chmod(0o700)
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    text = enroll.curl(added.url, added.api_key)
    command = ["sh", "-c", text]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    fields = json.loads(done.stdout)
    assert fields.pop("apiKey") == added.api_key
    assert str(read_draft({**fields}).idempotency_key) in text, "the same command is the same signal"
    assert enroll.curl(added.url, added.api_key) != text
    words = (tmp_path / "arguments").read_text().splitlines()
    assert words == ["-sS", added.url, "-H", "Content-Type: application/json", "-d", "@-"]

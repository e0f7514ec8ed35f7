"""What a mail server says of a mail is taken as it says it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("imapclient", reason="needs the extra `mail`")

from imapclient.response_parser import parse_fetch_response

from engine.intake import mailbox
from engine.intake.mailing import MailboxConfig


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Server:
    """A mailbox with one mail, read as the library reads it."""

    arrived = b"25-Oct-2026 01:30:00 +0000"

    def __init__(self, *_: object, **__: object) -> None:
        self.normalise_times = True

    def login(self, *_: str) -> None: ...

    def select_folder(self, _: str) -> None: ...

    def fetch(self, uids: list[int], _: list[str]) -> object:
        said = b'%d (UID %d RFC822.SIZE 99 INTERNALDATE "%s")' % (uids[0], uids[0], self.arrived)
        return parse_fetch_response([said], self.normalise_times)


@pytest.mark.parametrize("hour", [0, 1, 2])
async def test_a_mail_is_as_old_as_it_is_also_in_the_night_when_the_clocks_are_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, berlin: None, hour: int
) -> None:
    async def deliver(_: bytes, __: datetime) -> bool:
        return True

    monkeypatch.setattr(mailbox, "IMAPClient", Server)
    monkeypatch.setattr(Server, "arrived", b"25-Oct-2026 0%d:30:00 +0000" % hour)
    password = tmp_path / "password"
    password.touch(mode=0o600)
    box = mailbox.Mailbox(
        MailboxConfig(url="imaps://u@mx.example", password_file=password, authserv="mx"), deliver, print
    )
    assert mailbox._about(box._connected(), 7) == (99, datetime(2026, 10, 25, hour, 30, tzinfo=UTC))

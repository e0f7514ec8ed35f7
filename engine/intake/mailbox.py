"""A mailbox that is listened to: IMAP IDLE in a thread of its own, a new connection after each failure.

Imported only where it is on; needs the extra `mail`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from imapclient import IMAPClient

from engine.intake.mail import LARGEST_MAIL
from engine.intake.mailing import MailboxConfig, read_password, where

log = logging.getLogger(__name__)

CONNECT_S = 20.0
IDLE_S = 240
"""How long one IDLE lasts: servers end longer ones, and providers forget silent connections."""
LOOK_S = 1
"""A stop is noticed within this."""
FIRST_DELAY_S = 1.0
LAST_DELAY_S = 60.0
DELIVER_S = 30.0

Deliver = Callable[[bytes, datetime], Awaitable[bool]]
"""A mail and when the server took it; true when it is dealt with for good, false when it should come again."""


class Mailbox(threading.Thread):
    """Hands every unseen mail to `deliver` on the loop, and marks it seen once it is dealt with."""

    def __init__(self, config: MailboxConfig, deliver: Deliver, fails: Callable[[str], None]) -> None:
        """`fails` is told on the loop, once for each time that it is lost. Raises MailboxError."""
        super().__init__(name="mailbox", daemon=True)
        self._at = where(config.url)
        self._password = read_password(config.password_file)
        self._deliver = deliver
        self._fails = fails
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()
        self._lost = False
        self._delay = FIRST_DELAY_S

    async def close(self) -> None:
        """Stop listening; a mail that is being delivered is finished first."""
        self._over.set()
        if self.is_alive():
            await asyncio.to_thread(self.join, DELIVER_S)

    def run(self) -> None:
        """Until closed."""
        while not self._over.is_set():
            try:
                with self._connected() as client:
                    log.info("mails are read from %s at %s", self._at.folder, self._at.host)
                    self._listen(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, a mailbox must not go deaf unnoticed
                if self._over.is_set():
                    return
                log.warning("the mailbox at %s is lost: %s", self._at.host, type(error).__name__)
                if not self._lost:
                    self._lost = True
                    self._loop.call_soon_threadsafe(
                        self._fails, f"the mailbox at {self._at.host} is lost: {type(error).__name__}"
                    )
                self._over.wait(self._delay)
                self._delay = min(2 * self._delay, LAST_DELAY_S)

    def _connected(self) -> IMAPClient:
        client = IMAPClient(self._at.host, self._at.port, ssl=self._at.tls, timeout=CONNECT_S, use_uid=True)
        # With their zone, as the server says them: made local they would be an hour off around a change of the clocks.
        client.normalise_times = False
        try:
            client.login(self._at.user, self._password)
            client.select_folder(self._at.folder)
        except BaseException:
            client.shutdown()
            raise
        return client

    def _listen(self, client: IMAPClient) -> None:
        idles = client.has_capability("IDLE")
        while not self._over.is_set():
            again = not self._read_all(client)
            # Only now: a connection that fails on the first mail each time is no connection.
            self._lost, self._delay = False, FIRST_DELAY_S
            if idles and not again:
                self._idle(client)
            else:
                self._over.wait(5)
                client.noop()

    def _idle(self, client: IMAPClient) -> None:
        client.idle()
        for _ in range(IDLE_S // LOOK_S):
            if client.idle_check(timeout=LOOK_S) or self._over.is_set():
                break
        client.idle_done()

    def _read_all(self, client: IMAPClient) -> bool:
        """Deliver what is unseen, oldest first; false when something should come again."""
        done = True
        for uid in sorted(client.search("UNSEEN")):
            if self._over.is_set():
                return False
            size, arrived = _about(client, uid)
            if size > LARGEST_MAIL:
                log.warning("a mail of %d bytes is no signal; at most %d are read", size, LARGEST_MAIL)
                client.add_flags([uid], [b"\\Seen"])
                continue
            raw = bytes(client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"])
            delivered = asyncio.run_coroutine_threadsafe(self._handed(raw, arrived), self._loop)
            try:
                settled = delivered.result(DELIVER_S)
            except TimeoutError:
                settled = False
            if settled:
                client.add_flags([uid], [b"\\Seen"])
            done = done and settled
        return done

    async def _handed(self, raw: bytes, arrived: datetime) -> bool:
        return await self._deliver(raw, arrived)


def _about(client: IMAPClient, uid: int) -> tuple[int, datetime]:
    """A mail's size in bytes, and when the server took it."""
    found = client.fetch([uid], ["RFC822.SIZE", "INTERNALDATE"])[uid]
    return int(found[b"RFC822.SIZE"]), found[b"INTERNALDATE"].astimezone(UTC)

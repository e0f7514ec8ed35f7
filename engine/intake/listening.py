"""Where the listener listens, and what that takes: loopback by default, elsewhere TLS or a proxy in front."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv6Address
from pathlib import Path

from msgspec import Struct

from engine.intake.addresses import AddressList, BadAddress, is_loopback, parsed


class ListenerError(RuntimeError):
    """The listener does not start; the message says why and what to do."""


class ListenerConfig(Struct, frozen=True, kw_only=True):
    """One listener. Port 0 takes any that is free."""

    host: str = "127.0.0.1"
    port: int = 8787
    proxies: tuple[str, ...] = ()
    """Addresses, networks of the proxies whose X-Forwarded-For is believed."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    """A proxy in front speaks TLS; nobody else is heard."""

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS itself."""
        return self.tls_cert is not None


def where(text: str) -> tuple[str, int]:
    """`127.0.0.1:8787`, `[::1]:8787` or `localhost:8787` as host and port; raises ListenerError."""
    host, _, port = text.strip().rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    if parsed(host) is None or not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ListenerError(
            f"webhook: {text!r} is no address to listen at; write an IP address and a port, like 127.0.0.1:8787"
        )
    return host, int(port)


def shown_address(host: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{host}]:{port}" if isinstance(parsed(host), IPv6Address) else f"{host}:{port}"


def check(config: ListenerConfig) -> None:
    """Raises ListenerError when strangers could read keys on the way, or write their own address."""
    if (config.tls_cert is None) != (config.tls_key is None):
        missing = "webhook_tls_key" if config.tls_key is None else "webhook_tls_cert"
        raise ListenerError(f"{missing}: missing; TLS needs the certificate and its key")
    for name, file in (("webhook_tls_cert", config.tls_cert), ("webhook_tls_key", config.tls_key)):
        if file is not None and not os.access(file, os.R_OK):
            raise ListenerError(f"{name}: {file} cannot be read; give a PEM file that you may read")
    try:
        AddressList(config.proxies)
    except BadAddress as error:
        raise ListenerError(f"webhook_proxies: {error}") from None
    if config.behind_proxy and not config.proxies:
        raise ListenerError(
            "webhook_proxies: empty; with behind_proxy name the proxy's address, or every sender looks like one"
        )
    if not (is_loopback(config.host) or config.tls or config.behind_proxy):
        raise ListenerError(
            f"webhook: {config.host} is not loopback, and API keys would travel in the clear; "
            "set webhook_tls_cert and webhook_tls_key, or put a proxy in front and set behind_proxy and webhook_proxies"
        )
    if config.tls:
        _check_pair(config)


def _check_pair(config: ListenerConfig) -> None:
    import ssl

    try:
        # No password: nobody could be asked for it where an engine starts.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert or "", config.tls_key, lambda: "")
    except (OSError, ValueError) as error:
        raise ListenerError(f"webhook_tls_cert, webhook_tls_key: {error}; give a PEM certificate and its key") from None


def bound(config: ListenerConfig) -> socket.socket:
    """A socket at its address, not listening yet; raises ListenerError where that is taken, or none of this machine's."""
    address = parsed(config.host)
    family = socket.AF_INET6 if address is not None and address.version == 6 else socket.AF_INET
    # The protocol is named: only then does asyncio send answers at once (TCP_NODELAY), not 40 ms later.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        at = shown_address(config.host, config.port)
        raise ListenerError(
            f"webhook: cannot listen at {at}: {error.strerror}; is another engine there? choose another port"
        ) from None
    listening.setblocking(False)
    return listening

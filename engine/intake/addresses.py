"""Addresses: who may call, and who called when proxies stand between (DESIGN 7)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

TRADINGVIEW = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
"""The four that TradingView publishes for webhooks (About webhooks, tradingview.com/support)."""
NAMED = {"tradingview": TRADINGVIEW}

LONGEST_FORWARDED = 32
"""Hops of X-Forwarded-For that are looked at."""


class BadAddress(ValueError):
    """Names the text and the remedy."""


class AddressList:
    """Addresses, networks and named lists; an empty one holds nobody."""

    __slots__ = ("_networks", "_single", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        """Raises BadAddress."""
        self.texts = tuple(texts)
        self._single: set[IPv4Address | IPv6Address] = set()
        self._networks = []
        for text in self.texts:
            for one in NAMED.get(text, (text,)):
                try:
                    network = ip_network(one)
                except ValueError:
                    names = ", ".join(NAMED)
                    raise BadAddress(
                        f"address {one!r}: write an IP address, a network like 10.0.0.0/8, or one of the lists: {names}"
                    ) from None
                if network.num_addresses == 1:
                    self._single.add(network.network_address)
                else:
                    self._networks.append(network)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __contains__(self, text: str) -> bool:
        address = parsed(text)
        if address is None:
            return False
        return address in self._single or any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, IPv4 also where it came wrapped in IPv6; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def is_loopback(text: str) -> bool:
    """Whether only this machine can be at the other side."""
    address = parsed(text)
    return address is not None and address.is_loopback


@lru_cache(maxsize=4096)
def counted_as(text: str) -> str:
    """What rates and guesses are counted by: an IPv4 address, or the /64 of IPv6, which one sender has to himself."""
    address = parsed(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), 64), strict=False))
    return str(address) if address else text


def caller(peer: str, forwarded: Iterable[str], proxies: AddressList) -> str:
    """Who called: the peer, or behind configured proxies the rightmost hop of X-Forwarded-For that is not one of them.

    `forwarded`: the header's lines in order. What stands left of that hop was written by the caller and is not believed.
    """
    if peer not in proxies:
        return _plain(peer)
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    nearest = peer
    for hop in reversed(hops[-LONGEST_FORWARDED:]):
        address = _bare(hop)
        if parsed(address) is None:
            break
        nearest = address
        if address not in proxies:
            break
    return _plain(nearest)


def _bare(hop: str) -> str:
    """`1.2.3.4:567` and `[::1]:567` without brackets and port."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    host, colon, _ = hop.partition(":")
    return host if colon and hop.count(":") == 1 else hop


def _plain(text: str) -> str:
    address = parsed(text)
    return str(address) if address else text

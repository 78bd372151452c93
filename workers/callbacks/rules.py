"""Where callbacks may go: rules for the text of an address, and for what its name resolves to.

Callbacks go to what `YTEMPIRE_CALLBACK_ALLOW` lists and nowhere else: a `host:port`, which may
speak plain HTTP and may have a private address, or `public`, every public https address on port
443.

Texts are compared, never repaired: what two programs could read in two ways is refused.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

VARIABLE = "YTEMPIRE_CALLBACK_ALLOW"
PUBLIC = "public"
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_NAME = 253

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_AUTHORITY = re.compile(r"[^/?]*")

#: Not public, whatever this Python's tables say: the tunnels and translations hide an IPv4 address.
_CLOSED_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    )
)  # fmt: skip
_OPEN_6 = ip_network("2000::/3")  # everything else, 64:ff9b::/96 and mapped addresses among it, is
_CLOSED_6 = tuple(ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16"))


class RefusedAddress(ValueError):
    """A callback may not go there; the message says why and what to do, without the query."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address. `path` is sent as it was given, query included; `listed`: by the operator,
    who thereby allows plain HTTP and private addresses."""

    scheme: str
    host: str
    port: int
    path: str
    listed: bool

    @property
    def place(self) -> str:
        """`host:port`, as the list has it and the Host header takes it."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be logged."""
        return f"{self.scheme}://{self.place}"


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """`allow` holds what `read_place` has read: `host:port`, or `public` for every public https
    address; empty: nowhere."""

    allow: Collection[str] = ()

    def check(self, url: str) -> Target:
        """The target of an address. Raises `RefusedAddress`."""
        target = _read(url)
        place = target.place
        if place in self.allow:
            return replace(target, listed=True)
        if PUBLIC not in self.allow:
            raise RefusedAddress(f"{place} is not in {VARIABLE}, which says where callbacks go")
        if target.scheme != "https" or target.port != DEFAULT_PORTS["https"]:
            raise RefusedAddress(
                f"of what {VARIABLE} does not list, only https on port 443 is taken; list {place}"
            )
        literal = _literal(target.host)
        if literal is None and "." not in target.host:
            raise RefusedAddress(f"{target.host!r} is no public name; list {place} in {VARIABLE}")
        if literal is not None and not is_public(literal):
            raise RefusedAddress(f"{literal} is not a public address; list {place} in {VARIABLE}")
        return target


def read_place(text: str) -> str:
    """`host:port` as it is compared, in small letters, or `public`. Raises `RefusedAddress`."""
    if text.strip().lower() == PUBLIC:
        return PUBLIC
    host, colon, port = text.strip().lower().rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
        raise RefusedAddress(f"{text!r} is not host:port, such as n8n.internal:5678, nor {PUBLIC}")
    return f"{_bracketed(_host(host))}:{port}"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether strangers on the Internet have this address; nothing inside a network does."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _CLOSED_4)
    return (
        address.is_global
        and address.scope_id is None
        and address in _OPEN_6
        and not any(address in network for network in _CLOSED_6)
    )


def resolved_address(text: str) -> IPv4Address | IPv6Address:
    """An address as a resolver gives it."""
    return ip_address(text)


def _read(url: str) -> Target:
    if not url.isascii() or any(not "!" <= character <= "~" for character in url):
        raise RefusedAddress(
            "it holds characters other than printable ASCII: write an international name in its"
            " xn-- form and escape the rest with %"
        )
    if "\\" in url or "#" in url:
        raise RefusedAddress("it holds \\ or #, which no callback needs")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        raise RefusedAddress("it must begin with https:// (or http:// for a listed host)")
    authority = _AUTHORITY.match(rest)
    place = authority[0].lower() if authority else ""
    path = rest[len(place) :]
    if "@" in place:
        raise RefusedAddress("a user name before the host is not taken")
    name, port = place, DEFAULT_PORTS[scheme]
    if not place.endswith("]") and ":" in place:
        name, _, given = place.rpartition(":")
        if not _PORT.fullmatch(given) or int(given) > 65535:
            raise RefusedAddress("its port is not a number from 1 to 65535")
        port = int(given)
    path = path if path.startswith("/") else f"/{path}"
    return Target(scheme, _host(name), port, path, listed=False)


def _host(text: str) -> str:
    """A host in its one way of writing: a name, a dotted IPv4 or a compressed IPv6 address."""
    if text.startswith("[") and text.endswith("]"):
        try:
            if "%" in text:
                raise ValueError("a zone is of this host alone")
            return str(IPv6Address(text[1:-1]))
        except ValueError:
            raise RefusedAddress(f"{text} is not an IPv6 address") from None
    if text.endswith("."):
        raise RefusedAddress("the dot at the end of the host is not taken")
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Numbers at the end make an IPv4 address, of which only one notation is taken.
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise RefusedAddress(f"{text} is not an IPv4 address in four decimal parts") from None
    if len(text) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise RefusedAddress(f"{text[:100]!r} is not a host name")
    return text


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""Where callbacks may go, input by input."""

from ipaddress import ip_address

import pytest

from workers.callbacks.rules import (
    PUBLIC,
    CallbackRules,
    RefusedAddress,
    is_public,
    read_place,
)

OPEN = CallbackRules((PUBLIC,))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.1/", "four decimal parts"),
        ("https://2130706433/", "four decimal parts"),
        ("https://0x7f.1/", "four decimal parts"),
        ("https://0x7f000001/", "four decimal parts"),
        ("https://017700000001/", "four decimal parts"),
        ("https://0177.0.0.1/", "four decimal parts"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://10.0.0.8/", "not a public address"),
        ("https://100.64.0.1/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data/", "not a public address"),
        ("https://224.0.0.1/", "not a public address"),
        ("https://0.0.0.0/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://[::ffff:127.0.0.1]/", "not a public address"),
        ("https://[::ffff:8.8.8.8]/", "not a public address"),
        ("https://[64:ff9b::7f00:1]/", "not a public address"),
        ("https://[2002:7f00:1::]/", "not a public address"),
        ("https://[2001:0:4136:e378::1]/", "not a public address"),
        ("https://[ff0e::1]/", "not a public address"),
        ("https://[fe80::1%25eth0]/", "not an IPv6 address"),
        ("https://user@example.com/", "user name"),
        ("https://example.com:443@10.0.0.1/", "user name"),
        ("https://example.com:5432/", "only https on port 443"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:+443/", "port"),
        ("https://example.com:/", "port"),
        ("http://example.com/", "only https on port 443"),
        ("https://example.com./", "dot at the end"),
        ("https://127.0.0.1./", "dot at the end"),
        ("https://localhost/", "no public name"),
        ("https://exämple.com/", "xn--"),
        ("https://１２７.0.0.1/", "xn--"),
        ("https://example。com/", "xn--"),
        ("https://exa%6dple.com/", "host name"),
        ("https://example.com\\@10.0.0.1/", "holds"),
        ("https://example.com#@10.0.0.1/", "holds"),
        ("https://example.com/a b", "printable"),
        ("https://example.com/\r\nX: y", "printable"),
        ("https://example.com/\x00", "printable"),
        ("https:///path", "host name"),
        ("https:example.com", "must begin"),
        ("//example.com/", "must begin"),
        ("ftp://example.com/", "must begin"),
        ("file:///etc/passwd", "must begin"),
        ("", "must begin"),
        ("https://-example.com/", "host name"),
        ("https://exam..ple.com/", "host name"),
        ("https://[::1/", "host name"),
        (f"https://{'a' * 64}.com/", "host name"),
        (f"https://{'a.' * 130}com/", "host name"),
    ],
)
def test_address_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(RefusedAddress, match=reason):
        OPEN.check(url)


def test_reason_never_holds_the_query() -> None:
    for url in ("http://example.com/?token=s3cret", "https://user:s3cret@example.com/?s3cret"):
        with pytest.raises(RefusedAddress) as caught:
            OPEN.check(url)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place", "path"),
    [
        ("https://n8n.example.com/webhook-waiting/7?token=a%2Fb==", "n8n.example.com:443",
         "/webhook-waiting/7?token=a%2Fb=="),
        ("HTTPS://N8N.Example.COM:443", "n8n.example.com:443", "/"),
        ("https://example.com?x=1@y:2", "example.com:443", "/?x=1@y:2"),
        ("https://xn--exmple-cua.com/", "xn--exmple-cua.com:443", "/"),
        ("https://93.184.216.34/a", "93.184.216.34:443", "/a"),
        ("https://[2606:2800:220:1:248:1893:25c8:1946]/a",
         "[2606:2800:220:1:248:1893:25c8:1946]:443", "/a"),
    ],
)  # fmt: skip
def test_public_https_address_is_taken_as_it_is_written(url: str, place: str, path: str) -> None:
    target = OPEN.check(url)
    assert (target.place, target.path, target.listed) == (place, path, False)


def test_list_is_the_exception_and_the_limit() -> None:
    rules = CallbackRules((read_place("N8N.internal:5678"), read_place("[::1]:80")))
    listed = rules.check("http://n8n.internal:5678/webhook-waiting/7?token=x")
    assert (listed.scheme, listed.place, listed.listed) == ("http", "n8n.internal:5678", True)
    assert rules.check("http://[0:0::1]/").listed
    for url in (
        "https://example.com/",
        "http://n8n.internal:5679/",
        "http://n8n.internal/",
        "http://n8n.internal.:5678/",
        "http://xn8n.internal:5678/",
        "http://10.0.0.1:5678/",
    ):
        with pytest.raises(RefusedAddress):
            rules.check(url)


def test_without_a_list_nothing_is_called() -> None:
    for url in ("https://example.com/", "http://127.0.0.1:5678/", "https://93.184.216.34/a"):
        with pytest.raises(RefusedAddress, match="is not in YTEMPIRE_CALLBACK_ALLOW"):
            CallbackRules().check(url)


def test_list_may_hold_a_place_inside_and_everything_public() -> None:
    rules = CallbackRules((read_place(" Public "), read_place("n8n.internal:5678")))
    assert rules.check("http://n8n.internal:5678/").listed
    assert not rules.check("https://example.com/").listed
    with pytest.raises(RefusedAddress, match="only https on port 443"):
        rules.check("http://n8n.internal:5679/")


@pytest.mark.parametrize("text", ["n8n", "n8n:", "n8n:0", "n8n:70000", ":80", "127.1:80", "a b:1"])
def test_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(RefusedAddress):
        read_place(text)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("192.0.0.9", False),
        ("192.88.99.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("64:ff9b::808:808", False),
        ("64:ff9b:1::1", False),
        ("2002:808:808::1", False),
        ("2001::1", False),
        ("2001:db8::1", False),
        ("::ffff:8.8.8.8", False),
        ("::8.8.8.8", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public

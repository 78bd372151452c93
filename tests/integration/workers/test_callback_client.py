"""The socket behind a callback: which address it reaches, by which name, and how much it reads."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers.callbacks import client as callback_client
from workers.callbacks.client import CallbackSender, PinnedBackend, Unreachable
from workers.callbacks.rules import PUBLIC, CallbackRules, RefusedAddress, Target

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Names:
    """A resolver whose answers a test decides, one after another; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(answer: bytes, seen: list[bytes]) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handler


def target_of(port: int, *, listed: bool, host: str = "n8n.test", scheme: str = "http") -> Target:
    return Target(scheme, host, port, "/a?token=b%2Fc", listed)


async def send(sender: CallbackSender, target: Target) -> callback_client.Answer:
    return await sender.send(target, headers={"Content-Type": "application/json"}, body=b"{}")


async def test_name_is_resolved_once_and_kept_for_the_host_header() -> None:
    seen: list[bytes] = []
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    async with listening(answering(OK, seen)) as port:
        answer = await send(CallbackSender(resolve_=names), target_of(port, listed=True))
    assert (answer.status, answer.text) == (200, "ok")
    assert names.asked == ["n8n.test"]
    head = seen[0].decode()
    assert head.startswith("POST /a?token=b%2Fc HTTP/1.1\r\n")
    assert f"\r\nHost: n8n.test:{port}\r\n" in head


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["93.184.216.34", "::1"],
        ["::ffff:93.184.216.34"],
        ["64:ff9b::5db8:d822"],
        ["2002:7f00:1::"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["224.0.0.1"],
        ["fe80::1%1"],
    ],
)
async def test_one_address_inside_a_network_refuses_the_name(answers: list[str]) -> None:
    seen: list[bytes] = []
    async with listening(answering(OK, seen)) as port:
        names = Names(answers)
        with pytest.raises(RefusedAddress, match="not public"):
            await send(CallbackSender(resolve_=names), target_of(port, listed=False))
    assert (seen, names.asked) == ([], ["n8n.test"])


async def test_name_that_is_rebound_after_the_check_is_not_asked_again() -> None:
    """First a public answer, from then on loopback, where somebody listens: what was checked is
    what is connected to."""
    tried: list[str] = []

    class Recording(httpcore.AsyncNetworkBackend):
        async def connect_tcp(self, host: str, *_: object) -> httpcore.AsyncNetworkStream:  # type: ignore[override]
            tried.append(host)
            raise httpcore.ConnectError("nobody")

    names = Names(["93.184.216.34"], ["127.0.0.1"])
    backend = PinnedBackend(names, private=False)
    backend._backend = Recording()  # type: ignore[assignment]
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp("rebind.test", 443)
    assert (tried, names.asked) == (["93.184.216.34"], ["rebind.test"])


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "017700000001", "0x7f000001"])
async def test_odd_notation_that_the_system_would_resolve_is_refused(host: str) -> None:
    """The system's resolver takes these for loopback; the text is refused, and so is the answer."""
    assert socket.gethostbyname(host) == "127.0.0.1"
    with pytest.raises(RefusedAddress):
        CallbackRules((PUBLIC,)).check(f"https://{host}/")
    with pytest.raises(RefusedAddress, match="not public"):
        await send(CallbackSender(), target_of(443, listed=False, host=host, scheme="https"))


async def test_second_address_is_tried_when_the_first_is_silent() -> None:
    seen: list[bytes] = []
    async with listening(answering(OK, seen)) as port:
        names = Names(["127.0.0.2", "127.0.0.1"])
        answer = await send(CallbackSender(resolve_=names), target_of(port, listed=True))
    assert answer.status == 200


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with listening(answering(OK, [])) as port:
        names = Names(["127.0.0.1"])
        assert (await send(CallbackSender(resolve_=names), target_of(port, listed=True))).status


async def test_reply_without_end_is_read_to_its_limit_only() -> None:
    sent = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\n\r\n")
        try:
            while sent < 50_000_000:
                writer.write(b"x" * 10_000)
                sent += 10_000
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async with listening(handler) as port:
        names = Names(["127.0.0.1"])
        answer = await send(CallbackSender(resolve_=names), target_of(port, listed=True))
    assert (answer.status, len(answer.text)) == (500, callback_client.TEXT_BYTES)
    assert sent < 20_000_000


async def test_silence_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback_client, "TOTAL_SECONDS", 0.3)
    release = asyncio.Event()

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with listening(handler) as port:
        with pytest.raises(Unreachable, match="no answer within"):
            await send(CallbackSender(resolve_=Names(["127.0.0.1"])), target_of(port, listed=True))
        release.set()


async def test_status_stands_when_its_body_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback_client, "TOTAL_SECONDS", 0.5)
    release = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await release.wait()
        writer.close()

    async with listening(handler) as port:
        sender = CallbackSender(resolve_=Names(["127.0.0.1"]))
        assert (await send(sender, target_of(port, listed=True))).status == 200
        release.set()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"\0" * 9])
async def test_answer_that_is_no_http_is_no_answer(answer: bytes) -> None:
    async with listening(answering(answer, [])) as port:
        with pytest.raises(Unreachable):
            await send(CallbackSender(resolve_=Names(["127.0.0.1"])), target_of(port, listed=True))


async def test_nobody_there_and_no_such_name_are_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match="Connect"):
            await send(CallbackSender(resolve_=Names(["127.0.0.1"])), target_of(port, listed=True))

    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Unreachable, match="has no address"):
        await send(CallbackSender(resolve_=nowhere), target_of(80, listed=True))


async def test_tls_is_checked_against_the_name_not_the_address(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "n8n.test")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    named: list[str] = []
    server.sni_callback = lambda _, name, __: named.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with listening(answering(OK, []), server) as port:
        sender = CallbackSender(tls=trusting, resolve_=Names(["127.0.0.1"]))
        answer = await send(sender, target_of(port, listed=True, scheme="https"))
        assert (answer.status, named) == (200, ["n8n.test"])
        other = target_of(port, listed=True, scheme="https", host="other.test")
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await send(sender, other)
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await send(
                CallbackSender(resolve_=Names(["127.0.0.1"])),
                target_of(port, listed=True, scheme="https"),
            )


def make_certificate(folder: Path, name: str) -> Path:
    """A key and a certificate of its own for a name, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file

"""Stored secrets are sealed anew while everybody works, and open with nothing but their key."""

import asyncio
import base64
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.pool import Pool, transaction
from db.repositories.api_keys import ApiKeys
from db.repositories.envelopes import Envelopes, Place
from pipeline.errors import Waiting
from tests.services.account_network import Network
from workers.accounts.key_rotation import count_keys, reseal_all
from workers.keys import create_key, signing_secrets
from workers.secrets import SecretKeys

OLD = SecretKeys({"old": bytes(32)})
BOTH = SecretKeys({"new": b"\x01" * 32, "old": bytes(32)})
NEW = SecretKeys({"new": b"\x01" * 32})


async def account(pool: Pool, keys: SecretKeys, secret: str) -> UUID:
    id_ = uuid4()
    sealed = keys.seal(secret, table="youtube_accounts", row=id_, column="credentials")
    await Network(pool).account(secret, [], id=id_, credentials=sealed)
    return id_


async def secret_of(pool: Pool, keys: SecretKeys, id_: UUID) -> str:
    sealed = await pool.fetchval("SELECT credentials FROM youtube_accounts WHERE id = $1", id_)
    return keys.open(sealed, table="youtube_accounts", row=id_, column="credentials")


async def upload(pool: Pool, keys: SecretKeys, secret: str) -> UUID:
    network = Network(pool)
    run = await network.run(await network.channel(secret))
    id_ = uuid4()
    await pool.execute(
        "INSERT INTO video_uploads (id, video_id, execution_id, fence, marker, file_sha256,"
        " size_bytes, status, session_uri)"
        " VALUES ($1, $2, $3, 1, $4, repeat('a', 64), 1, 'uploading', $5)",
        id_,
        run.video_id,
        run.execution_id,
        secret,
        keys.seal(secret, table="video_uploads", row=id_, column="session_uri"),
    )
    return id_


async def test_everything_is_sealed_anew_in_batches_and_a_repeat_does_nothing(pool: Pool) -> None:
    accounts = {f"secret{n}": await account(pool, OLD, f"secret{n}") for n in range(7)}
    await Network(pool).account("local", [], provider="local", credentials={})
    session = await upload(pool, OLD, "session")
    async with transaction(pool) as connection:
        key = await create_key(
            connection, OLD, name="k", scopes=["runs:read"], with_signing_secret=True
        )
    done = await reseal_all(pool, BOTH, batch=3)
    assert done.resealed == {
        "youtube_accounts.credentials": 7,
        "video_uploads.session_uri": 1,
        "api_keys.signing_secrets": 1,
    }
    assert not done.failed
    for secret, id_ in accounts.items():
        assert await secret_of(pool, NEW, id_) == secret
    sealed = await pool.fetchval("SELECT session_uri FROM video_uploads")
    assert NEW.open(sealed, table="video_uploads", row=session, column="session_uri") == "session"
    async with transaction(pool) as connection:
        row = await ApiKeys(connection).find(name="k")
    assert row is not None
    assert signing_secrets(NEW, row) == [key.signing_secret]
    with pytest.raises(Waiting, match="not among ours"):
        await secret_of(pool, OLD, accounts["secret0"])
    assert {each.key for each in await count_keys(pool)} == {"new"}
    again = await reseal_all(pool, BOTH)
    assert sum(again.resealed.values()) == 0


async def test_interrupted_rotation_goes_on_where_it_was(pool: Pool) -> None:
    ids = [await account(pool, OLD, f"secret{n}") for n in range(6)]

    class Killed(Exception):
        pass

    def stop(place: str, count: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        await reseal_all(pool, BOTH, batch=2, progress=stop)
    assert sorted((each.key, each.n) for each in await count_keys(pool)) == [("new", 2), ("old", 4)]
    done = await reseal_all(pool, BOTH, batch=2)
    assert done.resealed["youtube_accounts.credentials"] == 4
    assert [await secret_of(pool, NEW, id_) for id_ in ids] == [f"secret{n}" for n in range(6)]


async def test_secrets_that_change_meanwhile_are_never_put_back(pool: Pool) -> None:
    """Workers that renew tokens all the time, while everything is sealed anew."""
    ids = [await account(pool, OLD, f"secret{n}-0") for n in range(10)]
    stop, newest = asyncio.Event(), dict.fromkeys(ids, "")

    async def worker(number: int, id_: UUID) -> None:
        turn = 0
        while not stop.is_set() or turn == 0:
            turn += 1
            secret = f"secret{number}-{turn}"
            sealed = OLD.seal(secret, table="youtube_accounts", row=id_, column="credentials")
            await pool.execute(
                "UPDATE youtube_accounts SET credentials = $2 WHERE id = $1", id_, sealed
            )
            newest[id_] = secret

    workers = [asyncio.create_task(worker(n, id_)) for n, id_ in enumerate(ids)]
    rotation = asyncio.create_task(reseal_all(pool, BOTH, batch=4))
    await asyncio.wait({rotation}, timeout=1)
    stop.set()
    await asyncio.gather(*workers)
    await rotation
    await reseal_all(pool, BOTH)
    assert {id_: await secret_of(pool, NEW, id_) for id_ in ids} == newest


async def test_update_of_what_was_changed_since_it_was_read_does_nothing(pool: Pool) -> None:
    id_ = await account(pool, OLD, "first")
    async with transaction(pool) as connection:
        envelopes = Envelopes(connection)
        (row,) = await envelopes.list(Place.ACCOUNTS, key="new", after=UUID(int=0), most=5)
        sealed = OLD.seal("second", table="youtube_accounts", row=id_, column="credentials")
        await connection.execute("UPDATE youtube_accounts SET credentials = $1", sealed)
        assert not await envelopes.replace(Place.ACCOUNTS, row=row, sealed={"v": 1})
    assert await secret_of(pool, OLD, id_) == "second"


async def test_what_no_key_opens_is_named_and_the_rest_is_done(pool: Pool) -> None:
    strange = SecretKeys({"lost": b"\x02" * 32})
    lost = await account(pool, strange, "lost")
    fine = await account(pool, OLD, "fine")
    done = await reseal_all(pool, BOTH, batch=1)
    ((place, row, error),) = done.failed
    assert (place, row) == ("youtube_accounts.credentials", lost)
    assert "'lost', which is not among ours" in error
    assert await secret_of(pool, NEW, fine) == "fine"


async def test_every_flipped_byte_and_every_other_place_is_refused(pool: Pool) -> None:
    """On what the database really stores: each byte of it, and each pair of rows."""
    first, second = await account(pool, NEW, "one"), await account(pool, NEW, "two")
    stored = await pool.fetchval("SELECT credentials FROM youtube_accounts WHERE id = $1", first)
    for part in ("dek", "data"):
        raw = base64.b64decode(stored[part])
        for position in range(len(raw)):
            broken = bytearray(raw)
            broken[position] ^= 1
            await store(pool, first, {**stored, part: base64.b64encode(broken).decode()})
            with pytest.raises(Waiting, match="was changed"):
                await secret_of(pool, NEW, first)
    await store(pool, second, stored)
    with pytest.raises(Waiting, match="belongs to another row"):
        await secret_of(pool, NEW, second)
    await store(pool, first, {**stored, "key": "old"})
    with pytest.raises(Waiting, match="not among ours"):
        await secret_of(pool, NEW, first)


async def store(pool: Pool, id_: UUID, envelope: dict[str, Any]) -> None:
    await pool.execute(
        "UPDATE youtube_accounts SET credentials = $2::text::jsonb WHERE id = $1",
        id_,
        json.dumps(envelope),
    )

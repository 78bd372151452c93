"""Which account uploads: reserved in one short transaction, kept until the run has used it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.accounts import Account, Accounts
from db.repositories.executions import Executions
from db.repositories.reservations import (
    Candidate,
    ChannelAccounts,
    Held,
    HeldUnits,
    Over,
    Reservations,
)
from db.repositories.uploads import Upload, Uploads
from pipeline.errors import Deferred, Rejected, Waiting
from workers.accounts.choice import (
    Buckets,
    Moment,
    Obstacle,
    capacity_obstacles,
    in_order,
    next_chance,
    obstacles,
)
from workers.accounts.quota_charges import (
    HOLD_SECONDS,
    end_overdue,
    end_reservation,
    load_policy,
    lock_buckets,
    moment_of,
    spare_units,
)
from workers.accounts.quota_policy import (
    CORE,
    DEFAULT_BUCKET,
    EXTRAS,
    INSERT,
    PLAYLIST,
    Need,
    QuotaPolicy,
)

ROUNDS = 10
BEGUN = ("uploaded", "published")
CROWDED_SECONDS = 5.0
_HOLD = timedelta(seconds=HOLD_SECONDS)


async def reserve_account(
    pool: Pool,
    *,
    execution_id: UUID,
    channel_id: UUID,
    video_id: UUID,
    at: datetime | None = None,
) -> Account:
    """The account for this run's upload, with its units of the Pacific day; a repeat gets the same
    one, and charges nothing as long as the day lasts.

    An attempt that is not resolved stays with the account it began with: another account would
    not find it and publish a second time. `at` replays a moment; None is the database's clock.

    Raises `Deferred` until the first account may serve again by itself, `Waiting` when a person
    must see to an account first, `Rejected` when no account may upload for the channel.
    """
    for _ in range(ROUNDS):
        async with transaction(pool) as connection:
            desk = _Desk(connection, await load_policy(connection), at)
            account = await desk.reserve(execution_id, channel_id, video_id)
        if isinstance(account, Account):
            return account
        if account is None:
            await end_overdue(pool, at=at)
            continue
        async with transaction(pool) as connection:
            await end_reservation(connection, account, status="released", reason="midnight")
    raise Deferred(
        "the accounts of this channel change hands too fast; the next attempt looks again",
        until=datetime.now(UTC) + timedelta(seconds=CROWDED_SECONDS),
    )


class _Desk:
    """One look at the accounts of a channel, in one transaction."""

    def __init__(self, connection: Connection, policy: QuotaPolicy, at: datetime | None) -> None:
        self._connection = connection
        self._policy = policy
        self._at = at
        self._rows = Reservations(connection)

    async def reserve(
        self, execution_id: UUID, channel_id: UUID, video_id: UUID
    ) -> Account | Over | None:
        """The account, charged. Else what must end first, in a transaction of its own: the run's
        reservation of another day, or (None) those of others that are over."""
        await Executions(self._connection).lock(execution_id=execution_id)
        live = await Uploads(self._connection).find_live(video_id=video_id)
        pinned = live.youtube_account_id if live is not None else None
        held = await self._rows.find_held(execution_id=execution_id)
        if held is not None and pinned in (None, held.account_id):
            moment = await moment_of(self._connection, self._at)
            if held.quota_date == moment.today:
                return await self._kept(held, moment)
        if held is not None:
            # It crossed midnight: its units were yesterday's, today's are reserved anew.
            return Over(held.id, execution_id, held.account_id, held.quota_date)
        channel = await self._rows.get_channel(channel_id=channel_id)
        if pinned is not None:
            channel = replace(channel, account_ids=[pinned], preferred_id=pinned)
        return await self._pick(execution_id, channel, live if pinned is not None else None)

    async def _kept(self, held: Held, moment: Moment) -> Account:
        await self._rows.extend(reservation_id=held.id, expires_at=moment.now + _HOLD)
        account = await Accounts(self._connection).get(account_id=held.account_id)
        return replace(account, reservation_id=held.id)

    async def _pick(
        self, execution_id: UUID, channel: ChannelAccounts, live: Upload | None
    ) -> Account | None:
        candidates = await self._rows.lock_accounts(account_ids=channel.account_ids)
        projects = {each.project for each in candidates if each.project is not None}
        moment = await moment_of(self._connection, self._at)
        buckets = await lock_buckets(self._connection, self._policy, projects, moment)
        # Looked at again now that they are ours: whoever had them may have changed everything.
        ids = [each.id for each in candidates]
        free = [
            each
            for each in candidates
            if not _against(each, self._need(each, live), buckets, moment, live)
        ]
        best = next(iter(in_order(free, moment, preferred=channel.preferred_id)), None)
        if (best is None or best.is_reserve) and await self._rows.exists_overdue(
            account_ids=ids, projects=sorted(projects), day=moment.today, now=moment.now
        ):
            return None
        if best is None:
            held = await self._rows.list_held(
                account_ids=ids, projects=sorted(projects), day=moment.today
            )
            raise _refusal(
                [
                    (each, _against(each, self._need(each, live), buckets, moment, live, held))
                    for each in candidates
                ],
                moment,
            )
        return await self._charge(execution_id, best, channel, buckets, moment, live)

    def _need(self, account: Candidate, live: Upload | None) -> Need:
        """An upload whose session is open needs no insert any more."""
        begun = live is not None and (live.session_uri is not None or live.status in BEGUN)
        core = {method: times for method, times in CORE.items() if not (begun and method == INSERT)}
        units = self._policy.units(core) if account.project is not None else {}
        return Need(0 if begun else 1, units)

    async def _charge(
        self,
        execution_id: UUID,
        account: Candidate,
        channel: ChannelAccounts,
        buckets: Buckets,
        moment: Moment,
        live: Upload | None,
    ) -> Account:
        need = self._need(account, live)
        units, covers = (
            dict(need.units),
            await self._extras(account, channel, buckets, moment, need),
        )
        for bucket, more in self._policy.units(covers).items():
            units[bucket] = units.get(bucket, 0) + more
        reservation_id = await self._rows.grant(
            execution_id=execution_id,
            account_id=account.id,
            project=account.project,
            day=moment.today,
            units=units,
            account_units=units.get(DEFAULT_BUCKET, 0),
            covers=covers,
            uploads=need.uploads,
            now=moment.now,
            expires_at=moment.now + _HOLD,
        )
        if reservation_id is None:
            raise RuntimeError(f"account {account.email} had room under our lock, and has none")
        return Account(
            account.id,
            account.email,
            account.provider,
            account.channel_id,
            account.project,
            reservation_id,
        )

    async def _extras(
        self,
        account: Candidate,
        channel: ChannelAccounts,
        buckets: Buckets,
        moment: Moment,
        need: Need,
    ) -> list[str]:
        """Those extras whose units publishing does not need: they are part of the reservation."""
        if account.project is None:
            return []
        spare = await spare_units(
            self._connection, self._policy, account, buckets, moment, charging=need
        )
        covers: list[str] = []
        for extra in EXTRAS:
            wished = extra != PLAYLIST or channel.has_playlist
            in_default = self._policy.cost(extra).bucket == DEFAULT_BUCKET
            cost = self._policy.units([*covers, extra]).get(DEFAULT_BUCKET, 0)
            if wished and in_default and spare.fits(cost):
                covers.append(extra)
        return covers


def _against(
    account: Candidate,
    need: Need,
    buckets: Buckets,
    moment: Moment,
    live: Upload | None,
    held: Sequence[HeldUnits] = (),
) -> list[Obstacle]:
    """What stands against an account. One whose upload is under way goes on with it whatever its
    standing is: only limits can stop it, since no other account can take over."""
    if live is None:
        return obstacles(account, need, buckets, moment, held)
    return capacity_obstacles(account, need, buckets, moment, held)


def _refusal(
    found: Sequence[tuple[Candidate, Sequence[Obstacle]]], moment: Moment
) -> Deferred | Waiting | Rejected:
    """What no account means: until when, who must act, or that there is none."""
    if not found:
        return Rejected("no account may upload for this channel: add one with ytempire account add")
    chances = [next_chance(against, moment) for _, against in found]
    told = "; ".join(
        ", ".join(each.words for each in against if (each.until is None) == (chance is None))
        for (_, against), chance in zip(found, chances, strict=True)
    )
    soonest = min((chance for chance in chances if chance is not None), default=None)
    if soonest is None:
        return Waiting(
            f"no account of this channel can serve: {told}; authorise it anew with ytempire"
            " account authorize, or lift it with ytempire account resume"
        )
    return Deferred(
        f"no account of this channel can serve now: {told}; it goes on by itself at"
        f" {soonest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        until=soonest,
    )

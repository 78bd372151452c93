"""Look a row up by its id alone; and let the healing of locks see the empty name.

A condition such as status = 'pending' beside an id lets the planner take a partial index instead of
the primary key, and it does when that index is empty while it plans: it then reads all of it, for
every row, once it has filled. A session keeps such a plan until the table is analysed. 20,000 jobs
inserted behind locks took minutes, each looking through all before it.
"""

from alembic import op

revision = "20261126_161003"
down_revision = "20261126_161002"
branch_labels = None
depends_on = None

TAKE_PLACE = """
CREATE OR REPLACE FUNCTION queue.job_take_place(_job queue.job_queue)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    _ahead queue.job_queue;
BEGIN
    SELECT * INTO _ahead FROM queue.job_queue j
    WHERE j.lock = _job.lock AND j.status = 'processing' AND j.id <> _job.id;
    IF NOT FOUND THEN
        SELECT * INTO _ahead FROM queue.job_queue j
        WHERE j.lock = _job.lock AND j.status = 'pending'
          AND (j.priority, j.seq) < (_job.priority, _job.seq)
        ORDER BY j.priority, j.seq LIMIT 1;
        IF NOT FOUND THEN
            RETURN true;
        END IF;
        IF _ahead.blocked THEN
            -- A head must never be blocked: wake it instead of hiding behind it.
            PERFORM queue.job_unblock_head(_job.lock);
            RETURN false;
        END IF;
    END IF;
    PERFORM FROM queue.job_queue j
    WHERE j.id = _ahead.id AND j.lock = _job.lock AND j.status = _ahead.status AND NOT j.blocked
    FOR SHARE SKIP LOCKED;
    IF FOUND THEN
        {mark}
    END IF;
    RETURN false;
END
$$;
"""
MARK = """-- Still pending: the caller has locked it, or nobody else can see it yet.
        UPDATE queue.job_queue j SET blocked = true WHERE j.id = _job.id;"""
OLD_MARK = """UPDATE queue.job_queue j SET blocked = true
        WHERE j.id = _job.id AND j.status = 'pending';"""

PLACE_INSERTED = """
CREATE OR REPLACE FUNCTION queue.job_place_inserted() RETURNS trigger LANGUAGE plpgsql
{options} AS $$
DECLARE
    _job queue.job_queue;
BEGIN
    {find}
        PERFORM queue.job_take_place(_job);
    END IF;
    RETURN NULL;
END
$$;
"""
FIND = """SELECT * INTO _job FROM queue.job_queue j WHERE j.id = NEW.id;
    IF _job.status = 'pending' AND _job.lock IS NOT NULL AND NOT _job.blocked THEN"""
OLD_FIND = """SELECT * INTO _job FROM queue.job_queue j
    WHERE j.id = NEW.id AND j.status = 'pending' AND j.lock IS NOT NULL AND NOT j.blocked;
    IF FOUND THEN"""

HEAL_LOCKS = """
CREATE OR REPLACE FUNCTION queue.job_heal_locks(_after text, _limit integer)
RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    _lock text := {first};
    _next text;
    _head queue.job_queue;
BEGIN
    FOR _ IN 1.._limit LOOP
        {next}
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        _lock := _next;
        SELECT * INTO _head FROM queue.job_queue j
        WHERE j.lock = _lock AND j.status = 'pending' ORDER BY j.priority, j.seq LIMIT 1;
        IF FOUND AND _head.blocked AND NOT EXISTS (
            SELECT FROM queue.job_queue j WHERE j.lock = _lock AND j.status = 'processing') THEN
            PERFORM queue.job_unblock_head(_lock);
        END IF;
    END LOOP;
    RETURN _lock;
END
$$;
"""
NEXT = """IF _lock IS NULL THEN -- '' is a lock, too
            SELECT j.lock INTO _next FROM queue.job_queue j
            WHERE j.lock IS NOT NULL AND j.status = 'pending' ORDER BY j.lock LIMIT 1;
        ELSE
            SELECT j.lock INTO _next FROM queue.job_queue j
            WHERE j.lock > _lock AND j.status = 'pending' ORDER BY j.lock LIMIT 1;
        END IF;"""
OLD_NEXT = """SELECT j.lock INTO _next FROM queue.job_queue j
        WHERE j.lock > _lock AND j.status IN ('pending', 'processing')
        ORDER BY j.lock LIMIT 1;"""


def upgrade() -> None:
    op.execute(TAKE_PLACE.format(mark=MARK))
    op.execute(PLACE_INSERTED.format(options="SET enable_seqscan = off", find=FIND))
    op.execute(HEAL_LOCKS.format(first="_after", next=NEXT))


def downgrade() -> None:
    op.execute(HEAL_LOCKS.format(first="coalesce(_after, '')", next=OLD_NEXT))
    op.execute(PLACE_INSERTED.format(options="", find=OLD_FIND))
    op.execute(TAKE_PLACE.format(mark=OLD_MARK))

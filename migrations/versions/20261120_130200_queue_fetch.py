"""Fetch: the next job to run, at a cost that does not depend on how many wait, ran or will run.

Candidates come from the head of each queue's part of the fetch index, unlocked, best first; then
each is locked in turn (SKIP LOCKED) and looked at again, so that two fetches never wait for each
other nor take a lower job while a higher one is free. The window of candidates grows only while
others hold what was seen.
"""

from alembic import op

revision = "20261120_130200"
down_revision = "20261120_130100"
branch_labels = None
depends_on = None

UP = """
CREATE FUNCTION queue.job_promote_due(_limit integer)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    _now timestamptz := clock_timestamp(); -- a variable, because a volatile call uses no index
    _promoted integer;
    _queues text[];
BEGIN
    WITH due AS MATERIALIZED (
        SELECT j.id FROM queue.job_queue j
        WHERE j.status = 'pending' AND NOT j.ready AND NOT j.blocked
          AND coalesce(j.next_retry_at, j.scheduled_for) <= _now
        ORDER BY coalesce(j.next_retry_at, j.scheduled_for) LIMIT _limit
        FOR UPDATE SKIP LOCKED),
    promoted AS (
        UPDATE queue.job_queue j SET ready = true FROM due WHERE j.id = due.id
        RETURNING j.queue_name)
    SELECT count(*), array_agg(DISTINCT queue_name) INTO _promoted, _queues FROM promoted;
    IF _promoted > 0 THEN
        -- Here and not by a trigger a row: a thousand jobs may become due in one second.
        PERFORM queue.job_announce(q.name, 'job_inserted', NULL) FROM unnest(_queues) AS q(name);
    END IF;
    RETURN _promoted;
END
$$;
COMMENT ON FUNCTION queue.job_promote_due IS 'Jobs whose time has come enter the fetch index';

CREATE FUNCTION queue.job_next_due_seconds()
RETURNS double precision LANGUAGE sql VOLATILE AS $$
    SELECT greatest(0, extract(epoch FROM
        coalesce(j.next_retry_at, j.scheduled_for) - clock_timestamp()))::double precision
    FROM queue.job_queue j
    WHERE j.status = 'pending' AND NOT j.ready AND NOT j.blocked
    ORDER BY coalesce(j.next_retry_at, j.scheduled_for) LIMIT 1
$$;

CREATE FUNCTION queue.job_waiting_queues()
RETURNS text[] LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    _names text[] := ARRAY[]::text[];
    _name text := '';
BEGIN
    LOOP
        SELECT j.queue_name INTO _name FROM queue.job_queue j
        WHERE j.status = 'pending' AND j.ready AND NOT j.blocked AND j.queue_name > _name
        ORDER BY j.queue_name LIMIT 1;
        EXIT WHEN NOT FOUND;
        _names := _names || _name;
    END LOOP;
    RETURN _names;
END
$$;
COMMENT ON FUNCTION queue.job_waiting_queues IS
    'The queues that have a job to fetch, paused ones too; one index probe a queue';

CREATE FUNCTION queue.job_served_queues(_queues text[])
RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT n FROM unnest(coalesce(_queues, queue.job_waiting_queues())) AS n
        WHERE NOT EXISTS (
            SELECT FROM queue.queue_state s WHERE s.queue_name = n AND s.paused_at IS NOT NULL))
$$;
COMMENT ON FUNCTION queue.job_served_queues IS
    'The queues named (NULL: all that have a job to fetch) without the paused ones';

CREATE FUNCTION queue.job_start(_id uuid, _worker_id bigint)
RETURNS queue.job_queue LANGUAGE plpgsql AS $$
DECLARE
    _job queue.job_queue;
BEGIN
    UPDATE queue.job_queue j
    SET status = 'processing', worker_id = _worker_id, claim = j.claim + 1,
        started_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE j.id = _id RETURNING j.* INTO _job;
    RETURN _job;
END
$$;
COMMENT ON FUNCTION queue.job_start IS 'Only for job_fetch, which has locked and judged the row';

CREATE FUNCTION queue.job_fetch(
    _queues text[], _worker_id bigint, _busy boolean,
    OUT job queue.job_queue, OUT next_due_seconds double precision)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    _names text[];
    _window integer;
    _seen integer;
    _id uuid;
    _row queue.job_queue;
    _promoted boolean := false;
BEGIN
    LOOP
        _names := queue.job_served_queues(_queues);
        FOREACH _window IN ARRAY ARRAY[2, 32, 4096] LOOP
            _seen := 0;
            FOR _id IN
                SELECT c.id FROM unnest(_names) AS q(name) CROSS JOIN LATERAL (
                    SELECT j.id, j.priority, j.seq FROM queue.job_queue j
                    WHERE j.queue_name = q.name
                      AND j.status = 'pending' AND j.ready AND NOT j.blocked
                    ORDER BY j.priority, j.seq LIMIT _window) c
                ORDER BY c.priority, c.seq LIMIT _window
            LOOP
                _seen := _seen + 1;
                SELECT * INTO _row FROM queue.job_queue j
                WHERE j.id = _id AND j.status = 'pending' AND j.ready AND NOT j.blocked
                FOR UPDATE SKIP LOCKED;
                CONTINUE WHEN NOT FOUND;
                IF _busy AND _row.crashes >= 2 THEN
                    -- It may only run alone. Others go first for a while; then this worker
                    -- takes nothing more, until it is empty and can take this one.
                    IF _row.updated_at < clock_timestamp() - interval '30 seconds' THEN
                        RETURN;
                    END IF;
                    CONTINUE;
                END IF;
                IF _row.lock IS NULL THEN
                    job := queue.job_start(_id, _worker_id);
                    RETURN;
                END IF;
                CONTINUE WHEN NOT queue.job_take_place(_row);
                BEGIN
                    job := queue.job_start(_id, _worker_id);
                    RETURN;
                EXCEPTION WHEN unique_violation THEN
                    job := NULL; -- another fetch took a job of the same lock in this instant
                END;
            END LOOP;
            EXIT WHEN _seen < _window;
        END LOOP;
        EXIT WHEN _promoted;
        _promoted := queue.job_promote_due(100) > 0;
        EXIT WHEN NOT _promoted;
    END LOOP;
    next_due_seconds := queue.job_next_due_seconds();
END
$$;
COMMENT ON FUNCTION queue.job_fetch IS
    'One row always. job is NULL when there is nothing for this worker now; then '
    'next_due_seconds says when the next job of any queue is due (NULL: none is scheduled)';
"""

DOWN = """
DROP FUNCTION queue.job_fetch(text[], bigint, boolean);
DROP FUNCTION queue.job_start(uuid, bigint);
DROP FUNCTION queue.job_served_queues(text[]);
DROP FUNCTION queue.job_waiting_queues();
DROP FUNCTION queue.job_next_due_seconds();
DROP FUNCTION queue.job_promote_due(integer);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

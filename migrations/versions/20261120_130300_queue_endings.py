"""How a run of a job ends, under the fence, with its history; and the rescue of dead workers' jobs.

One function decides for every ending, whether the worker, the task's own transaction, the sweep or
the rescue asks: what counts as an attempt, when max_attempts is reached, what a queueing lock that
is taken means, and when a job that kills its workers is quarantined.
"""

from alembic import op

revision = "20261120_130300"
down_revision = "20261120_130200"
branch_labels = None
depends_on = None

UP = """
CREATE FUNCTION queue.job_remember(
    _job queue.job_queue, _outcome text, _error text, _error_class text)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO queue.job_attempts (
        job_id, attempt, worker_id, started_at, finished_at, outcome, error_class, error_message)
    VALUES (_job.id, _job.attempts + 1, _job.worker_id, _job.started_at, clock_timestamp(),
        _outcome, left(_error_class, 200), _error)
    ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION queue.job_end(
    _id uuid, _claim bigint, _worker_id bigint, _started_at timestamptz,
    _outcome text, _error text, _error_class text, _at timestamptz,
    _priority integer, _queue_name text, _lock text, _delete boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    _job queue.job_queue;
    _final text; -- the status a job ends with; NULL while it goes back
    _spent integer := CASE WHEN _outcome IN ('snooze', 'release', 'crash') THEN 0 ELSE 1 END;
    _crashed integer := CASE WHEN _outcome = 'crash' THEN 1 ELSE 0 END;
    _other uuid;
BEGIN
    IF _outcome NOT IN (
        'completed', 'failed', 'aborted', 'retry', 'snooze', 'release', 'crash') THEN
        RAISE EXCEPTION 'a run cannot end as %', _outcome USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO _job FROM queue.job_queue j
    WHERE j.id = _id AND j.status = 'processing' AND j.claim = _claim
      AND j.worker_id = _worker_id AND j.started_at = _started_at
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF _outcome IN ('completed', 'failed', 'aborted') THEN
        _final := _outcome;
    ELSIF _outcome = 'retry' AND _job.abort_requested THEN
        _final := 'failed';
        _spent := 0;
    ELSIF _outcome IN ('release', 'crash') AND _job.abort_requested THEN
        _final := 'aborted';
    ELSIF _outcome = 'retry' AND _job.attempts + 1 >= _job.max_attempts THEN
        _final := 'failed';
    ELSIF _outcome = 'crash' AND _job.crashes >= 2 THEN
        _final := 'failed';
        _error := format('quarantined after %s crashes, the last one while it ran alone in its '
            'worker: %s', _job.crashes + 1, _error);
    END IF;
    IF _delete AND _final IS NOT NULL THEN
        DELETE FROM queue.job_queue j WHERE j.id = _id;
        RETURN _final;
    END IF;
    IF _final IS NULL AND _job.queueing_lock IS NOT NULL THEN
        SELECT j.id INTO _other FROM queue.job_queue j
        WHERE j.queueing_lock = _job.queueing_lock AND j.status = 'pending';
    END IF;
    IF _final IS NULL AND _other IS NULL THEN
        BEGIN
            PERFORM queue.job_put_back(_id, _spent, _crashed, _error,
                CASE WHEN _outcome IN ('retry', 'snooze') THEN coalesce(_at, clock_timestamp()) END,
                _priority, _queue_name, _lock);
            IF _outcome <> 'release' THEN
                PERFORM queue.job_remember(_job, _outcome, _error, _error_class);
            END IF;
            RETURN 'pending';
        EXCEPTION WHEN unique_violation THEN
            SELECT j.id INTO _other FROM queue.job_queue j
            WHERE j.queueing_lock = _job.queueing_lock AND j.status = 'pending';
        END;
    END IF;
    IF _final IS NULL THEN
        _final := 'failed';
        _error := format('not put back: job %s waits with the same queueing lock "%s" and takes '
            'its place%s', coalesce(_other::text, '(gone again)'), _job.queueing_lock,
            coalesce('; ' || _error, ''));
    END IF;
    UPDATE queue.job_queue j
    SET status = _final, attempts = j.attempts + _spent, crashes = j.crashes + _crashed,
        abort_requested = false, next_retry_at = NULL,
        completed_at = clock_timestamp(), updated_at = clock_timestamp(),
        last_error = CASE WHEN _final = 'completed' THEN j.last_error
                          ELSE coalesce(_error, j.last_error, 'ended as ' || _final) END
    WHERE j.id = _id;
    IF _final <> 'completed' OR _job.attempts > 0 OR _job.crashes > 0 THEN
        PERFORM queue.job_remember(_job, CASE WHEN _outcome = 'crash' THEN 'crash' ELSE _final END,
            _error, _error_class);
    END IF;
    RETURN _final;
END
$$;
COMMENT ON FUNCTION queue.job_end IS
    'Ends the run with this claim; the resulting status, or NULL when it is not ours any more';

CREATE FUNCTION queue.job_put_back(
    _id uuid, _spent integer, _crashed integer, _error text, _at timestamptz,
    _priority integer, _queue_name text, _lock text)
RETURNS void LANGUAGE sql AS $$
    UPDATE queue.job_queue j
    SET status = 'pending', attempts = j.attempts + _spent, crashes = j.crashes + _crashed,
        next_retry_at = _at, last_error = coalesce(_error, j.last_error),
        priority = coalesce(_priority, j.priority),
        queue_name = coalesce(_queue_name, j.queue_name),
        lock = coalesce(_lock, j.lock), updated_at = clock_timestamp()
    WHERE j.id = _id
$$;

CREATE FUNCTION queue.job_retry_by_id(
    _id uuid, _at timestamptz, _priority integer, _queue_name text, _lock text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    _job queue.job_queue;
    _other uuid;
BEGIN
    SELECT * INTO _job FROM queue.job_queue j
    WHERE j.id = _id AND j.status IN ('processing', 'failed') FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF _job.status = 'processing' THEN
        RETURN queue.job_end(_id, _job.claim, _job.worker_id, _job.started_at, 'retry', NULL, NULL,
            _at, _priority, _queue_name, _lock, false);
    END IF;
    BEGIN
        PERFORM queue.job_put_back(_id, 1, 0, NULL, _at, _priority, _queue_name, _lock);
        RETURN 'pending';
    EXCEPTION WHEN unique_violation THEN
        SELECT j.id INTO _other FROM queue.job_queue j
        WHERE j.queueing_lock = _job.queueing_lock AND j.status = 'pending';
        UPDATE queue.job_queue j SET last_error = format(
            'not put back: job %s waits with the same queueing lock "%s"; %s',
            _other, j.queueing_lock, j.last_error)
        WHERE j.id = _id;
        RETURN 'failed';
    END;
END
$$;
COMMENT ON FUNCTION queue.job_retry_by_id IS
    'A retry without a claim: by hand, and by Procrastinate''s own job manager; the resulting '
    'status, or NULL when the job is neither running nor failed';

CREATE FUNCTION queue.job_worker_lock_class()
RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 2037671287 $$;
COMMENT ON FUNCTION queue.job_worker_lock_class IS
    'First half of the advisory lock a worker holds while it lives ("ytew"); the other is its id';

CREATE FUNCTION queue.job_dead_workers()
RETURNS TABLE (worker_id bigint, evidence text) LANGUAGE sql VOLATILE AS $$
    WITH owners AS MATERIALIZED (
        SELECT DISTINCT j.worker_id AS id FROM queue.job_queue j WHERE j.status = 'processing'),
    suspects AS MATERIALIZED (
        SELECT o.id, w.name, w.host, w.pid, w.last_heartbeat, w.stopped_at,
               w.last_heartbeat < clock_timestamp() - interval '30 seconds' AS silent
        FROM owners o LEFT JOIN queue.job_workers w ON w.id = o.id
        WHERE w.id IS NULL OR w.stopped_at IS NOT NULL
           OR w.last_heartbeat < clock_timestamp() - interval '3 seconds')
    SELECT s.id, format('worker %s (%s on %s, pid %s) %s', s.id, coalesce(s.name, '?'),
        coalesce(s.host, '?'), coalesce(s.pid::text, '?'),
        CASE WHEN s.last_heartbeat IS NULL THEN 'is unknown'
             WHEN s.stopped_at IS NOT NULL THEN 'had stopped at ' || s.stopped_at
             ELSE 'died; its last heartbeat was at ' || s.last_heartbeat END)
    FROM suspects s
    WHERE s.last_heartbeat IS NULL OR s.stopped_at IS NOT NULL OR s.silent
       OR NOT EXISTS (
           SELECT FROM pg_locks l
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
             AND l.classid = queue.job_worker_lock_class()::oid AND l.objid = s.id::oid
             AND l.database = (
                 SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
$$;
COMMENT ON FUNCTION queue.job_dead_workers IS
    'Owners of running jobs that are gone: unknown, stopped, silent for 30 s, or silent for 3 s '
    'without their session lock';

CREATE FUNCTION queue.job_rescue(OUT rescued integer, OUT quarantined integer)
LANGUAGE plpgsql AS $$
DECLARE
    _dead record;
    _job record;
BEGIN
    rescued := 0;
    quarantined := 0;
    -- A restart of the database frees every lock and delays every heartbeat.
    IF pg_postmaster_start_time() > clock_timestamp() - interval '15 seconds' THEN
        RETURN;
    END IF;
    FOR _dead IN SELECT d.worker_id, d.evidence FROM queue.job_dead_workers() d LOOP
        FOR _job IN
            SELECT j.id, j.claim, j.started_at FROM queue.job_queue j
            WHERE j.worker_id = _dead.worker_id AND j.status = 'processing'
            FOR UPDATE SKIP LOCKED
        LOOP
            rescued := rescued + 1;
            IF queue.job_end(_job.id, _job.claim, _dead.worker_id, _job.started_at, 'crash',
                _dead.evidence, 'WorkerDied', NULL, NULL, NULL, NULL, false) = 'failed' THEN
                quarantined := quarantined + 1;
            END IF;
        END LOOP;
        UPDATE queue.job_workers w SET stopped_at = clock_timestamp()
        WHERE w.id = _dead.worker_id AND w.stopped_at IS NULL;
    END LOOP;
END
$$;
COMMENT ON FUNCTION queue.job_rescue IS
    'Puts the jobs of dead workers back; run by every worker, and harmless to run at once';

CREATE FUNCTION queue.job_release_strays(
    _worker_id bigint, _running uuid[], _claims bigint[])
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    _job record;
    _released integer := 0;
BEGIN
    FOR _job IN
        SELECT j.id, j.claim, j.started_at FROM queue.job_queue j
        WHERE j.worker_id = _worker_id AND j.status = 'processing'
          AND NOT EXISTS (
              SELECT FROM unnest(_running, _claims) AS r(id, claim)
              WHERE r.id = j.id AND r.claim = j.claim)
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM queue.job_end(_job.id, _job.claim, _worker_id, _job.started_at, 'release',
            NULL, NULL, NULL, NULL, NULL, NULL, false);
        _released := _released + 1;
    END LOOP;
    RETURN _released;
END
$$;
COMMENT ON FUNCTION queue.job_release_strays IS
    'Jobs this worker holds by the table but does not run: a fetch whose answer was lost';
"""

DOWN = """
DROP FUNCTION queue.job_release_strays(bigint, uuid[], bigint[]);
DROP FUNCTION queue.job_rescue();
DROP FUNCTION queue.job_dead_workers();
DROP FUNCTION queue.job_worker_lock_class();
DROP FUNCTION queue.job_retry_by_id(uuid, timestamptz, integer, text, text);
DROP FUNCTION queue.job_end(uuid, bigint, bigint, timestamptz, text, text, text, timestamptz,
    integer, text, text, boolean);
DROP FUNCTION queue.job_put_back(uuid, integer, integer, text, timestamptz, integer, text, text);
DROP FUNCTION queue.job_remember(queue.job_queue, text, text, text);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

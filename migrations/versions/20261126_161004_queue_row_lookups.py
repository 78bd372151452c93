"""Fetch and end a job by its id alone, with no plan that fits only the table of an hour ago.

As in the migration before: a partial index that was empty when a session planned is read whole for
every job once it has filled. Fetch looked its candidate up in the fetch index that way, and job_end
in that of the running jobs. A table that was small then is no better: its plan reads it whole, so
what runs all the time may not scan. And a fetch no longer gives up after 4,096 rows that somebody
else has locked: a person's large UPDATE must not hide the other queues.
"""

from alembic import op

revision = "20261126_161004"
down_revision = "20261126_161003"
branch_labels = None
depends_on = None

JOB_FETCH = """
CREATE OR REPLACE FUNCTION queue.job_fetch(
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
        FOREACH _window IN ARRAY {windows} LOOP
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
                {again}
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
"""
WINDOWS = "ARRAY[2, 32, 4096, NULL]"
OLD_WINDOWS = "ARRAY[2, 32, 4096]"
AGAIN = """-- CASE keeps the planner from any index but that of the id.
                SELECT * INTO _row FROM queue.job_queue j
                WHERE j.id = _id
                  AND CASE j.status WHEN 'pending' THEN j.ready AND NOT j.blocked ELSE false END
                FOR UPDATE SKIP LOCKED;"""
OLD_AGAIN = """SELECT * INTO _row FROM queue.job_queue j
                WHERE j.id = _id AND j.status = 'pending' AND j.ready AND NOT j.blocked
                FOR UPDATE SKIP LOCKED;"""

JOB_END = """
CREATE OR REPLACE FUNCTION queue.job_end(
    _id uuid, _claim bigint, _worker_id bigint, _started_at timestamptz,
    _outcome text, _error text, _error_class text, _at timestamptz,
    _priority integer, _queue_name text, _lock text, _delete boolean)
RETURNS text LANGUAGE plpgsql {options} AS $$
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
    {find}
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
"""
FIND = """SELECT * INTO _job FROM queue.job_queue j
    WHERE j.id = _id AND CASE j.status WHEN 'processing' THEN j.claim = _claim
        AND j.worker_id = _worker_id AND j.started_at = _started_at ELSE false END
    FOR UPDATE;
    IF NOT FOUND THEN"""
OLD_FIND = """SELECT * INTO _job FROM queue.job_queue j
    WHERE j.id = _id AND j.status = 'processing' AND j.claim = _claim
      AND j.worker_id = _worker_id AND j.started_at = _started_at
    FOR UPDATE;
    IF NOT FOUND THEN"""

# What runs all the time; what these call runs under the same setting.
WITHOUT_SCANS = (
    "job_next_due_seconds()",
    "job_release_strays(bigint, uuid[], bigint[])",
    "job_rescue()",
    "job_retry_by_id(uuid, timestamptz, integer, text, text)",
)


def upgrade() -> None:
    op.execute(JOB_FETCH.format(windows=WINDOWS, again=AGAIN))
    op.execute(JOB_END.format(options="SET enable_seqscan = off", find=FIND))
    for function in WITHOUT_SCANS:
        op.execute(f"ALTER FUNCTION queue.{function} SET enable_seqscan = off")


def downgrade() -> None:
    for function in WITHOUT_SCANS:
        op.execute(f"ALTER FUNCTION queue.{function} RESET enable_seqscan")
    op.execute(JOB_END.format(options="", find=OLD_FIND))
    op.execute(JOB_FETCH.format(windows=OLD_WINDOWS, again=OLD_AGAIN))

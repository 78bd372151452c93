"""Order inside a lock: `blocked` takes what waits behind a lock's head out of the fetch index.

`blocked` is a hint with one guarantee. False means "perhaps the head": a fetch checks. True means
that somebody ahead will, on leaving, look for the next head. To keep that promise, whoever sets it
holds a share lock on the one ahead until its own commit: a leaver waits for that, and then sees the
blocked row; a leaver that came first makes the share lock fail, and nothing is marked. Nobody waits
for a transaction that a person holds open: inserts mark at their commit, and everyone else skips
what is locked.
"""

from alembic import op

revision = "20261120_130100"
down_revision = "20261120_130000"
branch_labels = None
depends_on = None

UP = """
CREATE FUNCTION queue.job_take_place(_job queue.job_queue)
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
        UPDATE queue.job_queue j SET blocked = true WHERE j.id = _job.id AND j.status = 'pending';
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION queue.job_take_place IS
    'True if the pending job is the head of its lock; if not, marks it blocked when that is safe';

CREATE FUNCTION queue.job_unblock_head(_lock text)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE queue.job_queue SET blocked = false
    WHERE blocked AND id = (
        SELECT j.id FROM queue.job_queue j
        WHERE j.lock = _lock AND j.status = 'pending'
        ORDER BY j.priority, j.seq LIMIT 1 FOR UPDATE SKIP LOCKED);
END
$$;
COMMENT ON FUNCTION queue.job_unblock_head IS
    'Clears blocked on the first pending job of a lock that nobody else is changing';

CREATE FUNCTION queue.job_left_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM queue.job_unblock_head(OLD.lock);
    RETURN NULL;
END
$$;
CREATE TRIGGER left_by_update AFTER UPDATE ON queue.job_queue
    FOR EACH ROW WHEN (
        OLD.lock IS NOT NULL AND OLD.status IN ('pending', 'processing') AND (
            NEW.lock IS DISTINCT FROM OLD.lock
            OR NEW.priority <> OLD.priority
            OR (NEW.status <> OLD.status AND NEW.status <> 'processing')))
    EXECUTE FUNCTION queue.job_left_place();
CREATE TRIGGER left_by_delete AFTER DELETE ON queue.job_queue
    FOR EACH ROW WHEN (OLD.lock IS NOT NULL AND OLD.status IN ('pending', 'processing'))
    EXECUTE FUNCTION queue.job_left_place();

CREATE FUNCTION queue.job_place_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _job queue.job_queue;
BEGIN
    SELECT * INTO _job FROM queue.job_queue j
    WHERE j.id = NEW.id AND j.status = 'pending' AND j.lock IS NOT NULL AND NOT j.blocked;
    IF FOUND THEN
        PERFORM queue.job_take_place(_job);
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER place_inserted AFTER INSERT ON queue.job_queue
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.lock IS NOT NULL AND NEW.status = 'pending')
    EXECUTE FUNCTION queue.job_place_inserted();

CREATE FUNCTION queue.job_heal_locks(_after text, _limit integer)
RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    _lock text := coalesce(_after, '');
    _next text;
    _head queue.job_queue;
BEGIN
    FOR _ IN 1.._limit LOOP
        SELECT j.lock INTO _next FROM queue.job_queue j
        WHERE j.lock > _lock AND j.status IN ('pending', 'processing')
        ORDER BY j.lock LIMIT 1;
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
COMMENT ON FUNCTION queue.job_heal_locks IS
    'The safety net under the promise: looks through the next locks after the one given, and '
    'returns where to go on, NULL at the end. Also heals a blocked set by hand';
"""

DOWN = """
DROP FUNCTION queue.job_heal_locks(text, integer);
DROP TRIGGER place_inserted ON queue.job_queue;
DROP TRIGGER left_by_delete ON queue.job_queue;
DROP TRIGGER left_by_update ON queue.job_queue;
DROP FUNCTION queue.job_place_inserted();
DROP FUNCTION queue.job_left_place();
DROP FUNCTION queue.job_take_place(queue.job_queue);
DROP FUNCTION queue.job_unblock_head(text);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

"""Keep every row of the job queue whole, whoever writes it, and tell workers about it.

The triggers fire for what changes a job's place in the queue and stay silent on the two hot paths
(pending -> processing -> completed), whose statements write whole rows themselves.
"""

from alembic import op

revision = "20261120_130000"
down_revision = "20261120_120500"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE queue.job_queue
    ADD CONSTRAINT owned_while_processing CHECK (
        status <> 'processing' OR (worker_id IS NOT NULL AND started_at IS NOT NULL)),
    ADD CONSTRAINT ended_has_time CHECK (
        status IN ('pending', 'processing') OR completed_at IS NOT NULL),
    ADD CONSTRAINT failed_has_error CHECK (status <> 'failed' OR last_error IS NOT NULL),
    ADD CONSTRAINT counters_not_negative CHECK (attempts >= 0 AND crashes >= 0),
    ADD CONSTRAINT named_job_type CHECK (job_type <> ''),
    ADD CONSTRAINT named_queue CHECK (queue_name <> ''),
    -- What would keep a waiting job out of the fetch index for ever.
    ADD CONSTRAINT blocked_by_a_lock CHECK (NOT blocked OR lock IS NOT NULL),
    ADD CONSTRAINT not_ready_has_time CHECK (
        ready OR coalesce(next_retry_at, scheduled_for) IS NOT NULL);
CREATE INDEX idx_queue_ended ON queue.job_queue(completed_at)
    WHERE status IN ('completed', 'failed', 'cancelled', 'aborted');
ALTER TABLE queue.queue_state
    ADD CONSTRAINT queue_name_fits CHECK (octet_length(queue_name) <= 40);

CREATE FUNCTION queue.job_limit_payload() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _limit CONSTANT integer := 1048576;
    _size integer := octet_length(NEW.payload::text);
BEGIN
    IF _size > _limit THEN
        RAISE EXCEPTION 'the payload has % bytes of JSON, the limit is %', _size, _limit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payload_size',
                  SCHEMA = 'queue', TABLE = 'job_queue', COLUMN = 'payload',
                  HINT = 'Put large input into the artifact store and its key into the payload.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION queue.job_limit_payload IS
    'Trigger, not CHECK: a CHECK would turn the payload into text at every update of the row';
CREATE TRIGGER limit_payload BEFORE INSERT OR UPDATE OF payload ON queue.job_queue
    FOR EACH ROW EXECUTE FUNCTION queue.job_limit_payload();

CREATE FUNCTION queue.job_settle_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'pending' THEN
        NEW.ready := coalesce(
            coalesce(NEW.next_retry_at, NEW.scheduled_for) <= clock_timestamp(), true);
        NEW.blocked := false;
        NEW.worker_id := NULL;
        NEW.completed_at := NULL;
        NEW.abort_requested := false;
    ELSIF NEW.status <> 'processing' THEN
        NEW.completed_at := coalesce(NEW.completed_at, clock_timestamp());
        IF NEW.status = 'failed' THEN
            NEW.last_error := coalesce(NEW.last_error,
                'set to failed by ' || session_user || ' without a reason');
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION queue.job_settle_row IS
    'Trigger: what follows from a new status or time, for rows written by hand as by us';
CREATE TRIGGER settle_inserted BEFORE INSERT ON queue.job_queue
    FOR EACH ROW EXECUTE FUNCTION queue.job_settle_row();
CREATE TRIGGER settle_updated BEFORE UPDATE ON queue.job_queue
    FOR EACH ROW WHEN (
        (NEW.status = 'pending' AND (
            OLD.status <> 'pending'
            OR OLD.scheduled_for IS DISTINCT FROM NEW.scheduled_for
            OR OLD.next_retry_at IS DISTINCT FROM NEW.next_retry_at
            OR OLD.priority <> NEW.priority
            OR OLD.lock IS DISTINCT FROM NEW.lock))
        OR (NEW.status IN ('completed', 'failed', 'cancelled', 'aborted')
            AND (NEW.completed_at IS NULL
                 OR (NEW.status = 'failed' AND NEW.last_error IS NULL))))
    EXECUTE FUNCTION queue.job_settle_row();

CREATE FUNCTION queue.job_announce(_queue_name text, _type text, _job_id uuid)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _payload text := json_build_object('type', _type, 'job_id', _job_id)::text;
BEGIN
    PERFORM pg_notify('procrastinate_queue_v1#' || _queue_name, _payload);
    PERFORM pg_notify('procrastinate_any_queue_v1', _payload);
END
$$;
COMMENT ON FUNCTION queue.job_announce IS
    'On the two channels Procrastinate listens on; equal ones of a transaction are sent once';

CREATE FUNCTION queue.job_announce_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _first record;
    _quiet text := coalesce(current_setting('ytempire.quiet_queue', true), '');
BEGIN
    IF _quiet <> '' THEN
        PERFORM set_config('ytempire.quiet_queue', '', true); -- it is for one statement
    END IF;
    FOR _first IN
        SELECT DISTINCT ON (i.queue_name) i.queue_name, i.id,
               count(*) OVER (PARTITION BY i.queue_name) AS jobs
        FROM inserted i WHERE i.status = 'pending' ORDER BY i.queue_name, i.seq
    LOOP
        -- The worker that ends its job in this transaction takes up a single next one itself.
        IF _first.queue_name <> _quiet OR _first.jobs > 1 THEN
            PERFORM queue.job_announce(_first.queue_name, 'job_inserted', _first.id);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION queue.job_announce_inserted IS
    'Trigger: one notification a queue and statement, a job of a later day included, so that '
    'a worker learns when to wake';
CREATE TRIGGER announce_inserted AFTER INSERT ON queue.job_queue
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION queue.job_announce_inserted();

CREATE FUNCTION queue.job_announce_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'pending' THEN
        -- Without the job's id, so that a thousand rows put back make one notification.
        PERFORM queue.job_announce(NEW.queue_name, 'job_inserted', NULL);
    ELSE
        PERFORM queue.job_announce(NEW.queue_name, 'abort_job_requested', NEW.id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER announce_pending AFTER UPDATE ON queue.job_queue
    FOR EACH ROW WHEN (
        NEW.status = 'pending' AND NOT NEW.blocked AND (
            OLD.status <> 'pending' OR OLD.blocked
            OR OLD.queue_name <> NEW.queue_name
            OR OLD.scheduled_for IS DISTINCT FROM NEW.scheduled_for
            OR OLD.next_retry_at IS DISTINCT FROM NEW.next_retry_at))
    EXECUTE FUNCTION queue.job_announce_updated();
CREATE TRIGGER announce_abort AFTER UPDATE ON queue.job_queue
    FOR EACH ROW WHEN (
        OLD.status = 'processing' AND (
            (NEW.status = 'processing' AND NEW.abort_requested AND NOT OLD.abort_requested)
            OR NEW.status = 'cancelled'))
    EXECUTE FUNCTION queue.job_announce_updated();
"""

DOWN = """
DROP TRIGGER announce_abort ON queue.job_queue;
DROP TRIGGER announce_pending ON queue.job_queue;
DROP TRIGGER announce_inserted ON queue.job_queue;
DROP TRIGGER settle_updated ON queue.job_queue;
DROP TRIGGER settle_inserted ON queue.job_queue;
DROP FUNCTION queue.job_announce_updated();
DROP FUNCTION queue.job_announce_inserted();
DROP FUNCTION queue.job_announce(text, text, uuid);
DROP FUNCTION queue.job_settle_row();
DROP TRIGGER limit_payload ON queue.job_queue;
DROP FUNCTION queue.job_limit_payload();
ALTER TABLE queue.queue_state DROP CONSTRAINT queue_name_fits;
DROP INDEX queue.idx_queue_ended;
ALTER TABLE queue.job_queue
    DROP CONSTRAINT owned_while_processing,
    DROP CONSTRAINT ended_has_time,
    DROP CONSTRAINT failed_has_error,
    DROP CONSTRAINT counters_not_negative,
    DROP CONSTRAINT named_job_type,
    DROP CONSTRAINT named_queue,
    DROP CONSTRAINT blocked_by_a_lock,
    DROP CONSTRAINT not_ready_has_time;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

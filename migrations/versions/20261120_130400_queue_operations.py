"""Put a job back by hand: what `ytempire job retry` does."""

from alembic import op

revision = "20261120_130400"
down_revision = "20261120_130300"
branch_labels = None
depends_on = None

UP = """
CREATE FUNCTION queue.job_restart(_id uuid, _note text, OUT status text, OUT waiting_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    _job queue.job_queue;
BEGIN
    SELECT * INTO _job FROM queue.job_queue j WHERE j.id = _id FOR UPDATE;
    status := _job.status;
    IF NOT FOUND OR _job.status IN ('processing', 'completed')
       OR (_job.status = 'pending' AND _job.ready) THEN
        RETURN;
    END IF;
    BEGIN
        UPDATE queue.job_queue j
        SET status = 'pending', attempts = 0, crashes = 0, next_retry_at = NULL,
            scheduled_for = clock_timestamp(), last_error = coalesce(_note, j.last_error),
            updated_at = clock_timestamp()
        WHERE j.id = _id;
        status := 'restarted';
    EXCEPTION WHEN unique_violation THEN
        SELECT j.id INTO waiting_id FROM queue.job_queue j
        WHERE j.queueing_lock = _job.queueing_lock AND j.status = 'pending';
    END;
END
$$;
COMMENT ON FUNCTION queue.job_restart IS
    'Puts an ended or waiting job back with all its attempts: status is restarted; else what it is '
    '(running, completed, ready already), or waiting_id names the job that has its queueing lock';
"""

DOWN = """
DROP FUNCTION queue.job_restart(uuid, text);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

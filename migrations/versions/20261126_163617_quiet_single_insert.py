"""Ask less of an insert of one job that its sender announces itself."""

from alembic import op

revision = "20261126_163617"
down_revision = "20261126_163000"
branch_labels = None
depends_on = None

BEGIN = """
CREATE OR REPLACE FUNCTION queue.job_announce_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _first record;
    _quiet text := coalesce(current_setting('ytempire.quiet_queue', true), '');
BEGIN
    IF _quiet <> '' THEN
        PERFORM set_config('ytempire.quiet_queue', '', true); -- it is for one statement
"""
QUICK = """
        IF (SELECT count(*) = 1 AND min(i.queue_name) = _quiet FROM inserted i) THEN
            RETURN NULL;
        END IF;
"""
END = """
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
"""


def upgrade() -> None:
    op.execute(BEGIN + QUICK + END)


def downgrade() -> None:
    op.execute(BEGIN + END)

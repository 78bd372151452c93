"""Refuse what PostgreSQL can hold and Python cannot read: one such job stopped every worker.

A worker that cannot decode the row it has claimed never runs it; the row comes back, first in
order, for ever. Times outside Python's years, nesting beyond its recursion and numbers beyond its
digits can come by SQL only, and are refused there.
"""

from alembic import op

revision = "20261126_163000"
down_revision = "20261126_161004"
branch_labels = None
depends_on = None

UP = """
UPDATE queue.job_queue
SET scheduled_for = greatest('0001-01-01Z', least('9999-12-31 23:59:59.999999Z', scheduled_for)),
    next_retry_at = CASE WHEN next_retry_at IS NOT NULL
        THEN greatest('0001-01-01Z', least('9999-12-31 23:59:59.999999Z', next_retry_at)) END
WHERE NOT (scheduled_for BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z')
   OR NOT (next_retry_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z');
ALTER TABLE queue.job_queue ADD CONSTRAINT times_in_the_calendar CHECK (
    scheduled_for BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z'
    AND next_retry_at BETWEEN '0001-01-01Z' AND '9999-12-31 23:59:59.999999Z');

CREATE OR REPLACE FUNCTION queue.job_limit_payload() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _limit CONSTANT integer := 1048576;
    _text text := NEW.payload::text;
    _size integer := octet_length(_text);
    _problem text;
BEGIN
    IF _size > _limit THEN
        RAISE EXCEPTION 'the payload has % bytes of JSON, the limit is %', _size, _limit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payload_size',
                  SCHEMA = 'queue', TABLE = 'job_queue', COLUMN = 'payload',
                  HINT = 'Put large input into the artifact store and its key into the payload.';
    END IF;
    -- The paths are walked only when the text leaves it open, which that of a usual job does not.
    IF _size > 200 AND _size - octet_length(translate(_text, '[{', '')) > 100
       AND jsonb_path_exists(NEW.payload, 'strict $.**{101}') THEN
        _problem := 'is nested over 100 deep';
    ELSIF _size > 4000 AND jsonb_path_exists(NEW.payload,
        '$.** ? (@.type() == "number" && (@ > 1e4000 || @ < -1e4000))') THEN
        _problem := 'has a number of over 4000 digits';
    END IF;
    IF _problem IS NOT NULL THEN
        RAISE EXCEPTION 'the payload %: no worker could read it', _problem
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payload_readable',
                  SCHEMA = 'queue', TABLE = 'job_queue', COLUMN = 'payload';
    END IF;
    RETURN NEW;
END
$$;
"""

DOWN = """
CREATE OR REPLACE FUNCTION queue.job_limit_payload() RETURNS trigger LANGUAGE plpgsql AS $$
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
ALTER TABLE queue.job_queue DROP CONSTRAINT times_in_the_calendar;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

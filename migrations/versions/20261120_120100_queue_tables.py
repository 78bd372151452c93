"""Create the schemas, the updated_at trigger function and the tables of the queue."""

from alembic import op

revision = "20261120_120100"
down_revision = None
branch_labels = None
depends_on = None

UP = """
CREATE SCHEMA IF NOT EXISTS queue;
CREATE SCHEMA IF NOT EXISTS analytics;

CREATE FUNCTION public.set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION public.set_updated_at() IS 'Trigger: the time of the last change of a row';

CREATE TABLE queue.job_workers (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name varchar(255),
    host varchar(255),
    pid integer,
    queues text[],
    started_at timestamptz NOT NULL DEFAULT now(),
    last_heartbeat timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz
);

CREATE TABLE queue.job_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    job_type varchar(100) NOT NULL,
    queue_name varchar(40) NOT NULL DEFAULT 'default' CHECK (octet_length(queue_name) <= 40),
    priority integer NOT NULL DEFAULT 5 CONSTRAINT valid_priority
        CHECK (priority BETWEEN 1 AND 10),
    payload jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(payload) = 'object'),
    scheduled_for timestamptz DEFAULT now(),
    status varchar(20) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending','processing','completed','failed','cancelled',
        'aborted')),
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer DEFAULT 3 CHECK (max_attempts > 0),
    crashes integer NOT NULL DEFAULT 0,
    claim bigint NOT NULL DEFAULT 0,
    ready boolean NOT NULL DEFAULT true,
    blocked boolean NOT NULL DEFAULT false,
    worker_id bigint,
    started_at timestamptz,
    completed_at timestamptz,
    last_error text,
    next_retry_at timestamptz,
    lock text,
    queueing_lock text,
    idempotency_key varchar(200) UNIQUE,
    abort_requested boolean NOT NULL DEFAULT false,
    requested_by varchar(100),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idx_queue_ready ON queue.job_queue(queue_name, priority, seq)
    WHERE status = 'pending' AND ready AND NOT blocked;
CREATE INDEX idx_queue_due ON queue.job_queue(coalesce(next_retry_at, scheduled_for))
    WHERE status = 'pending' AND NOT ready AND NOT blocked;
CREATE INDEX idx_queue_lock_order ON queue.job_queue(lock, priority, seq)
    WHERE lock IS NOT NULL AND status IN ('pending','processing');
CREATE UNIQUE INDEX uq_queue_queueing_lock ON queue.job_queue(queueing_lock)
    WHERE status = 'pending';
CREATE UNIQUE INDEX uq_queue_lock ON queue.job_queue(lock) WHERE status = 'processing';
CREATE INDEX idx_queue_worker ON queue.job_queue(worker_id) WHERE status = 'processing';
CREATE INDEX idx_queue_type ON queue.job_queue(job_type, created_at DESC);

CREATE TABLE queue.job_attempts (
    job_id uuid NOT NULL REFERENCES queue.job_queue(id) ON DELETE CASCADE,
    attempt integer NOT NULL,
    worker_id bigint,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    outcome varchar(20),
    error_class varchar(200),
    error_message text,
    PRIMARY KEY (job_id, attempt, started_at)
);

CREATE TABLE queue.periodic_ticks (
    job_type varchar(100) NOT NULL,
    periodic_id varchar(100) NOT NULL,
    tick bigint NOT NULL,
    job_id uuid,
    PRIMARY KEY (job_type, periodic_id, tick)
);

CREATE TABLE queue.queue_state (
    queue_name varchar(100) PRIMARY KEY,
    paused_at timestamptz,
    paused_by varchar(100),
    reason text
);

COMMENT ON TABLE queue.job_workers IS
    'One row a worker process, kept after it stopped so that history stays readable';
COMMENT ON COLUMN queue.job_workers.last_heartbeat IS
    'Written every second by the living; over 30 s old means dead';
COMMENT ON COLUMN queue.job_workers.stopped_at IS
    'Set by an orderly stop or by the rescue; a later heartbeat clears it';
COMMENT ON TABLE queue.job_queue IS
    'One row a job. INSERT (job_type, payload) is enough to enqueue one';
COMMENT ON COLUMN queue.job_queue.seq IS 'Order of deferral';
COMMENT ON COLUMN queue.job_queue.queue_name IS
    'At most 40 bytes: its NOTIFY channel must fit 63';
COMMENT ON COLUMN queue.job_queue.priority IS '1 is served first, 10 last';
COMMENT ON COLUMN queue.job_queue.scheduled_for IS 'NULL: at once';
COMMENT ON COLUMN queue.job_queue.max_attempts IS
    'Exact: 3 means three runs. NULL: the retry strategy of the task decides alone';
COMMENT ON COLUMN queue.job_queue.crashes IS
    'Rescues after a dead worker, counted apart from attempts';
COMMENT ON COLUMN queue.job_queue.claim IS
    'The fence: bumped by every fetch; finish, retry and completion are guarded by it';
COMMENT ON COLUMN queue.job_queue.ready IS 'Due now';
COMMENT ON COLUMN queue.job_queue.blocked IS 'Waits behind the head of its lock';
COMMENT ON COLUMN queue.job_queue.worker_id IS
    'queue.job_workers.id of the present or last owner';
COMMENT ON COLUMN queue.job_queue.idempotency_key IS
    'Of command line and SQL; HTTP keys are kept with their answers';
COMMENT ON TABLE queue.job_attempts IS
    'What happened in each attempt of a job that needed more than one';
COMMENT ON TABLE queue.periodic_ticks IS
    'Periodic occurrences already deferred; outlives their jobs';
COMMENT ON TABLE queue.queue_state IS 'Queues that are, or were, paused; no row means running';
"""

DOWN = """
DROP TABLE queue.queue_state;
DROP TABLE queue.periodic_ticks;
DROP TABLE queue.job_attempts;
DROP TABLE queue.job_queue;
DROP TABLE queue.job_workers;
DROP FUNCTION public.set_updated_at();
DROP SCHEMA analytics;
DROP SCHEMA queue;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

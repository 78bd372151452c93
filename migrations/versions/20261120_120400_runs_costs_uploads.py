"""Create runs, steps, costs, uploads, ledger and quota; the workflow line."""

from alembic import op

revision = "20261120_120400"
down_revision = "20261120_120300"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE automation_workflows (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL UNIQUE,
    workflow_type varchar(100) NOT NULL
        CHECK (workflow_type IN ('content_generation','video_processing','publishing',
        'analytics_update','maintenance')),
    n8n_workflow_id varchar(255),
    trigger_type varchar(20) NOT NULL DEFAULT 'manual'
        CHECK (trigger_type IN ('schedule','webhook','manual')),
    schedule_cron varchar(255),
    channel_id uuid REFERENCES channels(id) ON DELETE CASCADE,
    timezone varchar(50) NOT NULL DEFAULT 'UTC',
    priority integer NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 10),
    catch_up varchar(10) NOT NULL DEFAULT 'latest'
        CHECK (catch_up IN ('none','latest','all')),
    is_active boolean NOT NULL DEFAULT true,
    last_run_at timestamptz,
    last_run_status varchar(20),
    next_run_at timestamptz,
    configuration jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER trg_automation_workflows_updated_at BEFORE UPDATE ON automation_workflows
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE workflow_executions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_id uuid NOT NULL REFERENCES automation_workflows(id) ON DELETE RESTRICT,
    execution_id varchar(255),
    channel_id uuid REFERENCES channels(id) ON DELETE SET NULL,
    trend_id uuid REFERENCES trends(id) ON DELETE SET NULL,
    video_id uuid REFERENCES videos(id) ON DELETE SET NULL,
    trigger_data jsonb NOT NULL DEFAULT '{}',
    api_key_id uuid,
    idempotency_key varchar(200),
    callback_url text,
    current_step varchar(50),
    state jsonb NOT NULL DEFAULT '{}',
    priority integer NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 10),
    status varchar(20) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending','queued','running','waiting','retrying','success',
        'failed','timeout','cancelled')),
    publish_at timestamptz,
    next_retry_at timestamptz,
    deadline_at timestamptz,
    cancel_requested_at timestamptz,
    approved_at timestamptz,
    approved_by varchar(100),
    started_at timestamptz,
    completed_at timestamptz,
    duration_seconds integer,
    heartbeat_at timestamptz,
    output_data jsonb NOT NULL DEFAULT '{}',
    error_message text,
    error_details jsonb,
    retry_count integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL DEFAULT 3,
    items_processed integer NOT NULL DEFAULT 0,
    cost numeric(12,6) NOT NULL DEFAULT 0,
    resource_usage jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX uq_exec_one_active_per_video ON workflow_executions(video_id)
    WHERE status IN ('pending','queued','running','waiting','retrying');
CREATE UNIQUE INDEX uq_exec_idempotency ON workflow_executions(idempotency_key)
    WHERE idempotency_key IS NOT NULL AND api_key_id IS NULL;
CREATE INDEX idx_exec_n8n ON workflow_executions(execution_id)
    WHERE execution_id IS NOT NULL;
CREATE INDEX idx_executions_status ON workflow_executions(status, started_at DESC);
CREATE TRIGGER trg_workflow_executions_updated_at BEFORE UPDATE ON workflow_executions
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE workflow_steps (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    execution_id uuid NOT NULL REFERENCES workflow_executions(id) ON DELETE CASCADE,
    step_name varchar(50) NOT NULL
        CHECK (step_name IN ('trend_pick','script','voice','render','upload',
        'analytics_pull')),
    step_no integer NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending','running','retrying','waiting','success','failed',
        'skipped','cancelled')),
    next_retry_at timestamptz,
    attempt integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    job_id uuid,
    input jsonb NOT NULL DEFAULT '{}',
    output jsonb NOT NULL DEFAULT '{}',
    error_message text,
    cost numeric(12,6) NOT NULL DEFAULT 0,
    started_at timestamptz,
    completed_at timestamptz,
    UNIQUE (execution_id, step_name)
);

CREATE TABLE video_costs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    video_id uuid NOT NULL REFERENCES videos(id) ON DELETE RESTRICT,
    workflow_execution_id uuid REFERENCES workflow_executions(id) ON DELETE SET NULL,
    service varchar(50) NOT NULL,
    operation varchar(100),
    amount numeric(12,6) NOT NULL CHECK (amount >= 0),
    currency varchar(3) NOT NULL DEFAULT 'USD',
    units_consumed numeric(14,2),
    unit_type varchar(50),
    rate_per_unit numeric(18,12),
    request_id varchar(100),
    idempotency_key varchar(200) NOT NULL UNIQUE,
    response_time_ms integer,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_video_costs_video ON video_costs(video_id);
CREATE INDEX idx_video_costs_service ON video_costs(service, created_at DESC);

CREATE TABLE video_uploads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    video_id uuid NOT NULL REFERENCES videos(id) ON DELETE RESTRICT,
    execution_id uuid NOT NULL REFERENCES workflow_executions(id) ON DELETE RESTRICT,
    youtube_account_id uuid REFERENCES youtube_accounts(id) ON DELETE SET NULL,
    expected_channel_id varchar(100),
    fence bigint NOT NULL,
    marker varchar(40) NOT NULL UNIQUE,
    file_sha256 varchar(64) NOT NULL,
    size_bytes bigint NOT NULL,
    status varchar(20) NOT NULL
        CHECK (status IN ('reserved','uploading','uploaded','published','failed',
        'unknown','abandoned')),
    session_uri jsonb,
    youtube_video_id varchar(50),
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX uq_uploads_live ON video_uploads(video_id)
    WHERE status IN ('reserved','uploading','uploaded','published','unknown');
CREATE TRIGGER trg_video_uploads_updated_at BEFORE UPDATE ON video_uploads
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE provider_calls (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    step_id uuid NOT NULL REFERENCES workflow_steps(id) ON DELETE RESTRICT,
    service varchar(50) NOT NULL,
    operation varchar(100) NOT NULL,
    request_hash varchar(64) NOT NULL,
    shard integer NOT NULL DEFAULT 0,
    try_no integer NOT NULL DEFAULT 1,
    amount_reserved numeric(12,6) NOT NULL DEFAULT 0,
    amount_actual numeric(12,6),
    status varchar(20) NOT NULL DEFAULT 'intent'
        CHECK (status IN ('intent','done','unknown','failed')),
    fence bigint NOT NULL,
    provider_ref varchar(200),
    response_artifact varchar(500),
    error_message text,
    settle_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (step_id, operation, shard, request_hash, try_no)
);
CREATE INDEX idx_provider_calls_open ON provider_calls(settle_at)
    WHERE status IN ('intent','unknown');
CREATE TRIGGER trg_provider_calls_updated_at BEFORE UPDATE ON provider_calls
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE account_reservations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    execution_id uuid NOT NULL REFERENCES workflow_executions(id) ON DELETE CASCADE,
    youtube_account_id uuid NOT NULL REFERENCES youtube_accounts(id) ON DELETE CASCADE,
    quota_date date NOT NULL,
    units jsonb NOT NULL,
    status varchar(10) NOT NULL DEFAULT 'held' CHECK (status IN ('held','spent','released')),
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX uq_reservation_held ON account_reservations(execution_id)
    WHERE status = 'held';

CREATE TABLE quota_usage (
    quota_project_id varchar(100) NOT NULL,
    bucket varchar(50) NOT NULL,
    quota_date date NOT NULL,
    used integer NOT NULL DEFAULT 0,
    quota_limit integer NOT NULL,
    PRIMARY KEY (quota_project_id, bucket, quota_date),
    CHECK (used >= 0)
);

CREATE TABLE account_events (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    youtube_account_id uuid NOT NULL REFERENCES youtube_accounts(id) ON DELETE CASCADE,
    event varchar(40) NOT NULL,
    reason text,
    health_before numeric(5,2),
    health_after numeric(5,2),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE notifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    type varchar(20) NOT NULL CHECK (type IN ('info','success','warning','error')),
    title varchar(255) NOT NULL,
    message text,
    action_url text,
    action_label varchar(100),
    is_read boolean NOT NULL DEFAULT false,
    read_at timestamptz,
    email_sent boolean NOT NULL DEFAULT false,
    push_sent boolean NOT NULL DEFAULT false,
    dedupe_key varchar(200),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX idx_notifications_user_unread ON notifications(user_id, created_at DESC)
    WHERE NOT is_read;
CREATE UNIQUE INDEX uq_notifications_dedupe ON notifications(user_id, dedupe_key)
    WHERE dedupe_key IS NOT NULL AND NOT is_read;

CREATE TABLE system_config (
    key varchar(255) PRIMARY KEY,
    value jsonb NOT NULL,
    description text,
    is_encrypted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER trg_system_config_updated_at BEFORE UPDATE ON system_config
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

COMMENT ON TABLE automation_workflows IS
    'What can be triggered; a fresh database has the workflow line';
COMMENT ON TABLE workflow_executions IS
    'One run of a workflow. Its row is the truth about the run, the queue only a hint';
COMMENT ON COLUMN workflow_executions.execution_id IS
    'The id that n8n gave its own execution; one may start many runs';
COMMENT ON COLUMN workflow_executions.status IS
    'waiting: a person must act; retrying: goes on by itself at next_retry_at';
COMMENT ON COLUMN workflow_executions.cost IS 'US dollars, the sum of the cost rows of the run';
COMMENT ON TABLE workflow_steps IS 'One row a stage of a run';
COMMENT ON COLUMN workflow_steps.fence IS
    'Bumped by every claim; every write of the step is guarded by it';
COMMENT ON TABLE video_costs IS
    'One row a charge of a vendor. Money is never forgotten: rows are only added';
COMMENT ON COLUMN video_costs.idempotency_key IS 'Makes recording a charge twice impossible';
COMMENT ON TABLE video_uploads IS 'Upload attempts; at most one live a video';
COMMENT ON COLUMN video_uploads.marker IS
    'Put into the description and a tag, to find the video after an ambiguous end';
COMMENT ON COLUMN video_uploads.session_uri IS
    'Encrypted envelope, stored before the first byte is sent';
COMMENT ON TABLE provider_calls IS
    'Paid or side-effecting calls: intent committed before the call, outcome after it';
COMMENT ON COLUMN provider_calls.settle_at IS
    'Until then an open intent may still take effect at the provider';
COMMENT ON TABLE account_reservations IS 'Quota held for a run, then spent or released';
COMMENT ON COLUMN account_reservations.units IS 'Bucket name to units';
COMMENT ON TABLE quota_usage IS
    'Requests sent a Cloud project, method bucket and Pacific day, refused ones included';
COMMENT ON TABLE account_events IS 'Why the health or state of an account changed';
COMMENT ON TABLE notifications IS 'What a person should know; one unread a dedupe_key';
COMMENT ON TABLE system_config IS
    'Facts that change without a release, such as unit costs of YouTube methods';

-- A fresh database has the line: the six stages from topic to published, started by hand.
INSERT INTO automation_workflows (name, workflow_type, trigger_type)
VALUES ('line', 'content_generation', 'manual');
"""

DOWN = """
DROP TABLE system_config;
DROP TABLE notifications;
DROP TABLE account_events;
DROP TABLE quota_usage;
DROP TABLE account_reservations;
DROP TABLE provider_calls;
DROP TABLE video_uploads;
DROP TABLE video_costs;
DROP TABLE workflow_steps;
DROP TABLE workflow_executions;
DROP TABLE automation_workflows;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

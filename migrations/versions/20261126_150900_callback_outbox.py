"""Make the outbox deliverable: who is told, when next, and what was answered."""

from alembic import op

revision = "20261126_150900"
down_revision = "20261126_150607"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE webhook_deliveries
    ADD COLUMN recipient varchar(10) NOT NULL DEFAULT 'run'
        CHECK (recipient IN ('run', 'alert')),
    ADD COLUMN job_id uuid,
    ADD COLUMN failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    ADD COLUMN early_answers integer NOT NULL DEFAULT 0 CHECK (early_answers >= 0),
    ADD COLUMN origin varchar(300),
    ADD COLUMN held_until timestamptz,
    ADD COLUMN next_attempt_at timestamptz,
    ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now(),
    ALTER COLUMN callback_url DROP NOT NULL,
    ADD CONSTRAINT webhook_deliveries_run_has_url
        CHECK (recipient = 'alert' OR callback_url IS NOT NULL),
    DROP CONSTRAINT webhook_deliveries_status_check,
    ADD CONSTRAINT webhook_deliveries_status_check
        CHECK (status IN ('pending', 'delivered', 'dead', 'skipped')),
    DROP CONSTRAINT webhook_deliveries_execution_id_event_occurrence_key,
    ADD CONSTRAINT uq_webhook_deliveries_event
        UNIQUE (execution_id, recipient, event, occurrence);
DROP INDEX idx_webhook_deliveries_open;
CREATE INDEX idx_webhook_deliveries_age ON webhook_deliveries(created_at DESC, id DESC);
CREATE INDEX idx_webhook_deliveries_open ON webhook_deliveries(status, created_at)
    WHERE status IN ('pending', 'dead');
CREATE INDEX idx_webhook_deliveries_held ON webhook_deliveries(origin, held_until)
    WHERE held_until IS NOT NULL;
CREATE INDEX idx_webhook_deliveries_gone ON webhook_deliveries(callback_url)
    WHERE status = 'dead' AND last_status_code = 410;
CREATE INDEX idx_executions_video ON workflow_executions(video_id);

COMMENT ON TABLE webhook_deliveries IS
    'The outbox: what others are to be told. Its id is the webhook-id, the same at every attempt';
COMMENT ON COLUMN webhook_deliveries.recipient IS
    'run: the callback_url of the run; alert: YTEMPIRE_ALERT_CALLBACK_URL as it is at delivery';
COMMENT ON COLUMN webhook_deliveries.occurrence IS 'The how manieth event of this kind of the run';
COMMENT ON COLUMN webhook_deliveries.failures IS 'Failed attempts since it was queued';
COMMENT ON COLUMN webhook_deliveries.early_answers IS
    'How often n8n said since it was queued that its execution does not wait yet';
COMMENT ON COLUMN webhook_deliveries.held_until IS
    'Its receiver was overloaded: nothing is sent to that origin before';
COMMENT ON COLUMN webhook_deliveries.queued_at IS 'When it was announced, or last put back by hand';
"""

DOWN = """
DELETE FROM webhook_deliveries WHERE recipient = 'alert' OR status = 'skipped';
DROP INDEX idx_executions_video;
DROP INDEX idx_webhook_deliveries_gone;
DROP INDEX idx_webhook_deliveries_held;
DROP INDEX idx_webhook_deliveries_open;
DROP INDEX idx_webhook_deliveries_age;
ALTER TABLE webhook_deliveries
    DROP CONSTRAINT uq_webhook_deliveries_event,
    ADD CONSTRAINT webhook_deliveries_execution_id_event_occurrence_key
        UNIQUE (execution_id, event, occurrence),
    DROP CONSTRAINT webhook_deliveries_status_check,
    ADD CONSTRAINT webhook_deliveries_status_check
        CHECK (status IN ('pending', 'delivered', 'dead')),
    DROP CONSTRAINT webhook_deliveries_run_has_url,
    ALTER COLUMN callback_url SET NOT NULL,
    DROP COLUMN queued_at,
    DROP COLUMN next_attempt_at,
    DROP COLUMN held_until,
    DROP COLUMN origin,
    DROP COLUMN early_answers,
    DROP COLUMN failures,
    DROP COLUMN job_id,
    DROP COLUMN recipient;
CREATE INDEX idx_webhook_deliveries_open ON webhook_deliveries(created_at DESC)
    WHERE status <> 'delivered';
COMMENT ON TABLE webhook_deliveries IS NULL;
COMMENT ON COLUMN webhook_deliveries.occurrence IS NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

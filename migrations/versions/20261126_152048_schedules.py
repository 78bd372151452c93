"""Keep how far a channel's slots and a workflow's runs are dealt with, and find runs by both."""

from alembic import op

revision = "20261126_152048"
down_revision = "20261126_150900"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE channels
    ADD COLUMN status_reason text,
    ADD COLUMN slots_handled_until timestamptz;
COMMENT ON COLUMN channels.status_reason IS 'Why the channel was paused or resumed';
COMMENT ON COLUMN channels.upload_schedule IS
    '{"days": ["mon", ...], "times": ["09:00", ...], "lead_minutes": 120}, by its time zone';
COMMENT ON COLUMN channels.slots_handled_until IS
    'The last slot of upload_schedule whose run has begun, or was passed over';

ALTER TABLE automation_workflows ADD COLUMN last_error text;
COMMENT ON COLUMN automation_workflows.last_error IS 'Why the last run could not be started';
CREATE INDEX idx_workflows_due ON automation_workflows(next_run_at)
    WHERE trigger_type = 'schedule' AND is_active;

CREATE INDEX idx_executions_workflow ON workflow_executions(workflow_id, created_at DESC);
CREATE INDEX idx_executions_channel ON workflow_executions(channel_id, created_at DESC);
"""

DOWN = """
DROP INDEX idx_executions_channel;
DROP INDEX idx_executions_workflow;
DROP INDEX idx_workflows_due;
ALTER TABLE automation_workflows DROP COLUMN last_error;
COMMENT ON COLUMN channels.upload_schedule IS NULL;
ALTER TABLE channels DROP COLUMN slots_handled_until, DROP COLUMN status_reason;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

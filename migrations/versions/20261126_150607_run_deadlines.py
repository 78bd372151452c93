"""Give every run a deadline: 24 hours of time at work."""

from alembic import op

revision = "20261126_150607"
down_revision = "20261126_150208"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE workflow_executions
    ALTER COLUMN deadline_at SET DEFAULT clock_timestamp() + interval '24 hours';
UPDATE workflow_executions SET deadline_at = clock_timestamp() + interval '24 hours'
 WHERE deadline_at IS NULL
   AND status IN ('pending', 'queued', 'running', 'waiting', 'retrying');
COMMENT ON COLUMN workflow_executions.deadline_at IS
    'Then the run ends as timeout. It counts time at work: it moves by the time in which the run '
    'waits for a person, for its next try or for a worker';
"""

DOWN = """
ALTER TABLE workflow_executions ALTER COLUMN deadline_at DROP DEFAULT;
COMMENT ON COLUMN workflow_executions.deadline_at IS NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

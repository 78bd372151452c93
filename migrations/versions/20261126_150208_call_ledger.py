"""Count look-ups of calls; index costs and calls as the ledger and the budgets read them."""

from alembic import op

revision = "20261126_150208"
down_revision = "20261120_160000"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE provider_calls ADD COLUMN lookups integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN provider_calls.lookups IS 'How often the vendor was asked and could not say';
COMMENT ON COLUMN provider_calls.status IS
    'intent: may be under way; done: the answer is stored; failed: no answer to use (charged when '
    'amount_actual is above 0); unknown: nobody can tell, a person resolves it';
COMMENT ON COLUMN provider_calls.response_artifact IS
    'Where the raw answer is in the artifact store, for whoever repeats the step';
CREATE INDEX idx_provider_calls_service ON provider_calls(service, created_at);
CREATE INDEX idx_video_costs_execution ON video_costs(workflow_execution_id);
CREATE INDEX idx_video_costs_paid ON video_costs(created_at) INCLUDE (video_id, amount)
    WHERE amount > 0;
"""

DOWN = """
DROP INDEX idx_video_costs_paid;
DROP INDEX idx_video_costs_execution;
DROP INDEX idx_provider_calls_service;
ALTER TABLE provider_calls DROP COLUMN lookups;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

"""Index jobs by their age, so that a page of them is read and not sorted out of all.

The second holds what went wrong: few rows, written only then, and what is looked for most.
Building both keeps writers waiting, a second or two a million jobs; workers repeat what times out.
"""

from alembic import op

revision = "20261120_131000"
down_revision = "20261120_130400"
branch_labels = None
depends_on = None

UP = """
CREATE INDEX idx_queue_created ON queue.job_queue(created_at, seq);
CREATE INDEX idx_queue_not_completed ON queue.job_queue(created_at, seq)
    WHERE status IN ('failed', 'cancelled', 'aborted');
"""

DOWN = """
DROP INDEX queue.idx_queue_not_completed;
DROP INDEX queue.idx_queue_created;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

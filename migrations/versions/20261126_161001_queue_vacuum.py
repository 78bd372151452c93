"""Vacuum the job queue after a number of dead rows, not after a share of all rows.

A fetched job leaves its entry at the head of the fetch index, and every later fetch walks over it
until a vacuum takes it away. With a share of 2 %, a backlog of a million lets 20,000 dead rows
gather there, ten million 200,000. Nor is the cleaning of indexes optional: vacuum leaves it out
while few pages of the table are touched, which is so exactly when the backlog is large.
"""

from alembic import op

revision = "20261126_161001"
down_revision = "20261126_153312"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE queue.job_queue SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    vacuum_index_cleanup = on);
"""

DOWN = """
ALTER TABLE queue.job_queue SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE queue.job_queue RESET (autovacuum_vacuum_threshold, vacuum_index_cleanup);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

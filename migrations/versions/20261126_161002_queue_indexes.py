"""Keep out of the lock indexes what has no lock, and running jobs out of the order of a lock.

Each query of the queue then has one partial index that fits it. Before, those of the locks held
every pending and every running job as well, and while they were nearly empty the planner took them
for others, only to read them whole later. It also saves two index entries a job. The order of a
lock is that of its pending jobs; the one that runs has an index of its own.

Building them keeps writers waiting, a second or two a million jobs; workers repeat what times out.
"""

from alembic import op

revision = "20261126_161002"
down_revision = "20261126_161001"
branch_labels = None
depends_on = None

REPLACE = """
CREATE UNIQUE INDEX new_queue_queueing_lock ON queue.job_queue(queueing_lock)
    WHERE status = 'pending'{queueing_lock};
CREATE UNIQUE INDEX new_queue_lock ON queue.job_queue(lock) WHERE status = 'processing'{lock};
CREATE INDEX new_queue_lock_order ON queue.job_queue(lock, priority, seq)
    WHERE lock IS NOT NULL AND {waiting};
DROP INDEX queue.uq_queue_queueing_lock;
DROP INDEX queue.uq_queue_lock;
DROP INDEX queue.idx_queue_lock_order;
ALTER INDEX queue.new_queue_queueing_lock RENAME TO uq_queue_queueing_lock;
ALTER INDEX queue.new_queue_lock RENAME TO uq_queue_lock;
ALTER INDEX queue.new_queue_lock_order RENAME TO idx_queue_lock_order;
"""


def upgrade() -> None:
    op.execute(
        REPLACE.format(
            queueing_lock=" AND queueing_lock IS NOT NULL",
            lock=" AND lock IS NOT NULL",
            waiting="status = 'pending'",
        )
    )


def downgrade() -> None:
    op.execute(
        REPLACE.format(queueing_lock="", lock="", waiting="status IN ('pending', 'processing')")
    )

"""Create the state and the slots of providers: pauses and concurrency over all workers."""

from alembic import op

revision = "20261120_140500"
down_revision = "20261120_131000"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE provider_state (
    provider varchar(50) PRIMARY KEY,
    paused_until timestamptz,
    reason text,
    max_concurrency integer CHECK (max_concurrency > 0),
    probe_until timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (paused_until IS NULL OR reason IS NOT NULL),
    CHECK (probe_until IS NULL OR paused_until IS NOT NULL)
);
CREATE TABLE provider_slots (
    provider varchar(50) NOT NULL REFERENCES provider_state(provider) ON DELETE CASCADE,
    slot integer NOT NULL CHECK (slot > 0),
    holder text,
    leased_until timestamptz,
    PRIMARY KEY (provider, slot),
    CHECK ((holder IS NULL) = (leased_until IS NULL))
);

COMMENT ON TABLE provider_state IS
    'A vendor that all workers of all hosts share: paused as a whole when it is out of credit';
COMMENT ON COLUMN provider_state.paused_until IS
    'Not before then does one call try whether the vendor works again; NULL: not paused';
COMMENT ON COLUMN provider_state.max_concurrency IS
    'Calls at the same time; set here it wins over the setting of the workers';
COMMENT ON COLUMN provider_state.probe_until IS
    'One call is trying whether the vendor works again, until then at the latest';
COMMENT ON TABLE provider_slots IS
    'Calls under way. A killed holder''s lease runs out';
"""

DOWN = """
DROP TABLE provider_slots;
DROP TABLE provider_state;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

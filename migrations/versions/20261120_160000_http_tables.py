"""Create API keys, their hourly use, receipts of requests, and the outbox of callbacks."""

from alembic import op

revision = "20261120_160000"
down_revision = "20261120_150000"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name varchar(255) NOT NULL,
    key_prefix varchar(16) NOT NULL UNIQUE,
    key_hash varchar(64) NOT NULL UNIQUE CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    permissions jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(permissions) = 'array'),
    rate_limit integer NOT NULL DEFAULT 1000 CHECK (rate_limit > 0),
    signing_secrets jsonb,
    last_used_at timestamptz,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX uq_api_keys_user_name ON api_keys(user_id, name) WHERE revoked_at IS NULL;
COMMENT ON COLUMN api_keys.signing_secrets IS
    'Envelopes; the first signs, all verify; the database server cannot open them';

CREATE TABLE api_key_usage (
    api_key_id uuid NOT NULL REFERENCES api_keys(id) ON DELETE CASCADE,
    hour timestamptz NOT NULL,
    used integer NOT NULL DEFAULT 0 CHECK (used >= 0),
    PRIMARY KEY (api_key_id, hour)
);
COMMENT ON TABLE api_key_usage IS
    'Requests of an hour, leased to servers in blocks: used counts what was leased';

CREATE TABLE webhook_receipts (
    api_key_id uuid NOT NULL REFERENCES api_keys(id) ON DELETE CASCADE,
    kind varchar(20) NOT NULL CHECK (kind IN ('idempotency_key', 'webhook_id')),
    endpoint varchar(200) NOT NULL,
    idempotency_key varchar(200) NOT NULL,
    request_hash varchar(64) NOT NULL,
    response_status integer NOT NULL,
    response_body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (api_key_id, kind, endpoint, idempotency_key)
);
CREATE INDEX idx_webhook_receipts_age ON webhook_receipts(created_at);

CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    execution_id uuid NOT NULL REFERENCES workflow_executions(id) ON DELETE CASCADE,
    event varchar(50) NOT NULL,
    occurrence integer NOT NULL DEFAULT 1,
    callback_url text NOT NULL,
    body jsonb NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    last_status_code integer,
    last_error text,
    delivered_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (execution_id, event, occurrence)
);
CREATE INDEX idx_webhook_deliveries_open ON webhook_deliveries(created_at DESC)
    WHERE status <> 'delivered';
"""

DOWN = """
DROP TABLE webhook_deliveries;
DROP TABLE webhook_receipts;
DROP TABLE api_key_usage;
DROP TABLE api_keys;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

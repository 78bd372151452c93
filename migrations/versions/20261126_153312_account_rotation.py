"""Keep what rotation needs: drawn units, health over time, refresh leases, YouTube's prices."""

from alembic import op

revision = "20261126_153312"
down_revision = "20261126_152048"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE account_reservations
    ADD COLUMN uploads integer NOT NULL DEFAULT 1 CHECK (uploads IN (0, 1)),
    ADD COLUMN drawn jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN covers text[] NOT NULL DEFAULT '{}',
    ADD COLUMN ended_reason varchar(40);
CREATE INDEX idx_reservations_held ON account_reservations(expires_at) WHERE status = 'held';
CREATE INDEX idx_reservations_account ON account_reservations(youtube_account_id)
    WHERE status = 'held';

ALTER TABLE youtube_accounts
    ADD COLUMN health_changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN grant_expires_at timestamptz,
    ADD COLUMN refresh_holder uuid,
    ADD COLUMN refresh_until timestamptz;
CREATE INDEX idx_ya_project ON youtube_accounts(quota_project_id);
CREATE INDEX idx_account_events_account ON account_events(youtube_account_id, id DESC);

COMMENT ON COLUMN account_reservations.uploads IS
    'Uploads charged to the account; 0 for what an upload under way still needs';
COMMENT ON COLUMN account_reservations.drawn IS
    'Bucket name to units of requests that were sent';
COMMENT ON COLUMN account_reservations.covers IS
    'Extra methods whose units are part of it, and which were not sent yet';
COMMENT ON COLUMN youtube_accounts.health_changed_at IS
    'When health_score was written; what it recovers since is computed when it is read';
COMMENT ON COLUMN youtube_accounts.grant_expires_at IS
    'When Google ends the grant itself, if it told so';
COMMENT ON COLUMN youtube_accounts.refresh_until IS
    'Until when refresh_holder alone may renew the token';
COMMENT ON COLUMN quota_usage.quota_limit IS
    'The limit of this day; taken from system_config when the day begins';

INSERT INTO system_config (key, value, description) VALUES ('youtube.quota', '{
  "as_of": "2026-11-20",
  "source": "https://developers.google.com/youtube/v3/determine_quota_cost",
  "limits": {"videos.insert": 100, "search.list": 100, "videos.batchGetStats": 10000,
             "default": 10000, "analytics": 100000},
  "projects": {},
  "costs": {
    "videos.insert": {"bucket": "videos.insert", "units": 1},
    "search.list": {"bucket": "search.list", "units": 1},
    "videos.batchGetStats": {"bucket": "videos.batchGetStats", "units": 1},
    "youtubeAnalytics.reports.query": {"bucket": "analytics", "units": 1},
    "captions.list": {"bucket": "default", "units": 50},
    "captions.insert": {"bucket": "default", "units": 400},
    "captions.update": {"bucket": "default", "units": 450}
  },
  "other_reads": 1,
  "other_writes": 50
}', 'What Google grants a Cloud project a Pacific day, and what each method costs')
ON CONFLICT (key) DO NOTHING;
"""

DOWN = """
DELETE FROM system_config WHERE key = 'youtube.quota';
DROP INDEX idx_account_events_account;
DROP INDEX idx_ya_project;
ALTER TABLE youtube_accounts
    DROP COLUMN health_changed_at,
    DROP COLUMN grant_expires_at,
    DROP COLUMN refresh_holder,
    DROP COLUMN refresh_until;
DROP INDEX idx_reservations_account;
DROP INDEX idx_reservations_held;
ALTER TABLE account_reservations
    DROP COLUMN uploads,
    DROP COLUMN drawn,
    DROP COLUMN covers,
    DROP COLUMN ended_reason;
COMMENT ON COLUMN quota_usage.quota_limit IS NULL;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

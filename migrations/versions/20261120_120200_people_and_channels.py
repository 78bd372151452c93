"""Create people, categories, accounts and channels; the user operator."""

from alembic import op

revision = "20261120_120200"
down_revision = "20261120_120100"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(255) NOT NULL,
    username varchar(50) NOT NULL,
    password_hash varchar(255) NOT NULL,
    full_name varchar(255),
    avatar_url varchar(500),
    timezone varchar(50) NOT NULL DEFAULT 'UTC',
    language varchar(10) NOT NULL DEFAULT 'en',
    role varchar(20) NOT NULL DEFAULT 'user' CHECK (role IN ('user','admin','super_admin')),
    tier varchar(20) NOT NULL DEFAULT 'free'
        CHECK (tier IN ('free','starter','growth','scale')),
    is_active boolean NOT NULL DEFAULT true,
    is_verified boolean NOT NULL DEFAULT false,
    email_verified_at timestamptz,
    channel_limit integer NOT NULL DEFAULT 1 CHECK (channel_limit BETWEEN 0 AND 100),
    daily_video_limit integer NOT NULL DEFAULT 1
        CHECK (daily_video_limit BETWEEN 0 AND 1000),
    stripe_customer_id varchar(255) UNIQUE,
    stripe_subscription_id varchar(255),
    trial_ends_at timestamptz,
    two_factor_enabled boolean NOT NULL DEFAULT false,
    two_factor_secret jsonb,
    last_login_ip inet,
    failed_login_attempts integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    settings jsonb NOT NULL DEFAULT '{}',
    last_login_at timestamptz,
    login_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX uq_users_email ON users(lower(email)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_users_username ON users(lower(username)) WHERE deleted_at IS NULL;
CREATE TRIGGER trg_users_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE channel_categories (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(100) NOT NULL UNIQUE,
    description text,
    parent_category_id uuid REFERENCES channel_categories(id) ON DELETE SET NULL,
    avg_cpm numeric(10,2),
    competition_level varchar(10) CHECK (competition_level IN ('low','medium','high')),
    growth_potential varchar(10) CHECK (growth_potential IN ('low','medium','high')),
    video_templates jsonb NOT NULL DEFAULT '[]',
    keyword_suggestions jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER trg_channel_categories_updated_at BEFORE UPDATE ON channel_categories
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE youtube_accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(255) NOT NULL,
    account_name varchar(100),
    provider varchar(20) NOT NULL DEFAULT 'youtube' CHECK (provider IN ('youtube','local')),
    channel_id varchar(100),
    channel_handle varchar(100),
    quota_project_id varchar(100),
    is_active boolean NOT NULL DEFAULT true,
    is_reserve boolean NOT NULL DEFAULT false,
    granted_scopes text[] NOT NULL DEFAULT '{}',
    state varchar(20) NOT NULL DEFAULT 'ready'
        CHECK (state IN ('ready','cooling','needs_reauth','suspended','disabled')),
    health_score numeric(5,2) NOT NULL DEFAULT 100 CHECK (health_score BETWEEN 0 AND 100),
    credentials jsonb NOT NULL,
    credentials_key_version integer NOT NULL DEFAULT 1,
    token_expires_at timestamptz,
    quota_used_today integer NOT NULL DEFAULT 0,
    quota_limit integer NOT NULL DEFAULT 10000,
    uploads_today integer NOT NULL DEFAULT 0,
    upload_limit integer NOT NULL DEFAULT 5,
    quota_date date NOT NULL DEFAULT (now() AT TIME ZONE 'America/Los_Angeles')::date,
    last_quota_reset timestamptz NOT NULL DEFAULT now(),
    total_uploads integer NOT NULL DEFAULT 0,
    total_quota_used bigint NOT NULL DEFAULT 0,
    total_errors integer NOT NULL DEFAULT 0,
    consecutive_errors integer NOT NULL DEFAULT 0,
    cooldown_until timestamptz,
    last_upload_at timestamptz,
    last_error_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (quota_used_today >= 0),
    CHECK (uploads_today >= 0),
    UNIQUE (email, channel_id)
);
CREATE INDEX idx_ya_pick ON youtube_accounts(is_reserve, health_score DESC) WHERE is_active;
CREATE TRIGGER trg_youtube_accounts_updated_at BEFORE UPDATE ON youtube_accounts
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE channels (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    youtube_account_id uuid REFERENCES youtube_accounts(id) ON DELETE SET NULL,
    category_id uuid REFERENCES channel_categories(id) ON DELETE SET NULL,
    name varchar(100) NOT NULL,
    description text,
    niche varchar(50),
    youtube_channel_id varchar(100),
    youtube_handle varchar(100),
    status varchar(20) NOT NULL DEFAULT 'active'
        CHECK (status IN ('active','paused','suspended','deleted')),
    is_monetized boolean NOT NULL DEFAULT false,
    monetization jsonb NOT NULL DEFAULT '{}',
    automation_enabled boolean NOT NULL DEFAULT true,
    auto_publish boolean NOT NULL DEFAULT true,
    videos_per_day integer NOT NULL DEFAULT 1 CHECK (videos_per_day BETWEEN 0 AND 10),
    timezone varchar(50) NOT NULL DEFAULT 'UTC',
    language varchar(10) NOT NULL DEFAULT 'en',
    youtube_category_id varchar(10),
    playlist_id varchar(100),
    daily_budget numeric(12,6),
    upload_schedule jsonb NOT NULL DEFAULT '{}',
    content_strategy jsonb NOT NULL DEFAULT '{}',
    quality_settings jsonb NOT NULL DEFAULT '{}',
    target_audience jsonb NOT NULL DEFAULT '{}',
    branding_assets jsonb NOT NULL DEFAULT '{}',
    personality_profile jsonb NOT NULL DEFAULT '{}',
    subscriber_count bigint NOT NULL DEFAULT 0,
    video_count integer NOT NULL DEFAULT 0,
    total_views bigint NOT NULL DEFAULT 0,
    total_revenue numeric(12,2) NOT NULL DEFAULT 0,
    health_score integer NOT NULL DEFAULT 100 CHECK (health_score BETWEEN 0 AND 100),
    last_error text,
    last_synced_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX uq_channels_user_name ON channels(user_id, name)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_channels_youtube ON channels(youtube_channel_id)
    WHERE deleted_at IS NULL;
CREATE TRIGGER trg_channels_updated_at BEFORE UPDATE ON channels
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE channel_accounts (
    channel_id uuid REFERENCES channels(id) ON DELETE CASCADE,
    youtube_account_id uuid REFERENCES youtube_accounts(id) ON DELETE CASCADE,
    is_primary boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel_id, youtube_account_id)
);

COMMENT ON TABLE users IS
    'People and their limits; the operator of a fresh database is user operator';
COMMENT ON COLUMN users.password_hash IS
    'An encoded hash; an exclamation mark first means that nobody can sign in with it';
COMMENT ON COLUMN users.two_factor_secret IS 'Encrypted envelope, bound to table, row and column';
COMMENT ON TABLE channel_categories IS 'Kinds of channel and what is known of their market';
COMMENT ON TABLE youtube_accounts IS
    'Credentials that may upload, with their health and quota of the day';
COMMENT ON COLUMN youtube_accounts.channel_id IS
    'The channel its token belongs to; several accounts may serve one';
COMMENT ON COLUMN youtube_accounts.credentials IS
    'Encrypted envelope, bound to table, row and column';
COMMENT ON COLUMN youtube_accounts.quota_date IS
    'Pacific day that quota_used_today and uploads_today count';
COMMENT ON COLUMN youtube_accounts.quota_used_today IS
    'Units; may exceed a limit that was lowered, reservations never pass it';
COMMENT ON COLUMN youtube_accounts.is_reserve IS 'Serves only when no primary account can';
COMMENT ON COLUMN youtube_accounts.health_score IS
    '0 to 100, moved by outcomes; each change is an account_events row';
COMMENT ON TABLE channels IS 'What we publish to';
COMMENT ON COLUMN channels.auto_publish IS
    'False: every video waits for the approval of a person';
COMMENT ON COLUMN channels.daily_budget IS 'US dollars a day; NULL: no limit of its own';
COMMENT ON TABLE channel_accounts IS 'Which account may upload for which channel';

-- A fresh database has its operator. No password: local commands run as this user.
INSERT INTO users (email, username, password_hash, full_name, role, tier, is_verified,
    channel_limit, daily_video_limit)
VALUES ('operator@localhost', 'operator', '!', 'Operator', 'super_admin', 'scale', true,
    100, 1000);
"""

DOWN = """
DROP TABLE channel_accounts;
DROP TABLE channels;
DROP TABLE youtube_accounts;
DROP TABLE channel_categories;
DROP TABLE users;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

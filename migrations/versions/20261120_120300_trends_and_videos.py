"""Create trends, templates, videos, their texts and their files."""

from alembic import op

revision = "20261120_120300"
down_revision = "20261120_120200"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE trends (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    topic varchar(500) NOT NULL,
    topic_normalized varchar(500) NOT NULL,
    category varchar(100),
    subcategory varchar(100),
    keywords text[] NOT NULL DEFAULT '{}',
    related_topics text[] NOT NULL DEFAULT '{}',
    source varchar(50) NOT NULL
        CHECK (source IN ('youtube','google_trends','hackernews','wikimedia','reddit',
        'twitter','tiktok','custom')),
    source_metadata jsonb NOT NULL DEFAULT '{}',
    source_url varchar(1000),
    viral_score numeric(3,2) NOT NULL CHECK (viral_score BETWEEN 0 AND 1),
    competition_score numeric(3,2) NOT NULL CHECK (competition_score BETWEEN 0 AND 1),
    opportunity_score numeric(5,4)
        GENERATED ALWAYS AS (viral_score * (1 - competition_score)) STORED,
    first_detected timestamptz NOT NULL DEFAULT now(),
    peak_time timestamptz,
    expiry_time timestamptz,
    search_volume bigint,
    growth_rate numeric(10,2),
    geographic_data jsonb NOT NULL DEFAULT '{}',
    demographic_data jsonb NOT NULL DEFAULT '{}',
    status varchar(20) NOT NULL DEFAULT 'new'
        CHECK (status IN ('new','analyzing','qualified','used','rejected','expired')),
    processed_at timestamptz,
    action_taken varchar(100),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX uq_trends_live ON trends(source, topic_normalized)
    WHERE status IN ('new','analyzing','qualified');
CREATE INDEX idx_trends_pick ON trends(opportunity_score DESC) WHERE status = 'qualified';
CREATE TRIGGER trg_trends_updated_at BEFORE UPDATE ON trends
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE video_templates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES users(id) ON DELETE SET NULL,
    name varchar(255) NOT NULL,
    category varchar(100),
    title_template text,
    description_template text,
    tags_template text[] NOT NULL DEFAULT '{}',
    script_template text,
    voice_settings jsonb NOT NULL DEFAULT '{}',
    visual_settings jsonb NOT NULL DEFAULT '{}',
    times_used integer NOT NULL DEFAULT 0,
    avg_performance_score numeric(5,2),
    is_public boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER trg_video_templates_updated_at BEFORE UPDATE ON video_templates
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE videos (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    channel_id uuid NOT NULL REFERENCES channels(id) ON DELETE CASCADE,
    youtube_account_id uuid REFERENCES youtube_accounts(id) ON DELETE SET NULL,
    trend_id uuid REFERENCES trends(id) ON DELETE SET NULL,
    template_id uuid REFERENCES video_templates(id) ON DELETE SET NULL,
    title varchar(100) NOT NULL DEFAULT 'Untitled',
    description text,
    tags text[] NOT NULL DEFAULT '{}',
    topic varchar(500),
    language varchar(10) NOT NULL DEFAULT 'en',
    style varchar(50)
        CHECK (style IN ('educational','entertainment','review','tutorial','news')),
    youtube_video_id varchar(50) UNIQUE,
    youtube_url varchar(500),
    thumbnail_url varchar(500),
    status varchar(20) NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending','queued','processing','completed','failed',
        'published','deleted')),
    visibility varchar(10) NOT NULL DEFAULT 'public'
        CHECK (visibility IN ('public','unlisted','private')),
    error_message text,
    retry_count integer NOT NULL DEFAULT 0,
    duration_seconds integer CHECK (duration_seconds > 0 AND duration_seconds <= 3600),
    file_size_mb numeric(10,2),
    resolution varchar(20) NOT NULL DEFAULT '1080p',
    fps integer NOT NULL DEFAULT 30,
    quality_score numeric(3,2) CHECK (quality_score BETWEEN 0 AND 1),
    ai_confidence numeric(3,2),
    copyright_check_status varchar(50),
    total_cost numeric(12,6) NOT NULL DEFAULT 0 CHECK (total_cost >= 0),
    cost_breakdown jsonb NOT NULL DEFAULT '{}',
    video_path varchar(500),
    audio_path varchar(500),
    script_path varchar(500),
    thumbnail_path varchar(500),
    captions_path varchar(500),
    scheduled_publish_at timestamptz,
    queued_at timestamptz,
    processing_started_at timestamptz,
    processing_completed_at timestamptz,
    published_at timestamptz,
    view_count bigint NOT NULL DEFAULT 0,
    like_count bigint NOT NULL DEFAULT 0,
    comment_count bigint NOT NULL DEFAULT 0,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CHECK (published_at IS NULL OR status IN ('published','deleted'))
);
CREATE INDEX idx_videos_channel_status ON videos(channel_id, status)
    WHERE deleted_at IS NULL;
CREATE INDEX idx_videos_status_created ON videos(status, created_at DESC);
CREATE INDEX idx_videos_search
    ON videos USING gin (to_tsvector('english', title || ' ' || coalesce(description,'')));
CREATE INDEX idx_videos_tags ON videos USING gin (tags);
CREATE TRIGGER trg_videos_updated_at BEFORE UPDATE ON videos
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE video_content (
    video_id uuid PRIMARY KEY REFERENCES videos(id) ON DELETE CASCADE,
    script text,
    script_metadata jsonb NOT NULL DEFAULT '{}',
    generation_params jsonb NOT NULL DEFAULT '{}',
    voice_model varchar(100),
    quality_scores jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER trg_video_content_updated_at BEFORE UPDATE ON video_content
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();

CREATE TABLE video_artifacts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    video_id uuid NOT NULL REFERENCES videos(id) ON DELETE CASCADE,
    kind varchar(20) NOT NULL
        CHECK (kind IN ('script','narration','captions','scene','video','thumbnail',
        'other')),
    sha256 varchar(64) NOT NULL,
    size_bytes bigint NOT NULL,
    media_type varchar(100) NOT NULL,
    url varchar(1000) NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (video_id, kind, sha256)
);

COMMENT ON TABLE trends IS 'Topics found, with their facts, and what became of them';
COMMENT ON COLUMN trends.topic_normalized IS 'Folded form by which a topic is found again';
COMMENT ON COLUMN trends.opportunity_score IS 'viral_score * (1 - competition_score)';
COMMENT ON TABLE video_templates IS 'Patterns for title, description, script, voice and pictures';
COMMENT ON TABLE videos IS 'One row a video, from topic to published; deleted softly only';
COMMENT ON COLUMN videos.visibility IS 'What is wanted in the end; every upload starts private';
COMMENT ON COLUMN videos.total_cost IS 'US dollars, the sum of its video_costs';
COMMENT ON TABLE video_content IS 'The long texts of a video, apart from its narrow row';
COMMENT ON TABLE video_artifacts IS
    'Files that a stage made: immutable, found by content hash, re-hashed before use';
"""

DOWN = """
DROP TABLE video_artifacts;
DROP TABLE video_content;
DROP TABLE videos;
DROP TABLE video_templates;
DROP TABLE trends;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

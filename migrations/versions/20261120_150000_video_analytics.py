"""Create the daily reports of videos, and the raw answers they are made from."""

from alembic import op

revision = "20261120_150000"
down_revision = "20261120_140500"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE analytics.video_analytics (
    video_id uuid NOT NULL,
    date date NOT NULL,
    hour smallint CHECK (hour BETWEEN 0 AND 23),
    views bigint NOT NULL DEFAULT 0,
    unique_viewers bigint NOT NULL DEFAULT 0,
    impressions bigint NOT NULL DEFAULT 0,
    click_through_rate numeric(6,2),
    watch_time_minutes numeric(14,2) NOT NULL DEFAULT 0,
    average_view_duration_seconds integer,
    average_view_percentage numeric(6,2),
    likes bigint NOT NULL DEFAULT 0,
    dislikes bigint NOT NULL DEFAULT 0,
    comments bigint NOT NULL DEFAULT 0,
    shares bigint NOT NULL DEFAULT 0,
    subscriber_views bigint NOT NULL DEFAULT 0,
    non_subscriber_views bigint NOT NULL DEFAULT 0,
    estimated_revenue numeric(12,2) NOT NULL DEFAULT 0,
    is_final boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT unique_video_date_hour UNIQUE NULLS NOT DISTINCT (video_id, date, hour)
) PARTITION BY RANGE (date);

CREATE FUNCTION analytics.ensure_analytics_month(day date) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    first_day date := date_trunc('month', day)::date;
    partition text := 'video_analytics_' || to_char(first_day, 'YYYY_MM');
BEGIN
    IF to_regclass('analytics.' || partition) IS NULL THEN
        -- One creator at a time; IF NOT EXISTS alone fails when two sessions race.
        PERFORM pg_advisory_xact_lock(hashtext('analytics.ensure_month'), 1);
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS analytics.%I PARTITION OF analytics.video_analytics '
            'FOR VALUES FROM (%L) TO (%L)',
            partition, first_day, (first_day + interval '1 month')::date);
    END IF;
    RETURN 'analytics.' || partition;
END
$$;

CREATE SCHEMA IF NOT EXISTS staging;
CREATE TABLE staging.youtube_analytics_raw (
    import_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    import_timestamp timestamptz NOT NULL DEFAULT now(),
    channel_id uuid,
    youtube_channel_id varchar(100),
    request_key varchar(200) NOT NULL UNIQUE,
    data jsonb NOT NULL,
    processed boolean NOT NULL DEFAULT false,
    error text,
    attempts integer NOT NULL DEFAULT 0
);

COMMENT ON TABLE analytics.video_analytics IS
    'One row a video and day as YouTube Analytics reports it, a partition a month';
COMMENT ON COLUMN analytics.video_analytics.is_final IS
    'False while YouTube may still correct the day';
COMMENT ON TABLE staging.youtube_analytics_raw IS
    'Answers of YouTube Analytics as they came, one a request; deleted within 30 days';
COMMENT ON FUNCTION analytics.ensure_analytics_month(date) IS
    'Creates the partition of video_analytics for the month of a day, if it lacks; its name';
"""

DOWN = """
DROP TABLE staging.youtube_analytics_raw;
DROP SCHEMA staging;
DROP FUNCTION analytics.ensure_analytics_month(date);
DROP TABLE analytics.video_analytics;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

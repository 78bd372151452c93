"""Create the statistics of videos over time, and the function that adds a month."""

from alembic import op

revision = "20261120_120500"
down_revision = "20261120_120400"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE analytics.video_metrics (
    video_id uuid NOT NULL,
    "timestamp" timestamptz NOT NULL,
    source varchar(20) NOT NULL DEFAULT 'data_api',
    views bigint NOT NULL DEFAULT 0,
    likes bigint NOT NULL DEFAULT 0,
    dislikes bigint NOT NULL DEFAULT 0,
    comments bigint NOT NULL DEFAULT 0,
    shares bigint NOT NULL DEFAULT 0,
    subscribers_gained integer NOT NULL DEFAULT 0,
    subscribers_lost integer NOT NULL DEFAULT 0,
    watch_time_minutes numeric(14,2) NOT NULL DEFAULT 0,
    average_view_duration numeric(10,2),
    average_percentage_viewed numeric(6,2),
    estimated_revenue_usd numeric(12,2) NOT NULL DEFAULT 0,
    estimated_ad_revenue_usd numeric(12,2) NOT NULL DEFAULT 0,
    estimated_red_partner_revenue_usd numeric(12,2) NOT NULL DEFAULT 0,
    click_through_rate numeric(6,2),
    engagement_rate numeric(6,2),
    traffic_sources jsonb NOT NULL DEFAULT '{}',
    demographics jsonb NOT NULL DEFAULT '{}',
    device_breakdown jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (video_id, "timestamp")
) PARTITION BY RANGE ("timestamp");
CREATE INDEX idx_vm_time ON analytics.video_metrics USING brin ("timestamp");

COMMENT ON TABLE analytics.video_metrics IS
    'Statistics of a video over time, a partition a month (UTC)';
COMMENT ON COLUMN analytics.video_metrics.source IS
    'Which interface told it: data_api, analytics_api or local';

CREATE FUNCTION analytics.ensure_month(moment timestamptz) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    first_day timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    partition text := 'video_metrics_' || to_char(first_day, 'YYYY_MM');
BEGIN
    IF to_regclass('analytics.' || partition) IS NULL THEN
        -- One creator at a time; IF NOT EXISTS alone fails when two sessions race.
        PERFORM pg_advisory_xact_lock(hashtext('analytics.ensure_month'), 0);
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS analytics.%I PARTITION OF analytics.video_metrics '
            'FOR VALUES FROM (%L) TO (%L)',
            partition, first_day AT TIME ZONE 'UTC',
            (first_day + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
    RETURN 'analytics.' || partition;
END
$$;
COMMENT ON FUNCTION analytics.ensure_month(timestamptz) IS
    'Creates the partition of video_metrics for the UTC month of a moment, if it lacks; its name';
"""

DOWN = """
DROP FUNCTION analytics.ensure_month(timestamptz);
DROP TABLE analytics.video_metrics;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)

-- name: analytics_find_video :maybe
-- parameters: video_id, refresh_days
-- A video at YouTube and what a pull needs to know. The first day is the earliest one that YouTube
-- may still correct or that was never reported, at least a week ago, and so early that no day's
-- figures grow older than Google's terms allow.
SELECT v.youtube_video_id AS host_video_id, v.published_at, v.scheduled_publish_at,
       v.error_message AS known_problem, v.visibility AS wanted_visibility,
       coalesce(v.published_at, v.scheduled_publish_at, v.created_at) AS since,
       v.youtube_account_id AS account_id, c.name AS channel_name, c.id AS channel_id,
       a.granted_scopes AS scopes, a.channel_id AS host_channel_id,
       least((clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date - 7,
             (SELECT max(d.date) + 1 FROM analytics.video_analytics d
               WHERE d.video_id = v.id AND d.is_final),
             CASE WHEN NOT EXISTS (SELECT 1 FROM analytics.video_analytics d
                                    WHERE d.video_id = v.id AND d.is_final)
                  THEN coalesce(v.published_at, v.created_at)::date END,
             (SELECT min(d.date) FROM analytics.video_analytics d
               WHERE d.video_id = v.id
                 AND d.updated_at <= clock_timestamp() - make_interval(days => $2::int))
       ) AS first_day,
       (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today
  FROM videos v
  JOIN channels c ON c.id = v.channel_id
  JOIN youtube_accounts a ON a.id = v.youtube_account_id
 WHERE v.id = $1 AND v.youtube_video_id IS NOT NULL AND v.deleted_at IS NULL
   AND a.provider = 'youtube';

-- name: analytics_set_public :exec
-- parameters: video_id, published_at
-- A scheduled video has gone public.
UPDATE videos SET published_at = $2, status = 'published' WHERE id = $1 AND published_at IS NULL;

-- name: analytics_ensure_month :one
-- parameters: day
-- The partition that covers the day, made before the insert that needs it.
SELECT analytics.ensure_analytics_month($1) AS partition;

-- name: analytics_upsert_day :exec
-- parameters: video_id, day, views, watch_minutes, average_seconds, average_percentage, likes, comments, shares, revenue, is_final
-- What YouTube did not tell (revenue NULL) leaves what it told before.
INSERT INTO analytics.video_analytics AS d
       (video_id, date, views, watch_time_minutes, average_view_duration_seconds,
        average_view_percentage, likes, comments, shares, estimated_revenue, is_final)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::numeric, 0), $11)
    ON CONFLICT (video_id, date, hour) DO UPDATE
   SET views = excluded.views, watch_time_minutes = excluded.watch_time_minutes,
       average_view_duration_seconds = excluded.average_view_duration_seconds,
       average_view_percentage = excluded.average_view_percentage, likes = excluded.likes,
       comments = excluded.comments, shares = excluded.shares,
       estimated_revenue = coalesce($10::numeric, d.estimated_revenue),
       is_final = excluded.is_final, updated_at = clock_timestamp();

-- name: analytics_upsert_raw :exec
-- parameters: request_key, channel_id, host_channel_id, data
INSERT INTO staging.youtube_analytics_raw AS r
       (request_key, channel_id, youtube_channel_id, data, processed, attempts)
VALUES ($1, $2, $3, $4, true, 1)
    ON CONFLICT (request_key) DO UPDATE
   SET data = excluded.data, import_timestamp = clock_timestamp(), attempts = r.attempts + 1;

-- name: analytics_list_stale :many
-- parameters: stale_days
-- Videos at YouTube, out for so long, whose newest counters are older than they should be or gone,
-- and whose account can be asked.
SELECT v.id AS video_id
  FROM videos v
  JOIN youtube_accounts a ON a.id = v.youtube_account_id
 WHERE a.provider = 'youtube' AND a.is_active AND a.state IN ('ready', 'cooling')
   AND v.youtube_video_id IS NOT NULL AND v.deleted_at IS NULL
   AND coalesce(v.published_at, v.scheduled_publish_at, v.created_at)
       <= clock_timestamp() - make_interval(days => $1::int)
   AND NOT EXISTS (SELECT 1 FROM analytics.video_metrics m
                    WHERE m.video_id = v.id AND m.source = 'data_api'
                      AND m."timestamp" > clock_timestamp() - make_interval(days => $1::int));

-- name: analytics_delete_expired :many
-- parameters: expire_days
-- API data that was not refreshed in time goes: counters as of a moment never can be, days and raw
-- answers could not. The videos of which nothing younger is left, whose own counters go as well.
WITH edge AS (
    SELECT clock_timestamp() - make_interval(days => $1::int) AS at
), metrics AS (
    DELETE FROM analytics.video_metrics m USING edge
     WHERE m.source = 'data_api' AND m."timestamp" <= edge.at
 RETURNING m.video_id
), days AS (
    DELETE FROM analytics.video_analytics d USING edge WHERE d.updated_at <= edge.at
), raw AS (
    DELETE FROM staging.youtube_analytics_raw r USING edge WHERE r.import_timestamp <= edge.at
)
UPDATE videos v SET view_count = 0, like_count = 0, comment_count = 0
  FROM (SELECT DISTINCT video_id FROM metrics) gone, edge
 WHERE v.id = gone.video_id
   AND NOT EXISTS (SELECT 1 FROM analytics.video_metrics m
                    WHERE m.video_id = v.id AND m.source = 'data_api'
                      AND m."timestamp" > edge.at)
RETURNING v.id AS video_id;

-- name: video_insert :one
-- parameters: channel_id, trend_id, title, topic, language, resolution, fps, visibility, publish_at
INSERT INTO videos (channel_id, trend_id, title, topic, language, resolution, fps, visibility,
                    scheduled_publish_at, status, queued_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', clock_timestamp())
RETURNING id;

-- name: video_set_topic :exec
-- parameters: video_id, trend_id, title, topic, language
UPDATE videos
   SET trend_id = $2, title = $3, topic = $4, language = $5, status = 'processing',
       processing_started_at = coalesce(processing_started_at, clock_timestamp())
 WHERE id = $1;

-- name: video_set_script :exec
-- parameters: video_id, title, description, tags
UPDATE videos SET title = $2, description = $3, tags = $4 WHERE id = $1;

-- name: video_upsert_content :exec
-- parameters: video_id, script, script_metadata
INSERT INTO video_content (video_id, script, script_metadata)
VALUES ($1, $2, $3)
    ON CONFLICT (video_id) DO UPDATE
   SET script = excluded.script, script_metadata = excluded.script_metadata, updated_at = now();

-- name: video_set_voice :exec
-- parameters: video_id, audio_path, voice
WITH heard AS (
    UPDATE video_content SET voice_model = $3, updated_at = now() WHERE video_id = $1
)
UPDATE videos SET audio_path = $2 WHERE id = $1;

-- name: video_set_cut :exec
-- parameters: video_id, video_path, thumbnail_path, captions_path, duration_seconds, size_bytes
-- duration_seconds is whole and at least 1, as the column's check asks.
UPDATE videos
   SET video_path = $2, thumbnail_path = $3, captions_path = $4, duration_seconds = $5,
       file_size_mb = round($6::numeric / 1048576, 2), status = 'completed',
       processing_completed_at = clock_timestamp()
 WHERE id = $1;

-- name: video_set_published :exec
-- parameters: video_id, account_id, host_video_id, url, published_at
UPDATE videos
   SET youtube_account_id = $2, youtube_video_id = $3, youtube_url = $4,
       published_at = $5,
       status = CASE WHEN $5::timestamptz IS NULL THEN 'completed' ELSE 'published' END
 WHERE id = $1;

-- name: video_set_counters :exec
-- parameters: video_id, views, likes, comments
UPDATE videos SET view_count = $2, like_count = $3, comment_count = $4 WHERE id = $1;

-- name: video_set_failed :exec
-- parameters: video_id, error
-- A video that is out stays published whatever happened afterwards.
UPDATE videos
   SET error_message = $2, status = CASE WHEN status = 'published' THEN status ELSE 'failed' END
 WHERE id = $1;

-- name: video_sum_cost :exec
-- parameters: video_id
UPDATE videos v
   SET total_cost = t.total, cost_breakdown = t.breakdown
  FROM (SELECT coalesce(sum(s.amount), 0) AS total,
               coalesce(jsonb_object_agg(s.service, s.amount), '{}') AS breakdown
          FROM (SELECT service, sum(amount) AS amount FROM video_costs
                 WHERE video_id = $1 GROUP BY service) s) t
 WHERE v.id = $1;

-- name: video_list_recent_topics :many
-- parameters: channel_id, exclude_video_id, since_days
-- What the channel made lately or is making now: not to be repeated.
SELECT topic
  FROM videos
 WHERE channel_id = $1 AND id <> $2 AND topic IS NOT NULL AND deleted_at IS NULL
   AND status <> 'failed'
   AND created_at > clock_timestamp() - make_interval(days => $3::int);

-- name: video_list_recent_footage :many
-- parameters: channel_id, exclude_video_id, since_days
-- Stock footage that the channel showed lately; its own folder's files are meant to come again.
SELECT DISTINCT (c.credit->>'provider') || ':' || (c.credit->>'asset_id') AS key
  FROM videos v
  JOIN workflow_executions e ON e.video_id = v.id
  JOIN workflow_steps s ON s.execution_id = e.id AND s.step_name = 'render'
                       AND s.status = 'success'
 CROSS JOIN LATERAL jsonb_array_elements(coalesce(s.output->'credits', '[]')) AS c (credit)
 WHERE v.channel_id = $1 AND v.id <> $2 AND v.deleted_at IS NULL
   AND v.created_at > clock_timestamp() - make_interval(days => $3::int)
   AND c.credit->>'provider' <> 'folder';

-- name: video_set_description :exec
-- parameters: video_id, description
UPDATE videos SET description = $2 WHERE id = $1;

-- name: artifact_upsert :exec
-- parameters: video_id, kind, sha256, size_bytes, media_type, url, metadata
INSERT INTO video_artifacts (video_id, kind, sha256, size_bytes, media_type, url, metadata)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (video_id, kind, sha256) DO NOTHING;

-- name: metrics_ensure_month :one
-- parameters: at
-- The partition that covers the moment, made before the insert that needs it.
SELECT analytics.ensure_month($1) AS partition;

-- name: metrics_upsert :exec
-- parameters: video_id, at, source, views, likes, comments
INSERT INTO analytics.video_metrics (video_id, "timestamp", source, views, likes, comments)
VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (video_id, "timestamp") DO UPDATE
   SET views = excluded.views, likes = excluded.likes, comments = excluded.comments;

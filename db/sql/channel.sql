-- name: channel_insert :maybe
-- parameters: name, youtube_channel_id, niche, language, timezone, videos_per_day, auto_publish, quality_settings, playlist_id, upload_schedule, daily_budget
-- None when the operator has a channel of this name, or another channel is that YouTube channel.
INSERT INTO channels (user_id, name, youtube_channel_id, niche, language, timezone, videos_per_day,
                      auto_publish, quality_settings, playlist_id, upload_schedule,
                      daily_budget, slots_handled_until)
SELECT u.id, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp()
  FROM users u
 WHERE lower(u.username) = 'operator' AND u.deleted_at IS NULL
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: channel_find :maybe
-- parameters: name_or_id
-- By name first; an id (or the start of one, checked elsewhere) is text as well.
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, automation_enabled, quality_settings, upload_schedule, youtube_category_id,
       playlist_id, daily_budget, status_reason, created_at
  FROM channels
 WHERE deleted_at IS NULL AND (name = $1 OR id::text = $1)
 ORDER BY name = $1 DESC
 LIMIT 1;

-- name: channel_get :one
-- parameters: channel_id
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, automation_enabled, quality_settings, upload_schedule, youtube_category_id,
       playlist_id, daily_budget, status_reason, created_at
  FROM channels
 WHERE id = $1;

-- name: channel_list :many
-- parameters: none
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, automation_enabled, quality_settings, upload_schedule, youtube_category_id,
       playlist_id, daily_budget, status_reason, created_at
  FROM channels
 WHERE deleted_at IS NULL
 ORDER BY name;

-- name: channel_list_ids_like :many
-- parameters: prefix
SELECT id FROM channels WHERE deleted_at IS NULL AND id::text LIKE $1 || '%' LIMIT 2;

-- name: channel_find_youtube :maybe
-- parameters: youtube_channel_id
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, automation_enabled, quality_settings, upload_schedule, youtube_category_id,
       playlist_id, daily_budget, status_reason, created_at
  FROM channels
 WHERE youtube_channel_id = $1 AND deleted_at IS NULL;

-- name: channel_set_youtube :exec
-- parameters: channel_id, youtube_channel_id
-- Only a channel that is none at YouTube yet.
UPDATE channels SET youtube_channel_id = $2 WHERE id = $1 AND youtube_channel_id IS NULL;

-- name: channel_lock :one
-- parameters: channel_id
SELECT id FROM channels WHERE id = $1 FOR UPDATE;

-- name: channel_update :exec
-- parameters: channel_id, niche, language, timezone, videos_per_day, auto_publish, automation_enabled, quality_settings, playlist_id, upload_schedule, daily_budget
-- Slots that are over by now were none before: a new schedule begins with what is to come.
UPDATE channels
   SET niche = $2, language = $3, timezone = $4, videos_per_day = $5, auto_publish = $6,
       automation_enabled = $7, quality_settings = $8, playlist_id = $9, upload_schedule = $10,
       daily_budget = $11,
       slots_handled_until = CASE WHEN upload_schedule = $10 AND automation_enabled = $7
                                  THEN slots_handled_until
                                  ELSE greatest(slots_handled_until, clock_timestamp()) END
 WHERE id = $1;

-- name: channel_set_status :exec
-- parameters: channel_id, status, reason
-- Slots that passed while it was paused are not made up for.
UPDATE channels
   SET status = $2, status_reason = $3,
       slots_handled_until = greatest(slots_handled_until, clock_timestamp())
 WHERE id = $1 AND status IN ('active', 'paused');

-- name: channel_move_health :exec
-- parameters: execution_id, points, error, step
-- The health of a run's channel, apart from its accounts'; with a step, only while the run is at it.
UPDATE channels c
   SET health_score = least(greatest(c.health_score + $2::int, 0), 100),
       last_error = coalesce($3::text, c.last_error)
  FROM workflow_executions e
 WHERE e.id = $1 AND c.id = e.channel_id AND ($4::text IS NULL OR e.current_step = $4::text);

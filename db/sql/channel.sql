-- name: channel_insert :maybe
-- parameters: name, youtube_channel_id, niche, language, timezone, videos_per_day, auto_publish, quality_settings, playlist_id
-- None when the operator has a channel of this name, or another channel is that YouTube channel.
INSERT INTO channels (user_id, name, youtube_channel_id, niche, language, timezone, videos_per_day,
                      auto_publish, quality_settings, playlist_id)
SELECT u.id, $1, $2, $3, $4, $5, $6, $7, $8, $9
  FROM users u
 WHERE lower(u.username) = 'operator' AND u.deleted_at IS NULL
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: channel_find :maybe
-- parameters: name_or_id
-- By name first; an id (or the start of one, checked elsewhere) is text as well.
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, quality_settings, youtube_category_id, playlist_id, created_at
  FROM channels
 WHERE deleted_at IS NULL AND (name = $1 OR id::text = $1)
 ORDER BY name = $1 DESC
 LIMIT 1;

-- name: channel_get :one
-- parameters: channel_id
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, quality_settings, youtube_category_id, playlist_id, created_at
  FROM channels
 WHERE id = $1;

-- name: channel_list :many
-- parameters: none
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, quality_settings, youtube_category_id, playlist_id, created_at
  FROM channels
 WHERE deleted_at IS NULL
 ORDER BY name;

-- name: channel_list_ids_like :many
-- parameters: prefix
SELECT id FROM channels WHERE deleted_at IS NULL AND id::text LIKE $1 || '%' LIMIT 2;

-- name: channel_find_youtube :maybe
-- parameters: youtube_channel_id
SELECT id, name, youtube_channel_id, niche, language, timezone, status, videos_per_day,
       auto_publish, quality_settings, youtube_category_id, playlist_id, created_at
  FROM channels
 WHERE youtube_channel_id = $1 AND deleted_at IS NULL;

-- name: channel_set_youtube :exec
-- parameters: channel_id, youtube_channel_id
-- Only a channel that is none at YouTube yet.
UPDATE channels SET youtube_channel_id = $2 WHERE id = $1 AND youtube_channel_id IS NULL;

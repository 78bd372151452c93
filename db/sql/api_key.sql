-- name: api_key_insert :maybe
-- parameters: id, name, key_prefix, key_hash, permissions, rate_limit, signing_secrets, expires_at
-- None when a key with this name is in use.
INSERT INTO api_keys (id, user_id, name, key_prefix, key_hash, permissions, rate_limit,
                      signing_secrets, expires_at)
SELECT $1, u.id, $2, $3, $4, $5, $6, $7, $8
  FROM users u
 WHERE u.username = 'operator'
    ON CONFLICT (user_id, name) WHERE revoked_at IS NULL DO NOTHING
RETURNING id;

-- name: api_key_find :maybe
-- parameters: name
-- Locked: rotation adds to what it reads.
SELECT id, name, key_prefix, key_hash, permissions, rate_limit, signing_secrets, last_used_at,
       expires_at, revoked_at, created_at,
       coalesce(expires_at <= clock_timestamp(), false) AS expired
  FROM api_keys
 WHERE name = $1 AND revoked_at IS NULL
   FOR UPDATE;

-- name: api_key_find_by_prefix :maybe
-- parameters: key_prefix
SELECT id, name, key_prefix, key_hash, permissions, rate_limit, signing_secrets, last_used_at,
       expires_at, revoked_at, created_at,
       coalesce(expires_at <= clock_timestamp(), false) AS expired
  FROM api_keys
 WHERE key_prefix = $1;

-- name: api_key_list :many
-- parameters: none
SELECT id, name, key_prefix, key_hash, permissions, rate_limit, signing_secrets, last_used_at,
       expires_at, revoked_at, created_at,
       coalesce(expires_at <= clock_timestamp(), false) AS expired
  FROM api_keys
 ORDER BY created_at, id;

-- name: api_key_list_signing :many
-- parameters: most
-- Keys that may sign now; a signature does not say whose it is.
SELECT id, name, key_prefix, key_hash, permissions, rate_limit, signing_secrets, last_used_at,
       expires_at, revoked_at, created_at, false AS expired
  FROM api_keys
 WHERE signing_secrets IS NOT NULL AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > clock_timestamp())
 ORDER BY created_at, id
 LIMIT $1;

-- name: api_key_mark_rotated :exec
-- parameters: id, key_prefix, key_hash, signing_secrets
UPDATE api_keys
   SET key_prefix = $2, key_hash = $3, signing_secrets = $4
 WHERE id = $1;

-- name: api_key_mark_revoked :exec
-- parameters: name
UPDATE api_keys SET revoked_at = clock_timestamp() WHERE name = $1 AND revoked_at IS NULL;

-- name: api_key_mark_used :exec
-- parameters: id
-- Once a minute is enough to know when a key was last used.
UPDATE api_keys
   SET last_used_at = clock_timestamp()
 WHERE id = $1
   AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute');

-- name: api_key_open_hour :exec
-- parameters: api_key_id
INSERT INTO api_key_usage (api_key_id, hour)
VALUES ($1, date_trunc('hour', clock_timestamp()))
    ON CONFLICT (api_key_id, hour) DO NOTHING;

-- name: api_key_lease :maybe
-- parameters: api_key_id, rate_limit, most
-- Take a block of this hour's requests; None when none is left. Blocks shrink as the limit comes
-- near, so that little is left lying with servers that do not need it. The inner lock is taken
-- first and sees the last commit: two servers never count from the same number.
UPDATE api_key_usage u
   SET used = before.used + greatest(1, least($3::integer, ($2::integer - before.used) / 16))
  FROM (SELECT api_key_id, hour, used
          FROM api_key_usage
         WHERE api_key_id = $1 AND hour = date_trunc('hour', clock_timestamp())
           FOR UPDATE) before
 WHERE u.api_key_id = before.api_key_id AND u.hour = before.hour AND before.used < $2::integer
RETURNING u.hour, u.used - before.used AS granted,
       extract(epoch FROM u.hour + interval '1 hour' - clock_timestamp())::float8 AS seconds_left;

-- name: api_key_hour_left :one
-- parameters: none
SELECT extract(epoch FROM date_trunc('hour', clock_timestamp()) + interval '1 hour'
               - clock_timestamp())::float8 AS seconds_left;

-- name: api_key_return :exec
-- parameters: api_key_id, hour, unused
UPDATE api_key_usage SET used = used - $3::integer WHERE api_key_id = $1 AND hour = $2;

-- name: api_key_delete_usage :exec
-- parameters: older_than_seconds
DELETE FROM api_key_usage WHERE hour < clock_timestamp() - make_interval(secs => $1::float8);

-- name: account_insert :one
-- parameters: email, account_name, provider, channel_id, credentials, upload_limit
INSERT INTO youtube_accounts (email, account_name, provider, channel_id, credentials, upload_limit)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id;

-- name: account_allow :exec
-- parameters: channel_id, account_id, is_primary
INSERT INTO channel_accounts (channel_id, youtube_account_id, is_primary)
VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING;

-- name: account_get :one
-- parameters: account_id
SELECT id, email, provider, channel_id, health_score, uploads_today, upload_limit
  FROM youtube_accounts
 WHERE id = $1;

-- name: account_find_held :maybe
-- parameters: execution_id
-- The account this run holds already: a repeat of the upload stays with it.
SELECT a.id, a.email, a.provider, a.channel_id, a.health_score, a.uploads_today, a.upload_limit
  FROM account_reservations r
  JOIN youtube_accounts a ON a.id = r.youtube_account_id
 WHERE r.execution_id = $1 AND r.status = 'held';

-- name: account_lock_eligible :maybe
-- parameters: channel_id
-- The best account that may upload for the channel today. Waits for a row that another reservation
-- holds (SKIP LOCKED would refuse falsely); the caller charges it in the same transaction.
SELECT a.id, a.email, a.provider, a.channel_id, a.health_score,
       CASE WHEN a.quota_date = d.today THEN a.uploads_today ELSE 0 END AS uploads_today,
       a.upload_limit
  FROM youtube_accounts a
  JOIN channel_accounts ca ON ca.youtube_account_id = a.id
 CROSS JOIN (SELECT (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today) d
 WHERE ca.channel_id = $1 AND a.is_active AND a.state = 'ready'
   AND (a.cooldown_until IS NULL OR a.cooldown_until <= clock_timestamp())
   AND (a.quota_date < d.today OR a.uploads_today < a.upload_limit)
 ORDER BY a.is_reserve, a.health_score DESC, a.last_upload_at NULLS FIRST, a.id
 LIMIT 1
   FOR UPDATE OF a;

-- name: account_charge :exec
-- parameters: account_id
-- The guarded increment: no row when the day's uploads are used up after all. The Pacific day rolls
-- over here, by itself.
UPDATE youtube_accounts a
   SET uploads_today = CASE WHEN a.quota_date = d.today THEN a.uploads_today + 1 ELSE 1 END,
       quota_used_today = CASE WHEN a.quota_date = d.today THEN a.quota_used_today ELSE 0 END,
       last_quota_reset = CASE WHEN a.quota_date = d.today THEN a.last_quota_reset
                               ELSE clock_timestamp() END,
       quota_date = d.today
  FROM (SELECT (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today) d
 WHERE a.id = $1 AND (a.quota_date < d.today OR a.uploads_today < a.upload_limit);

-- name: account_hold :exec
-- parameters: execution_id, account_id
INSERT INTO account_reservations (execution_id, youtube_account_id, quota_date, units, expires_at)
VALUES ($1, $2, (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date,
        '{"uploads": 1}', clock_timestamp() + interval '1 day');

-- name: account_spend :exec
-- parameters: execution_id
WITH spent AS (
    UPDATE account_reservations SET status = 'spent'
     WHERE execution_id = $1 AND status = 'held'
 RETURNING youtube_account_id
)
UPDATE youtube_accounts a
   SET total_uploads = a.total_uploads + 1, last_upload_at = clock_timestamp(),
       consecutive_errors = 0
  FROM spent
 WHERE a.id = spent.youtube_account_id;

-- name: account_next_day :one
-- parameters: none
-- When the Pacific day ends and the counters start anew; days of 23 and 25 hours included.
SELECT ((clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date + 1)::timestamp
       AT TIME ZONE 'America/Los_Angeles' AS at;

-- name: account_count_allowed :one
-- parameters: channel_id
SELECT count(*) AS n
  FROM channel_accounts ca
  JOIN youtube_accounts a ON a.id = ca.youtube_account_id
 WHERE ca.channel_id = $1 AND a.is_active AND a.state IN ('ready', 'cooling');

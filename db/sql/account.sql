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
 WHERE ca.channel_id = $1 AND a.is_active AND a.state IN ('ready', 'cooling')
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
       quota_date = d.today,
       -- Only an account whose cooling is over is charged.
       state = CASE WHEN a.state = 'cooling' THEN 'ready' ELSE a.state END,
       cooldown_until = NULL
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

-- name: account_next_chance :one
-- parameters: channel_id
-- When the first account of the channel may serve again by itself: its cooling is over and, if its
-- uploads of the day are used up, the Pacific day (of 23 to 25 hours). No account: the next day.
SELECT coalesce(min(greatest(
           a.cooldown_until,
           CASE WHEN a.quota_date >= d.today AND a.uploads_today >= a.upload_limit
                THEN d.midnight END)), max(d.midnight)) AS at
  FROM (SELECT today, (today + 1)::timestamp AT TIME ZONE 'America/Los_Angeles' AS midnight
          FROM (SELECT (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today) t) d
  LEFT JOIN channel_accounts ca ON ca.channel_id = $1
  LEFT JOIN youtube_accounts a ON a.id = ca.youtube_account_id
       AND a.is_active AND a.state IN ('ready', 'cooling');

-- name: account_list_unusable :many
-- parameters: channel_id
-- The accounts of the channel that serve only after a person has acted.
SELECT a.email, CASE WHEN a.is_active THEN a.state ELSE 'paused' END AS state
  FROM channel_accounts ca
  JOIN youtube_accounts a ON a.id = ca.youtube_account_id
 WHERE ca.channel_id = $1 AND NOT (a.is_active AND a.state IN ('ready', 'cooling'))
 ORDER BY a.email;

-- name: account_has_other :one
-- parameters: channel_id, account_id, other_project
-- Could another account of the channel serve now; one of another Cloud project, if asked so?
SELECT EXISTS (
    SELECT 1
      FROM channel_accounts ca
      JOIN youtube_accounts a ON a.id = ca.youtube_account_id
      JOIN youtube_accounts own ON own.id = $2
     CROSS JOIN (SELECT (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today) d
     WHERE ca.channel_id = $1 AND a.id <> $2 AND a.is_active AND a.state IN ('ready', 'cooling')
       AND (a.cooldown_until IS NULL OR a.cooldown_until <= clock_timestamp())
       AND (a.quota_date < d.today OR a.uploads_today < a.upload_limit)
       AND (NOT $3::boolean OR a.quota_project_id IS DISTINCT FROM own.quota_project_id)
) AS found;

-- name: account_afflict :exec
-- parameters: account_id, event, reason, state, until, health_loss, whole_project
-- Change state and health of an account, or of all of its Cloud project, with an event each. What
-- only a person may lift is not lifted by a lesser trouble.
WITH hit AS (
    SELECT a.id, a.health_score AS before
      FROM youtube_accounts a
      JOIN youtube_accounts own ON own.id = $1
     WHERE a.id = $1 OR ($7::boolean AND a.quota_project_id = own.quota_project_id)
     ORDER BY a.id
       FOR UPDATE OF a
), changed AS (
    UPDATE youtube_accounts a
       SET state = CASE WHEN $4::text IS NULL
                          OR (a.state IN ('suspended', 'disabled') AND $4 <> 'suspended')
                          OR (a.state = 'needs_reauth' AND $4 = 'cooling')
                        THEN a.state ELSE $4 END,
           cooldown_until = greatest(a.cooldown_until, $5::timestamptz),
           health_score = greatest(a.health_score - $6::int, 0),
           total_errors = a.total_errors + (a.id = $1)::int,
           consecutive_errors = a.consecutive_errors + (a.id = $1)::int,
           last_error_at = CASE WHEN a.id = $1 THEN clock_timestamp() ELSE a.last_error_at END
      FROM hit
     WHERE a.id = hit.id
 RETURNING a.id, hit.before, a.health_score AS after
)
INSERT INTO account_events (youtube_account_id, event, reason, health_before, health_after)
SELECT id, $2, $3, before, after FROM changed;

-- name: account_release :exec
-- parameters: execution_id
UPDATE account_reservations SET status = 'released' WHERE execution_id = $1 AND status = 'held';

-- name: account_count_released :one
-- parameters: execution_id
SELECT count(*) AS n FROM account_reservations WHERE execution_id = $1 AND status = 'released';

-- name: account_notify :exec
-- parameters: account_id, reason, title, message
-- Tell the operator, once until it is read.
INSERT INTO notifications (user_id, type, title, message, dedupe_key)
SELECT u.id, 'error', $3, $4, 'account:' || $1::uuid || ':' || $2::text
  FROM users u
 WHERE lower(u.username) = 'operator' AND u.deleted_at IS NULL
    ON CONFLICT (user_id, dedupe_key) WHERE dedupe_key IS NOT NULL AND NOT is_read DO NOTHING;

-- name: account_lock_named :maybe
-- parameters: email, channel_id
SELECT id FROM youtube_accounts
 WHERE lower(email) = lower($1) AND channel_id = $2 AND provider = 'youtube'
   FOR UPDATE;

-- name: account_add :exec
-- parameters: account_id, email, account_name, channel_id, channel_handle, credentials, scopes, token_expires_at, project, is_reserve, upload_limit, quota_limit
-- The id comes from the caller: the envelope in `credentials` is bound to it. An account that is
-- there is authorised anew; its counters and its health stay.
INSERT INTO youtube_accounts AS a (id, email, account_name, channel_id, channel_handle, credentials,
                                   granted_scopes, token_expires_at, quota_project_id, is_reserve,
                                   upload_limit, quota_limit)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (id) DO UPDATE
   SET account_name = excluded.account_name, channel_handle = excluded.channel_handle,
       credentials = excluded.credentials, granted_scopes = excluded.granted_scopes,
       token_expires_at = excluded.token_expires_at, quota_project_id = excluded.quota_project_id,
       is_reserve = excluded.is_reserve, upload_limit = excluded.upload_limit,
       quota_limit = excluded.quota_limit, is_active = true, consecutive_errors = 0,
       state = CASE WHEN a.cooldown_until > clock_timestamp() THEN 'cooling' ELSE 'ready' END;

-- name: account_record_event :exec
-- parameters: account_id, event, reason
INSERT INTO account_events (youtube_account_id, event, reason, health_before, health_after)
SELECT id, $2, $3, health_score, health_score FROM youtube_accounts WHERE id = $1;

-- name: account_get_credentials :one
-- parameters: account_id
SELECT credentials FROM youtube_accounts WHERE id = $1;

-- name: account_set_credentials :exec
-- parameters: account_id, credentials, scopes, token_expires_at
UPDATE youtube_accounts
   SET credentials = $2, granted_scopes = $3, token_expires_at = $4
 WHERE id = $1;

-- name: account_lock_refresh :one
-- parameters: account_id
-- One refresh at a time an account, on all hosts. Not its row: reserving it must not wait for
-- Google. 7303 is this lock's own number.
SELECT pg_advisory_xact_lock(7303, hashtext($1::uuid::text)) IS NULL AS locked;

-- name: account_list :many
-- parameters: only
-- All accounts, or those of an id or an email.
SELECT a.id, a.email, a.account_name, a.provider, a.channel_id, a.channel_handle,
       a.quota_project_id, a.is_active, a.is_reserve, a.state, a.health_score,
       CASE WHEN a.quota_date = d.today THEN a.uploads_today ELSE 0 END AS uploads_today,
       a.upload_limit,
       CASE WHEN a.quota_date = d.today THEN a.quota_used_today ELSE 0 END AS quota_used_today,
       a.quota_limit, a.cooldown_until, a.token_expires_at, a.last_upload_at, a.granted_scopes,
       a.created_at,
       ARRAY(SELECT c.name::text FROM channel_accounts ca JOIN channels c ON c.id = ca.channel_id
              WHERE ca.youtube_account_id = a.id ORDER BY c.name) AS channels
  FROM youtube_accounts a
 CROSS JOIN (SELECT (clock_timestamp() AT TIME ZONE 'America/Los_Angeles')::date AS today) d
 WHERE $1::text IS NULL OR a.id::text LIKE lower($1) || '%' OR lower(a.email) = lower($1)
 ORDER BY a.email, a.id;

-- name: account_set_active :exec
-- parameters: account_id, is_active
-- Resuming also lifts what a person had to see to.
UPDATE youtube_accounts
   SET is_active = $2,
       state = CASE WHEN $2 AND state IN ('disabled', 'suspended', 'needs_reauth') THEN 'ready'
                    ELSE state END
 WHERE id = $1;

-- name: account_count_allowed :one
-- parameters: channel_id
SELECT count(*) AS n
  FROM channel_accounts ca
  JOIN youtube_accounts a ON a.id = ca.youtube_account_id
 WHERE ca.channel_id = $1 AND a.is_active AND a.state IN ('ready', 'cooling');

-- name: account_find_hindrance :maybe
-- parameters: account_id
-- Why the account cannot serve now, and until when if that ends by itself; no row: it can.
SELECT CASE WHEN NOT is_active THEN 'paused' ELSE state END AS state,
       CASE WHEN is_active AND state IN ('ready', 'cooling') THEN cooldown_until END AS until
  FROM youtube_accounts
 WHERE id = $1
   AND (NOT is_active OR state NOT IN ('ready', 'cooling')
        OR cooldown_until > clock_timestamp());

-- name: account_find_reader :maybe
-- parameters: none
-- Who asks what any account may: the healthiest that can serve, primaries first.
SELECT id
  FROM youtube_accounts
 WHERE provider = 'youtube' AND is_active AND state IN ('ready', 'cooling')
   AND (cooldown_until IS NULL OR cooldown_until <= clock_timestamp())
 ORDER BY is_reserve, health_score DESC, id
 LIMIT 1;

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
SELECT id, email, provider, channel_id,
       CASE WHEN provider = 'youtube' THEN coalesce(quota_project_id, id::text) END AS project,
       NULL::uuid AS reservation_id
  FROM youtube_accounts
 WHERE id = $1;

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
-- parameters: account_id, email, account_name, channel_id, channel_handle, credentials, scopes, token_expires_at, project, is_reserve, upload_limit, quota_limit, grant_expires_at
-- The id comes from the caller: the envelope in `credentials` is bound to it. An account that is
-- there is authorised anew; its counters and its health stay, and what is not said (NULL).
INSERT INTO youtube_accounts AS a (id, email, account_name, channel_id, channel_handle, credentials,
                                   granted_scopes, token_expires_at, quota_project_id, is_reserve,
                                   upload_limit, quota_limit, grant_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::boolean, false), coalesce($11::int, 5),
        coalesce($12::int, 10000), $13)
    ON CONFLICT (id) DO UPDATE
   SET account_name = excluded.account_name, channel_handle = excluded.channel_handle,
       credentials = excluded.credentials, granted_scopes = excluded.granted_scopes,
       token_expires_at = excluded.token_expires_at, quota_project_id = excluded.quota_project_id,
       grant_expires_at = excluded.grant_expires_at,
       is_reserve = coalesce($10::boolean, a.is_reserve),
       upload_limit = coalesce($11::int, a.upload_limit),
       quota_limit = coalesce($12::int, a.quota_limit), is_active = true, consecutive_errors = 0,
       refresh_holder = NULL, refresh_until = NULL,
       state = CASE WHEN a.cooldown_until > clock_timestamp() THEN 'cooling' ELSE 'ready' END;

-- name: account_record_event :exec
-- parameters: account_id, event, reason
INSERT INTO account_events (youtube_account_id, event, reason, health_before, health_after)
SELECT id, $2, $3, health_score, health_score FROM youtube_accounts WHERE id = $1;

-- name: account_get_credentials :one
-- parameters: account_id
SELECT credentials FROM youtube_accounts WHERE id = $1;

-- name: account_set_credentials :exec
-- parameters: account_id, credentials, scopes, token_expires_at, holder
-- By the one who may renew it, whose lease ends with it.
UPDATE youtube_accounts
   SET credentials = $2, granted_scopes = $3, token_expires_at = $4,
       refresh_holder = NULL, refresh_until = NULL
 WHERE id = $1 AND refresh_holder = $5;

-- name: account_take_refresh :maybe
-- parameters: account_id, holder, lease_seconds
-- One refresh at a time an account, on all hosts, without a transaction that waits for Google.
UPDATE youtube_accounts
   SET refresh_holder = $2,
       refresh_until = clock_timestamp() + make_interval(secs => $3::float8)
 WHERE id = $1 AND (refresh_until IS NULL OR refresh_until <= clock_timestamp())
RETURNING credentials;

-- name: account_list_token_due :many
-- parameters: ahead_seconds
-- Accounts that are to serve and whose token ends soon, or has ended.
SELECT id
  FROM youtube_accounts
 WHERE provider = 'youtube' AND is_active AND state IN ('ready', 'cooling')
   AND token_expires_at <= clock_timestamp() + make_interval(secs => $1::float8)
 ORDER BY token_expires_at;

-- name: account_drop_refresh :exec
-- parameters: account_id, holder
UPDATE youtube_accounts
   SET refresh_holder = NULL, refresh_until = NULL
 WHERE id = $1 AND refresh_holder = $2;

-- name: account_list :many
-- parameters: only
-- All accounts, or those of an id or an email: with their health of a day ago, from the last event
-- before, and the last trouble.
SELECT a.id, a.email, a.account_name, a.provider, a.channel_id, a.channel_handle,
       a.quota_project_id, a.is_active, a.is_reserve, a.state, a.health_score,
       a.health_changed_at,
       CASE WHEN a.quota_date = d.today THEN a.uploads_today ELSE 0 END AS uploads_today,
       a.upload_limit,
       CASE WHEN a.quota_date = d.today THEN a.quota_used_today ELSE 0 END AS quota_used_today,
       a.quota_limit, a.cooldown_until, a.token_expires_at, a.grant_expires_at, a.last_upload_at,
       a.granted_scopes, a.total_uploads, a.created_at,
       ARRAY(SELECT c.name::text FROM channel_accounts ca JOIN channels c ON c.id = ca.channel_id
              WHERE ca.youtube_account_id = a.id ORDER BY c.name) AS channels,
       past.health_after AS past_health, past.created_at AS past_at,
       bad.event AS error_event, bad.reason AS error_reason, bad.created_at AS error_at,
       d.now, (d.today + 1)::timestamp AT TIME ZONE 'America/Los_Angeles' AS resets_at
  FROM youtube_accounts a
 CROSS JOIN (SELECT t.now, (t.now AT TIME ZONE 'America/Los_Angeles')::date AS today
               FROM (SELECT clock_timestamp() AS now) t) d
  LEFT JOIN LATERAL (SELECT e.health_after, e.created_at FROM account_events e
                      WHERE e.youtube_account_id = a.id AND e.health_after IS NOT NULL
                        AND e.created_at <= d.now - interval '24 hours'
                      ORDER BY e.id DESC LIMIT 1) past ON true
  LEFT JOIN LATERAL (SELECT e.event, e.reason, e.created_at FROM account_events e
                      WHERE e.youtube_account_id = a.id
                        AND e.event IN ('transient_error', 'cooled', 'project_benched',
                                        'needs_reauth', 'disabled', 'suspended', 'refused',
                                        'misconfigured')
                      ORDER BY e.id DESC LIMIT 1) bad ON true
 WHERE $1::text IS NULL OR a.id::text LIKE lower($1) || '%' OR lower(a.email) = lower($1)
 ORDER BY a.email, a.id;

-- name: account_list_events :many
-- parameters: account_id, most
-- The newest first.
SELECT event, reason, health_before, health_after, created_at
  FROM account_events
 WHERE youtube_account_id = $1
 ORDER BY id DESC
 LIMIT $2;

-- name: account_list_split_channels :many
-- parameters: none
-- Channels whose accounts are of several Cloud projects.
SELECT c.name::text AS channel, array_agg(DISTINCT a.quota_project_id::text) AS projects
  FROM channels c
  JOIN channel_accounts ca ON ca.channel_id = c.id
  JOIN youtube_accounts a ON a.id = ca.youtube_account_id AND a.provider = 'youtube'
 WHERE a.quota_project_id IS NOT NULL AND a.is_active AND c.deleted_at IS NULL
 GROUP BY c.id, c.name
HAVING count(DISTINCT a.quota_project_id) > 1
 ORDER BY c.name;

-- name: account_set_active :exec
-- parameters: account_id, is_active
-- Resuming also lifts what a person had to see to.
UPDATE youtube_accounts
   SET is_active = $2,
       state = CASE WHEN $2 AND state IN ('disabled', 'suspended', 'needs_reauth') THEN 'ready'
                    ELSE state END
 WHERE id = $1;

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

-- name: account_lock_standing :many
-- parameters: account_id, whole_project, at
-- An account, or all of its Cloud project, in the order everybody locks them in.
SELECT a.id, a.email, a.state, a.cooldown_until, a.health_score, a.health_changed_at,
       a.consecutive_errors, coalesce($3::timestamptz, clock_timestamp()) AS now
  FROM youtube_accounts a
 WHERE a.id = $1
    OR ($2::boolean AND a.quota_project_id = (SELECT own.quota_project_id FROM youtube_accounts own
                                               WHERE own.id = $1))
 ORDER BY a.id
   FOR UPDATE OF a;

-- name: account_set_standing :exec
-- parameters: account_id, state, cooldown_until, health, now, errors
UPDATE youtube_accounts
   SET state = $2, cooldown_until = $3, health_score = $4, health_changed_at = $5::timestamptz,
       total_errors = total_errors + $6::int,
       consecutive_errors = consecutive_errors + $6::int,
       last_error_at = CASE WHEN $6::int > 0 THEN $5::timestamptz ELSE last_error_at END
 WHERE id = $1;

-- name: account_record_change :exec
-- parameters: account_id, event, reason, before, after, at
INSERT INTO account_events (youtube_account_id, event, reason, health_before, health_after,
                            created_at)
VALUES ($1, $2, $3, $4, $5, $6);

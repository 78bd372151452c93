-- name: envelope_list_accounts :many
-- parameters: key, after, most
-- Rows with an envelope that another key than this one seals, in the order of their ids.
SELECT id, credentials AS sealed
  FROM youtube_accounts
 WHERE credentials ->> 'key' <> $1 AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: envelope_replace_account :exec
-- parameters: id, former, sealed
-- Only if it is as it was read: whoever changed it meanwhile has sealed it himself.
UPDATE youtube_accounts SET credentials = $3 WHERE id = $1 AND credentials = $2;

-- name: envelope_list_uploads :many
-- parameters: key, after, most
SELECT id, session_uri AS sealed
  FROM video_uploads
 WHERE session_uri ->> 'key' <> $1 AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: envelope_replace_upload :exec
-- parameters: id, former, sealed
UPDATE video_uploads SET session_uri = $3 WHERE id = $1 AND session_uri = $2;

-- name: envelope_list_api_keys :many
-- parameters: key, after, most
SELECT id, signing_secrets AS sealed
  FROM api_keys
 WHERE signing_secrets IS NOT NULL AND id > $2
   AND EXISTS (SELECT 1 FROM jsonb_array_elements(signing_secrets) e WHERE e ->> 'key' <> $1)
 ORDER BY id
 LIMIT $3;

-- name: envelope_replace_api_key :exec
-- parameters: id, former, sealed
UPDATE api_keys SET signing_secrets = $3 WHERE id = $1 AND signing_secrets = $2;

-- name: envelope_count_keys :many
-- parameters: none
-- How many envelopes each key seals, by table.
SELECT s.place, s.key, count(*) AS n
  FROM (SELECT 'youtube_accounts.credentials' AS place, credentials ->> 'key' AS key
          FROM youtube_accounts
        UNION ALL
        SELECT 'video_uploads.session_uri', session_uri ->> 'key' FROM video_uploads
        UNION ALL
        SELECT 'api_keys.signing_secrets', e ->> 'key'
          FROM api_keys, jsonb_array_elements(signing_secrets) e
         WHERE signing_secrets IS NOT NULL) s
 WHERE s.key IS NOT NULL
 GROUP BY s.place, s.key
 ORDER BY s.place, s.key;

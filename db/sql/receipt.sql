-- name: receipt_claim :maybe
-- parameters: api_key_id, kind, endpoint, idempotency_key, request_hash
-- The key is ours; None when a request that has committed had it. While such a request is under
-- way, this waits for its end.
INSERT INTO webhook_receipts
       (api_key_id, kind, endpoint, idempotency_key, request_hash, response_status, response_body)
VALUES ($1, $2, $3, $4, $5, 0, '{}')
    ON CONFLICT (api_key_id, kind, endpoint, idempotency_key) DO NOTHING
RETURNING idempotency_key;

-- name: receipt_get :one
-- parameters: api_key_id, kind, endpoint, idempotency_key
SELECT request_hash, response_status, response_body
  FROM webhook_receipts
 WHERE api_key_id = $1 AND kind = $2 AND endpoint = $3 AND idempotency_key = $4;

-- name: receipt_set_answer :exec
-- parameters: api_key_id, kind, endpoint, idempotency_key, response_status, response_body
UPDATE webhook_receipts
   SET response_status = $5, response_body = $6
 WHERE api_key_id = $1 AND kind = $2 AND endpoint = $3 AND idempotency_key = $4;

-- name: receipt_delete_old :exec
-- parameters: older_than_seconds, most
-- A signature is refused by its time long before its receipt goes.
DELETE FROM webhook_receipts r
 USING (SELECT x.api_key_id, x.kind, x.endpoint, x.idempotency_key
          FROM webhook_receipts x
         WHERE x.created_at < clock_timestamp() - make_interval(secs => $1::float8)
         ORDER BY x.created_at
         LIMIT $2) old
 WHERE (r.api_key_id, r.kind, r.endpoint, r.idempotency_key)
       = (old.api_key_id, old.kind, old.endpoint, old.idempotency_key);

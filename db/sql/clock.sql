-- name: clock_now :one
-- parameters: none
-- The database's clock decides whatever several hosts must agree on.
SELECT clock_timestamp() AS now;

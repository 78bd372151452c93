-- name: schema_get_revision :one
-- parameters: none
SELECT version_num FROM alembic_version;

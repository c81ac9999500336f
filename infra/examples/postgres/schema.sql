-- What the function writes to. The database's encoding has to be UTF8 (`SHOW server_encoding`).
-- Run it once: psql "host=… dbname=…" -f schema.sql
CREATE TABLE profiles (
    -- COLLATE "C" compares bytes, as DynamoDB does. Another collation may sort two versions the other
    -- way round, and an older state would then replace a newer one.
    tenant_id    text COLLATE "C" NOT NULL,
    profile_id   text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,  -- of the event that the row holds; higher is newer
    status       text,                       -- null where the event has none, or one that is not text
    data         jsonb NOT NULL,             -- numbers with all their digits
    data_omitted boolean NOT NULL,           -- the bus did not take the event whole: `data` is cut
    event_id     text NOT NULL,
    event_at     timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,       -- by the webhook receiver
    updated_at   timestamptz NOT NULL,       -- of this row
    webhook_id   text,
    PRIMARY KEY (tenant_id, profile_id)
);

-- All that the function may do:
--   CREATE ROLE getprofile_sync LOGIN PASSWORD '…';
--   GRANT SELECT, INSERT, UPDATE ON profiles TO getprofile_sync;

-- Releases may have the cause `stack`. A constraint can't be changed, so the column is made anew; its default is there
-- for the rows that are, an insert always names the cause.
ALTER TABLE releases ADD COLUMN why TEXT NOT NULL DEFAULT 'deploy'
    CHECK (why IN ('deploy', 'config', 'rollback', 'promote', 'stack'));
UPDATE releases SET why = cause;
ALTER TABLE releases DROP COLUMN cause;
ALTER TABLE releases RENAME COLUMN why TO cause;

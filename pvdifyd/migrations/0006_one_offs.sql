-- Processes that run once to their end: release commands, app.json's postdeploy and cron, and what people run.
CREATE TABLE one_offs (
    app         TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    -- Given once in an app.
    number      INTEGER NOT NULL CHECK (number >= 1),
    kind        TEXT    NOT NULL CHECK (kind IN ('release', 'postdeploy', 'cron', 'run')),
    -- The release whose image, config and resources it has.
    version     INTEGER NOT NULL,
    command     TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    -- Seconds it may run.
    timeout     INTEGER NOT NULL CHECK (timeout >= 1),
    exit_status INTEGER,
    -- One line of why it failed.
    failure     TEXT,
    -- The last lines that it wrote, once it has ended.
    output      TEXT,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    PRIMARY KEY (app, number),
    FOREIGN KEY (app, version) REFERENCES releases (app, version) ON DELETE CASCADE,
    CHECK ((ended_at IS NULL) = (status IN ('pending', 'running')))
) STRICT;
CREATE INDEX one_offs_open ON one_offs (app, number) WHERE status IN ('pending', 'running');
-- At most one release command of a release: a start that is repeated can't run it twice.
CREATE UNIQUE INDEX one_offs_release ON one_offs (app, version) WHERE kind = 'release';

-- What app.json says: the command after the app's first deploy.
ALTER TABLE releases ADD COLUMN postdeploy TEXT;
-- The same of commands at certain times: JSON, a list of schedule and command.
ALTER TABLE releases ADD COLUMN cron TEXT NOT NULL DEFAULT '[]';

-- What people asked of an app's instances: to be started anew beside the old ones, or to be stopped and started again.
CREATE TABLE process_orders (
    app                TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    -- Empty: every type.
    process            TEXT    NOT NULL,
    -- 0: all of the type.
    ordinal            INTEGER NOT NULL CHECK (ordinal >= 0),
    -- Instances of a lower generation are replaced; given once in an app.
    restart_generation INTEGER,
    -- Instances that were started before it are stopped.
    stopped_at         INTEGER,
    PRIMARY KEY (app, process, ordinal)
) STRICT;
INSERT INTO process_orders (app, process, ordinal, restart_generation)
    SELECT id, '', 0, restart_generation FROM apps WHERE restart_generation > 0;
ALTER TABLE apps DROP COLUMN restart_generation;

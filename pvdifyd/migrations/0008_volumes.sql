-- Volumes: folders of an app that outlive its releases. Nothing here goes with something else: no cascade, so that no row
-- of a volume is ever gone while its folder is there, but by the one statement that means it.
CREATE TABLE volumes (
    id         TEXT    PRIMARY KEY,
    app        TEXT    NOT NULL REFERENCES apps (id) ON DELETE RESTRICT,
    name       TEXT    NOT NULL,
    -- What is being done with its folders; NULL: nothing. One thing at a time.
    operation  TEXT    CHECK (operation IN ('snapshot', 'restore', 'destroy')),
    -- Whether nothing that has it may run meanwhile.
    held       INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    created_at INTEGER NOT NULL,
    UNIQUE (app, name),
    CHECK (operation IS NOT NULL OR held = 0)
) STRICT;

-- Where the app's next release has them.
CREATE TABLE volume_mounts (
    volume    TEXT    NOT NULL REFERENCES volumes (id) ON DELETE RESTRICT,
    -- The empty text: of every type.
    process   TEXT    NOT NULL,
    path      TEXT    NOT NULL,
    read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
    shared    INTEGER NOT NULL CHECK (shared IN (0, 1)),
    PRIMARY KEY (volume, process)
) STRICT;

CREATE TABLE volume_snapshots (
    id         TEXT    PRIMARY KEY,
    volume     TEXT    NOT NULL REFERENCES volumes (id) ON DELETE RESTRICT,
    name       TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('making', 'ready', 'failed')),
    -- Whether nothing that had the volume ran while it was made.
    stopped    INTEGER NOT NULL CHECK (stopped IN (0, 1)),
    bytes      INTEGER,
    failure    TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (volume, name)
) STRICT;

-- Fixed when the release starts to deploy, as its other settings are.
ALTER TABLE releases ADD COLUMN mounts TEXT NOT NULL DEFAULT '[]';

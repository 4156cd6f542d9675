-- The whole of the control plane. Times are Unix milliseconds; names were parsed before they came here.

CREATE TABLE installation (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         TEXT    NOT NULL,
    -- The highest route table generation ever shown to the router.
    generation INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE apps (
    id                 TEXT    PRIMARY KEY,
    name               TEXT    NOT NULL UNIQUE,
    environment        TEXT    NOT NULL CHECK (environment IN ('production', 'staging')),
    -- NULL: the port that the image exposes, else 8080.
    bind_port          INTEGER CHECK (bind_port BETWEEN 1 AND 65535),
    resources          TEXT    NOT NULL,
    -- NULL: what the image's app.json says, else a TCP connection.
    healthcheck        TEXT,
    restart_generation INTEGER NOT NULL DEFAULT 0,
    -- The set of config vars that the next release takes; 0 is the empty one.
    config_version     INTEGER NOT NULL DEFAULT 0,
    deleting           INTEGER NOT NULL DEFAULT 0 CHECK (deleting IN (0, 1)),
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL
) STRICT;

CREATE TABLE config_versions (
    app        TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    version    INTEGER NOT NULL CHECK (version >= 1),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (app, version)
) STRICT;

-- Each version holds its whole set, so that a release's config is one range of rows.
CREATE TABLE config_vars (
    app     TEXT    NOT NULL,
    version INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    key_id  TEXT    NOT NULL,
    nonce   BLOB    NOT NULL CHECK (length(nonce) = 24),
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (app, version, key),
    FOREIGN KEY (app, version) REFERENCES config_versions (app, version) ON DELETE CASCADE
) STRICT;

CREATE TABLE releases (
    app                 TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    version             INTEGER NOT NULL CHECK (version >= 1),
    status              TEXT    NOT NULL CHECK (status IN
        ('building', 'pending', 'deploying', 'current', 'failed', 'superseded', 'rolled_back')),
    cause               TEXT    NOT NULL CHECK (cause IN ('deploy', 'config', 'rollback', 'promote')),
    rollback_to         INTEGER,
    -- What was asked for; the image is what it meant then.
    reference           TEXT    NOT NULL,
    image               TEXT,
    processes           TEXT    NOT NULL DEFAULT '{}',
    exposed_port        INTEGER,
    healthcheck_path    TEXT,
    healthcheck_timeout INTEGER,
    commit_id           TEXT,
    config_version      INTEGER NOT NULL,
    -- Of a rollback: the app's config version before it, put back if the rollback fails.
    config_before       INTEGER,
    -- Fixed when the release starts to deploy, so that a later change of settings can't alter what serves.
    port                INTEGER,
    readiness           TEXT,
    resources           TEXT,
    -- Seconds one instance may take from its start until it is ready.
    start_timeout       INTEGER,
    deadline            INTEGER,
    description         TEXT    NOT NULL,
    user                TEXT    NOT NULL,
    failure             TEXT,
    log_tail            TEXT    NOT NULL DEFAULT '[]',
    created_at          INTEGER NOT NULL,
    ended_at            INTEGER,
    PRIMARY KEY (app, version),
    CHECK (status IN ('building', 'failed') OR image IS NOT NULL),
    CHECK (status <> 'deploying' OR (port IS NOT NULL AND resources IS NOT NULL AND deadline IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX releases_one_current   ON releases (app) WHERE status = 'current';
CREATE UNIQUE INDEX releases_one_deploying ON releases (app) WHERE status = 'deploying';
CREATE INDEX        releases_open          ON releases (app, version)
    WHERE status IN ('building', 'pending', 'deploying');

-- What a person scaled; a process type without a row has its default.
CREATE TABLE formation (
    app      TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    process  TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 0 AND 100),
    PRIMARY KEY (app, process)
) STRICT;

CREATE TABLE domains (
    host       TEXT    PRIMARY KEY,
    app        TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX domains_of_app ON domains (app, created_at);

CREATE TABLE builds (
    id         TEXT    PRIMARY KEY,
    app        TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    commit_id  TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    -- The release that came of it.
    version    INTEGER,
    failure    TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE INDEX builds_pending ON builds (id) WHERE status = 'pending';
CREATE INDEX builds_of_app  ON builds (app, created_at);

CREATE TABLE ssh_keys (
    fingerprint TEXT    PRIMARY KEY,
    name        TEXT    NOT NULL,
    public_key  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    hash         BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    name         TEXT    NOT NULL UNIQUE,
    scope        TEXT    NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;

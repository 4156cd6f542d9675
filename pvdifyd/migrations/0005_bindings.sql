-- Services that an app is bound to. A binding is there from one of the app's numbers on until another, so that a release
-- has those of its own number, and a change copies nothing.
ALTER TABLE apps ADD COLUMN bindings_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE releases ADD COLUMN bindings_version INTEGER NOT NULL DEFAULT 0;

CREATE TABLE bindings (
    app      TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    name     TEXT    NOT NULL,
    since    INTEGER NOT NULL CHECK (since >= 1),
    -- NULL: the next release has it.
    until    INTEGER CHECK (until > since),
    type     TEXT    NOT NULL,
    provider TEXT,
    PRIMARY KEY (app, name, since)
) STRICT;
CREATE UNIQUE INDEX bindings_one_at_once ON bindings (app, name) WHERE until IS NULL;

CREATE TABLE binding_entries (
    app     TEXT    NOT NULL,
    binding TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    entry   TEXT    NOT NULL,
    -- Of what is sealed.
    size    INTEGER NOT NULL,
    key_id  TEXT    NOT NULL,
    nonce   BLOB    NOT NULL CHECK (length(nonce) = 24),
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (app, binding, since, entry),
    FOREIGN KEY (app, binding, since) REFERENCES bindings (app, name, since) ON DELETE CASCADE
) STRICT;

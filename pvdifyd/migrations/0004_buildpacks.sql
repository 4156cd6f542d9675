-- The buildpacks that an app was given, in the order they run. None: as the source says, or as detected.
CREATE TABLE app_buildpacks (
    app       TEXT    NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL CHECK (position >= 1),
    buildpack TEXT    NOT NULL,
    PRIMARY KEY (app, position),
    UNIQUE (app, buildpack)
) STRICT;

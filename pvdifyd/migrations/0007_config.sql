-- Whose change a set of config vars is and what it did: its names, no value. Of those that are there the first release
-- that has them tells it.
ALTER TABLE config_versions ADD COLUMN user TEXT NOT NULL DEFAULT '';
ALTER TABLE config_versions ADD COLUMN description TEXT NOT NULL DEFAULT '';
UPDATE config_versions SET
    user = coalesce((SELECT user FROM releases AS r
                     WHERE r.app = config_versions.app AND r.config_version = config_versions.version
                     ORDER BY r.version LIMIT 1), ''),
    description = coalesce((SELECT description FROM releases AS r
                            WHERE r.app = config_versions.app AND r.config_version = config_versions.version
                              AND r.cause = 'config'
                            ORDER BY r.version LIMIT 1), 'Set config vars');

-- Who sees it besides the app's processes.
ALTER TABLE config_vars ADD COLUMN scope TEXT NOT NULL DEFAULT 'run' CHECK (scope IN ('run', 'build'));
-- The version from which on it has this value: tells a changed value from the same one without either.
ALTER TABLE config_vars ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE config_vars SET since = version;

-- Images that buildpacks made start each process type through the launcher in them.
ALTER TABLE releases ADD COLUMN launcher INTEGER NOT NULL DEFAULT 0 CHECK (launcher IN (0, 1));

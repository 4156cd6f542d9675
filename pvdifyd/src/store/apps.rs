//! The table `apps`.

use super::{Changed, Result, column};
use pvdify_api::apps::Healthcheck;
use pvdify_types::{AppId, AppName, ConfigVersion, Environment, Resources};
use rusqlite::{Connection, Row, params};

/// An app.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct App {
    pub id: AppId,
    pub name: AppName,
    pub environment: Environment,
    /// `None`: the port that the image exposes, else 8080.
    pub bind_port: Option<u16>,
    pub resources: Resources,
    /// `None`: what the image's app.json says, else a TCP connection.
    pub healthcheck: Option<Healthcheck>,
    /// What the next release takes.
    pub config_version: ConfigVersion,
    pub deleting: bool,
    pub created_at: i64,
    pub updated_at: i64,
}

fn read(row: &Row<'_>) -> Result<App> {
    Ok(App {
        id: column::parsed(row, "apps.id")?,
        name: column::parsed(row, "apps.name")?,
        environment: column::parsed(row, "apps.environment")?,
        bind_port: column::plain(row, "apps.bind_port")?,
        resources: column::json(row, "apps.resources")?,
        healthcheck: column::json_if(row, "apps.healthcheck")?,
        config_version: ConfigVersion(column::plain(row, "apps.config_version")?),
        deleting: column::plain(row, "apps.deleting")?,
        created_at: column::plain(row, "apps.created_at")?,
        updated_at: column::plain(row, "apps.updated_at")?,
    })
}

fn first(reader: &Connection, condition: &str, value: &str) -> Result<Option<App>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM apps WHERE {condition} = ?1"))?;
    let mut rows = query.query([value])?;
    rows.next()?.map(read).transpose()
}

/// By its name.
///
/// # Errors
/// Of the database.
pub fn by_name(reader: &Connection, name: &AppName) -> Result<Option<App>> {
    first(reader, "name", name.as_str())
}

/// By its id.
///
/// # Errors
/// Of the database.
pub fn by_id(reader: &Connection, id: &AppId) -> Result<Option<App>> {
    first(reader, "id", id.as_str())
}

/// All, by name, those being deleted too.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection) -> Result<Vec<App>> {
    let mut query = reader.prepare_cached("SELECT * FROM apps ORDER BY name")?;
    query.query_and_then([], read)?.collect()
}

/// Adds an app with the defaults; `None` when the name is taken.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, name: &AppName, environment: Environment, now: i64) -> Result<Option<AppId>> {
    let id = uuid::Uuid::now_v7().to_string();
    let added = tx.execute(
        "INSERT INTO apps (id, name, environment, resources, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (name) DO NOTHING",
        params![
            id,
            name.as_str(),
            environment.as_str(),
            column::to_json(&Resources::default()),
            now
        ],
    )?;
    let parse = |error| super::Error::unreadable("apps.id", error);
    (added == 1).then(|| id.parse().map_err(parse)).transpose()
}

/// Writes the settings of `app` back.
///
/// # Errors
/// Of the database.
pub fn save_settings(tx: &Connection, app: &App, now: i64) -> Result<()> {
    tx.execute(
        "UPDATE apps SET environment = ?2, bind_port = ?3, resources = ?4, healthcheck = ?5, updated_at = ?6
         WHERE id = ?1",
        params![
            app.id.as_str(),
            app.environment.as_str(),
            app.bind_port,
            column::to_json(&app.resources),
            app.healthcheck.as_ref().map(column::to_json),
            now
        ],
    )?;
    Ok(())
}

/// Sets which config vars the next release takes.
///
/// # Errors
/// Of the database.
pub fn set_config_version(tx: &Connection, id: &AppId, version: ConfigVersion) -> Result<()> {
    tx.execute(
        "UPDATE apps SET config_version = ?2 WHERE id = ?1",
        params![id.as_str(), version.0],
    )?;
    Ok(())
}

/// Notes that something of the app changed.
///
/// # Errors
/// Of the database.
pub fn touch(tx: &Connection, id: &AppId, now: i64) -> Result<()> {
    tx.execute(
        "UPDATE apps SET updated_at = ?2 WHERE id = ?1",
        params![id.as_str(), now],
    )?;
    Ok(())
}

/// Marks an app as going.
///
/// # Errors
/// Of the database.
pub fn mark_deleting(tx: &Connection, id: &AppId, now: i64) -> Result<Changed<()>> {
    let marked = tx.execute(
        "UPDATE apps SET deleting = 1, updated_at = ?2 WHERE id = ?1 AND deleting = 0",
        params![id.as_str(), now],
    )?;
    Ok(match (marked, by_id(tx, id)?) {
        (1, _) => Changed::Updated,
        (_, Some(_)) => Changed::Refused(()),
        (_, None) => Changed::NotFound,
    })
}

/// Removes an app that is going, and by the foreign keys all that is its own.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &Connection, id: &AppId) -> Result<Changed<()>> {
    let removed = tx.execute("DELETE FROM apps WHERE id = ?1 AND deleting = 1", [id.as_str()])?;
    Ok(match (removed, by_id(tx, id)?) {
        (1, _) => Changed::Updated,
        (_, Some(_)) => Changed::Refused(()),
        (_, None) => Changed::NotFound,
    })
}

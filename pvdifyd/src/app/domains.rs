//! Domains: hosts beside the one that an app has from its name.

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
};
use crate::store::{self, Changed, as_date, domains};
use pvdify_api::domains as wire;
use pvdify_types::{AppName, DomainStatus, Hostname};

/// Heroku's figure.
const MAX_DOMAINS: u64 = 1000;

impl Acting {
    /// All of an app's, its own host first.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn domains(&self, name: &AppName) -> Result<Vec<wire::Domain>> {
        self.may(Action::ReadDomains)?;
        let name = name.clone();
        let (app, added) = self
            .app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let added = domains::list(reader, &app.id)?;
                Ok::<_, Error>((app, added))
            })
            .await?;
        let own: Option<Hostname> = self.app.default_host(&app.name).parse().ok();
        let own = own.map(|host| self.face_of_domain(host, app.created_at));
        let added = added
            .into_iter()
            .map(|d| self.face_of_domain(d.host, d.created_at));
        Ok(own.into_iter().chain(added).collect())
    }

    /// Adds one.
    ///
    /// # Errors
    /// When refused, unknown, no host name, taken, or one too many.
    pub async fn add_domain(&self, name: &AppName, typed: &str) -> Result<wire::Domain> {
        self.may(Action::ChangeDomains)?;
        let host = Hostname::parse_typed(typed).map_err(Error::invalid)?;
        self.not_an_app_host(name, &host)?;
        let (name, wanted, now) = (name.clone(), host.clone(), store::now());
        self.app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                if domains::count(tx, &app.id)? >= MAX_DOMAINS {
                    return Err(Error::DomainQuota(MAX_DOMAINS));
                }
                match domains::insert(tx, &app.id, &wanted, now)? {
                    Changed::Updated => Ok(()),
                    Changed::Refused(owner) if owner == app.id => Err(Error::DomainYours(wanted)),
                    // Whose it is stays untold.
                    Changed::Refused(_) | Changed::NotFound => Err(Error::DomainTaken(wanted)),
                }
            })
            .await?;
        self.app.inner.handle.wake();
        Ok(self.face_of_domain(host, now))
    }

    /// Removes one.
    ///
    /// # Errors
    /// When refused, unknown, or the app's own host.
    pub async fn remove_domain(&self, name: &AppName, typed: &str) -> Result<()> {
        self.may(Action::ChangeDomains)?;
        let (name, typed) = (name.clone(), typed.to_ascii_lowercase());
        let own = self.app.default_host(&name);
        self.app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                if typed == own {
                    return Err(Error::DomainOwn(own));
                }
                let removed = match typed.parse() {
                    Ok(host) => domains::remove(tx, &app.id, &host)?,
                    Err(_) => false,
                };
                if removed {
                    Ok(())
                } else {
                    Err(Error::NoDomain {
                        app: name,
                        domain: typed.chars().take(253).collect(),
                    })
                }
            })
            .await?;
        self.app.inner.handle.wake();
        Ok(())
    }

    /// `NAME.DOMAIN` belongs to the app of that name, also to one that is yet to be made.
    fn not_an_app_host(&self, name: &AppName, host: &Hostname) -> Result<()> {
        let domain = &self.app.settings().domain;
        let below = host
            .as_str()
            .strip_suffix(domain.as_str())
            .and_then(|rest| rest.strip_suffix('.'));
        match below.and_then(|label| label.parse::<AppName>().ok()) {
            Some(owner) if owner == *name => Err(Error::DomainYours(host.clone())),
            Some(_) => Err(Error::DomainReserved {
                host: host.clone(),
                domain: domain.clone(),
            }),
            None => Ok(()),
        }
    }

    fn face_of_domain(&self, host: Hostname, created_at: i64) -> wire::Domain {
        let routed = self
            .app
            .inner
            .handle
            .routes()
            .borrow()
            .hosts
            .contains_key(host.as_str());
        wire::Domain {
            domain: host,
            status: if routed {
                DomainStatus::Active
            } else {
                DomainStatus::Pending
            },
            certificate: None,
            created_at: as_date(created_at),
        }
    }
}

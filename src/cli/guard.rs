//! Load never runs against production.

use std::path::Path;

use super::config::{self, Config};
use super::failure::{Exit, Failure};
use crate::pg::target::{self, Marks};
use crate::pg::{Source, connect};

/// Words in a host's or database's name that say production.
const PRODUCTION: &[&str] = &["prod", "production", "prd", "live"];

/// Values of `pgload.environment` that say that load is welcome.
const WELCOME: &[&str] = &["staging", "test", "testing", "development", "dev", "local", "ci"];

/// Asks the target how it is named and marked, and refuses it or returns the marks; every command that sends load begins here.
pub(super) async fn admit(source: &Source, config_path: &Path) -> Result<Marks, Failure> {
    let config = config::read(config_path)?;
    let client = connect(source).await?;
    let marks =
        target::marks(&client).await.map_err(|error| Failure::new(Exit::Connection, format!("read the database's marks: {error}")))?;
    check(source, &marks, &config)?;
    Ok(marks)
}

/// Refuses a target that looks like production, and one that nothing allows.
fn check(source: &Source, marks: &Marks, config: &Config) -> Result<(), Failure> {
    let refuse = |why: String| Err(Failure::new(Exit::Refused, format!("send load to {}: {why}", source.described())));
    let environment = marks.environment.as_deref().map(str::to_lowercase);
    if let Some(name) = environment.as_deref().filter(|name| is_production(name)) {
        return refuse(format!("the database is marked pgload.environment = '{name}'"));
    }
    if let Some(name) = [source.host(), &marks.database].into_iter().find(|name| is_production(name)) {
        return refuse(format!("its name {name:?} says production. Use a copy of it under another name"));
    }
    let listed = config.load.allow.iter().any(|entry| match entry.split_once('/') {
        Some((host, database)) => host == source.host() && database == marks.database,
        None => entry == source.host(),
    });
    let welcome = environment.as_deref().is_some_and(|name| WELCOME.contains(&name));
    if source.is_loopback() || listed || welcome {
        return Ok(());
    }
    refuse(format!(
        "it is not on this machine. Allow it in pgload.toml ([load] allow = [\"{}/{}\"]), or mark it: alter database {} set pgload.environment = 'staging';",
        source.host(),
        marks.database,
        crate::catalog::name::quoted(&marks.database)
    ))
}

/// Looks for a word that says production, whole: `shop_prod`, `prod-db.example`, but not `products`.
fn is_production(name: &str) -> bool {
    name.to_lowercase().split(|letter: char| !letter.is_alphabetic()).any(|word| PRODUCTION.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::source::Environment;

    fn checked(url: &str, environment: Option<&str>, allow: &[&str]) -> Result<(), Failure> {
        let source = Source::resolve(Some(url), &Environment::default()).unwrap();
        let marks = Marks { database: source.database().to_owned(), environment: environment.map(str::to_owned) };
        let mut config = Config::default();
        config.load.allow = allow.iter().map(|entry| (*entry).to_owned()).collect();
        check(&source, &marks, &config)
    }

    #[test]
    fn this_machine_an_allowed_target_and_a_marked_one_may_be_loaded() {
        assert!(checked("postgres://u@localhost/shop", None, &[]).is_ok());
        assert!(checked("postgres://u@db.example/products", None, &["db.example/products"]).is_ok());
        assert!(checked("postgres://u@db.example/shop", None, &["db.example"]).is_ok());
        assert!(checked("postgres://u@db.example/shop", Some("staging"), &[]).is_ok());
    }

    #[test]
    fn production_is_refused_also_when_allowed_elsewhere() {
        let refused =
            |url, environment, allow: &[&str]| checked(url, environment, allow).is_err_and(|failure| failure.exit == Exit::Refused);
        assert!(refused("postgres://u@db.example/shop", None, &[]));
        assert!(refused("postgres://u@db.example/shop", None, &["db.example/other"]));
        assert!(refused("postgres://u@localhost/shop_prod", None, &["localhost"]));
        assert!(refused("postgres://u@prod-db.example/shop", Some("staging"), &["prod-db.example"]));
        assert!(refused("postgres://u@localhost/shop", Some("Production"), &[]));
        assert!(refused("postgres://u@db.example/shop", Some("unknown"), &[]));
    }
}

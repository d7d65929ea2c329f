//! `pgload staging`: the demo's database in a database of one's own.

use std::path::Path;

use super::args::{Size, StagingAction, StagingArgs};
use super::failure::{Exit, Failure};
use super::{connection, guard, output, progress};
use crate::pg::{Source, apply, connect};
use crate::staging;
use crate::units::grouped;

pub(super) async fn run(args: StagingArgs, config_path: &Path) -> Result<Exit, Failure> {
    let StagingAction::Seed { connection, size } = args.action;
    let source = connection::source(&connection)?;
    guard::admit(&source, config_path).await?;
    let folder = tempfile::tempdir().map_err(|error| Failure::failed(format!("make a temporary folder: {error}")))?;
    write_migrations(folder.path())?;
    make(&source, folder.path(), size).await?;
    output::notice(&format!("The staging data is in {}.", source.described()));
    Ok(Exit::Done)
}

/// Writes the staging schema's migrations as files.
pub(super) fn write_migrations(folder: &Path) -> Result<(), Failure> {
    staging::MIGRATIONS.iter().try_for_each(|(name, text)| output::write(&folder.join(name), text))
}

/// Applies the schema and fills it.
pub(super) async fn make(source: &Source, migrations: &Path, size: Size) -> Result<(), Failure> {
    let mut client = connect(source).await?;
    let step = progress::step("Making the staging schema …");
    let begun = std::time::Instant::now();
    apply::up(&mut client, migrations, &mut |_| {}).await?;
    drop(step);
    let step = progress::step(&format!("Filling it: {} prospects …", grouped(size.prospects)));
    staging::seed(&client, size.prospects, size.seed).await?;
    step.done(&format!("Staging data: {} prospects, loaded in {:.1} s.", grouped(size.prospects), begun.elapsed().as_secs_f64()));
    Ok(())
}

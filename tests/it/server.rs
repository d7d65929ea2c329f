//! The server programs the tests beside this file run: `PGLOAD_PG_BIN`, else what is installed.

use std::path::PathBuf;

use pgload::pg::Cluster;
use pgload::pg::binaries::Binaries;
use pgload::pg::cluster::Options;

pub(super) fn options() -> Options {
    let explicit = std::env::var_os("PGLOAD_PG_BIN").map(PathBuf::from);
    let search_path: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    Options::new(Binaries::find(explicit.as_deref(), &search_path).expect("a PostgreSQL server is installed"))
}

pub(super) fn start() -> Cluster {
    Cluster::start(&options()).expect("the server starts")
}

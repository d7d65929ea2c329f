//! I/O: the only module that talks to Postgres.

pub mod apply;
pub mod binaries;
pub mod capacity;
pub mod captured;
pub mod clone;
pub mod cluster;
pub mod connect;
pub mod conninfo;
pub mod copies;
mod hidden;
pub mod measure;
pub mod monitor;
mod observe;
pub mod paired;
pub mod replay;
pub mod rows;
pub mod sample;
pub mod scripts;
pub mod session;
pub mod snapshot;
pub mod source;
pub mod statements;
pub mod target;
pub mod tls;
pub mod twin;
mod wire;
mod workers;
pub mod writable;

pub use cluster::Cluster;
pub use connect::{Canceller, ConnectError, connect};
pub use source::Source;

/// A connection; the rest of the program names it here, so that only this module names the driver.
pub use tokio_postgres::Client;

//! The integration tests.

mod cluster;
mod migrate;
mod replay;
mod rules;
mod server;
mod snapshot;

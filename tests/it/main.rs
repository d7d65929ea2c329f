//! The integration tests.

mod cluster;
mod connect;
mod migrate;
mod replay;
mod rules;
mod server;
mod snapshot;

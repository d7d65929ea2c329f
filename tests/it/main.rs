//! The integration tests.

mod architecture;
mod cli;
mod cluster;
mod migrate;
mod replay;
mod rules;
mod server;
mod snapshot;

//! The integration tests.

mod advice;
mod architecture;
mod capacity;
mod capture;
mod cli;
mod cluster;
mod connect;
mod engine;
mod migrate;
mod objects;
mod paired;
mod paired_programs;
mod pgbench;
mod plans;
mod profile;
mod redact;
mod repair;
mod replay;
mod rules;
mod server;
mod sizes;
mod snapshot;
mod speed;
mod statements;
mod twin;
mod wire;

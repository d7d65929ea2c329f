//! The integration tests.

mod cli;
mod migrate;
mod replay;
mod rules;

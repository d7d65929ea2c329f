//! The integration tests.

mod architecture;
mod cli;
mod migrate;
mod replay;
mod rules;

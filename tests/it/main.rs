//! The integration tests.

mod architecture;
mod migrate;
mod replay;
mod rules;

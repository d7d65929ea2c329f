//! The integration tests.

mod migrate;
mod replay;
mod rules;

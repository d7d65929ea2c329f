//! The integration tests.

mod migrate;

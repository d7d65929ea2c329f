//! The integration tests.

mod replay;

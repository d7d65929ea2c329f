-- Leaves an INVALID index behind, the way it happens in life: somebody tries to forbid duplicate LinkedIn profiles on
-- a busy day, the build meets two accounts that scraped the same person, and nobody drops what remains.
-- Runs alone and outside a transaction. It must fail with SQLSTATE 23505 (unique_violation): success means that the
-- data is not the seeded data.
create unique index concurrently idx_prospects_linkedin_url on prospects (linkedin_url);

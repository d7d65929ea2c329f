-- The search box of the prospect list looks for a company by name.

create index idx_prospects_company_name on prospects (company_name);

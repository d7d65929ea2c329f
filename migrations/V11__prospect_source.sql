-- Where a prospect came from, so that a scrape that ran twice can be told from a good one.

alter table prospects add column source text not null default 'linkedin';
alter table prospects add column source_url text;

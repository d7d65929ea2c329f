-- Company search is answered by the search service from here on. Nothing to do in this database but to say so.

comment on column prospects.company_name is 'Searched in the search service, which reads the change feed.';

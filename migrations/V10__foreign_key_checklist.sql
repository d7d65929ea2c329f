-- Closing an account took a minute. Checklist from the review: "every foreign key needs an index on its column".
-- Done for meetings; the rest of the list is next week's.

create index idx_meetings_user_id on meetings (user_id);

-- The calendar page asks for one user's meetings of one week, and for the next ones.

create index idx_meetings_user_id_scheduled_at on meetings (user_id, scheduled_at);

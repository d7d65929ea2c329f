-- The model's opinion of a prospect, shown beside the name.

alter table prospects add column lead_score smallint not null default 0;
alter table prospects add constraint prospects_lead_score_check check (lead_score between 0 and 100);

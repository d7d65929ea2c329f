-- Billing wants the tokens an account has used. Hotfix: built by hand on the day of the invoices, hence its name.

create index if not exists idx_conversation_user_id on ai_conversation_log (user_id);

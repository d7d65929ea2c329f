-- The campaign list shows a user's newest campaigns, the campaign page a funnel of its prospects by status.

create index idx_campaigns_user_id_created_at on campaigns (user_id, created_at);
create index idx_campaign_prospects_campaign_id_status on campaign_prospects (campaign_id, status);

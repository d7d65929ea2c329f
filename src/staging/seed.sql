-- Fills the staging schema. The tables must be empty.
--
-- Settings:  pgload.prospects   rows in prospects; the other tables follow from it
--            pgload.seed        the same seed, size and now make the same rows
--            pgload.now         the newest row's time; now() when unset
--
-- Every value is a hash of (row number, seed, salt): no sequence of random() calls, so no dependence on plans.
-- Each table is filled in one pass over generate_series or over prospects: time is linear in pgload.prospects.
-- Rows are written in order of time, as a product would have written them.

begin;

do $$
begin
    if exists (select from users) or exists (select from prospects) then
        raise exception 'the staging tables are not empty'
            using errcode = 'object_not_in_prerequisite_state', hint = 'Seed a freshly migrated database.';
    end if;
    -- The rows below keep every foreign key by construction; checking them one at a time doubles the load time.
    -- Roles without the right to say so get the checks.
    begin
        set local session_replication_role = replica;
    exception when insufficient_privilege then
        null;
    end;
end
$$;

set local synchronous_commit = off;
set local work_mem = '64MB';
-- Compiling these wide select lists takes longer than running them does, below a million rows.
set local jit = off;

-- A number in [0, 1) for row g: 52 bits of a hash. Another salt is another, independent number.
create or replace function pg_temp.draw(g bigint, seed bigint, salt integer) returns double precision
language sql immutable parallel safe
as 'select (hashint8extended(g, seed * 1000 + salt) & 4503599627370495)::double precision / 4503599627370496';

-- One element, all equally likely.
create or replace function pg_temp.pick(u double precision, choices text[]) returns text
language sql immutable parallel safe
as 'select choices[1 + floor(u * cardinality(choices))::integer]';

-- A uuid of version 4's shape.
create or replace function pg_temp.uuid_of(g bigint, seed bigint, kind text) returns uuid
language sql immutable parallel safe
as $$select overlay(overlay(md5(kind || ':' || seed || ':' || g) placing '4' from 13) placing 'a' from 17)::uuid$$;

create temporary table dimensions on commit drop as
select
    prospects,
    users,
    campaigns,
    -- The exponent that gives the largest account one row in 25, however many accounts there are; a power law behind it.
    greatest(1, ln(users) / ln(25)) as skew,
    seed,
    moment
from (
    select
        current_setting('pgload.prospects')::bigint as prospects,
        greatest(20, current_setting('pgload.prospects')::bigint / 500) as users,
        greatest(20, current_setting('pgload.prospects')::bigint / 200) as campaigns,
        current_setting('pgload.seed')::bigint as seed,
        coalesce(nullif(current_setting('pgload.now', true), '')::timestamptz, now()) as moment
) settings;

insert into users
    (id, email, full_name, company_name, password_hash, plan, time_zone, settings, created_at, updated_at, last_login_at)
select
    g,
    'account-' || g || '@customers.example.com',
    pg_temp.pick(pg_temp.draw(g, seed, 1), '{Ada,Bruno,Carla,Dmitri,Elena,Farid,Greta,Hugo,Ines,Jonas,Kofi,Lena,Marta,Nils,Olga,Pablo}')
        || ' ' ||
        pg_temp.pick(pg_temp.draw(g, seed, 2), '{Almeida,Bauer,Costa,Dubois,Eriksen,Fischer,Garcia,Hansen,Ito,Jensen,Kowalski,Lopez,Moreau,Novak}'),
    'Customer ' || g || pg_temp.pick(pg_temp.draw(g, seed, 3), '{" GmbH"," Ltd"," SARL"," Inc"," AS"}'),
    -- Not the hash of any password: nobody signs in as a seeded account.
    '!' || md5('a:' || seed || ':' || g) || md5('b:' || seed || ':' || g),
    pg_temp.pick(pg_temp.draw(g, seed, 4), '{trial,starter,starter,growth,scale}'),
    pg_temp.pick(pg_temp.draw(g, seed, 5), '{UTC,Europe/Paris,Europe/Berlin,America/New_York,Asia/Tokyo}'),
    jsonb_build_object(
        'signature', 'Best regards, your contact at customer ' || g,
        'locale', pg_temp.pick(pg_temp.draw(g, seed, 6), '{en,fr,de,es}'),
        'onboarding', jsonb_build_object('linkedin', true, 'mailbox', g % 3 <> 0, 'calendar', g % 4 <> 0),
        'notifications', jsonb_build_object('reply', true, 'meeting', true, 'digest', g % 2 = 0)
    ),
    moment - interval '365 days' * (2 - g / users::double precision),
    moment - interval '30 days' * pg_temp.draw(g, seed, 7),
    moment - interval '20 days' * pg_temp.draw(g, seed, 8)
from dimensions, generate_series(1, users) g
order by g;

-- Age is the square of the position from the end: more than a quarter of a year's rows falls into its last four weeks.
insert into prospects
    (id, user_id, first_name, last_name, email, linkedin_url, job_title, company_name, location, status, notes,
     created_at, updated_at, last_contacted_at, source, source_url, lead_score)
select
    g,
    user_id,
    first_name,
    last_name,
    case when pg_temp.draw(g, seed, 20) < 0.8 then lower(first_name || '.' || last_name) || g || '@prospects.example.com' end,
    'https://www.linkedin.example/in/' || lower(first_name || '-' || last_name) || '-' || substr(md5(seed || ':' || person), 1, 9),
    pg_temp.pick(pg_temp.draw(person, seed, 21), '{Founder,CEO,CTO,"Head of Sales","VP Marketing","Sales Director","Account Executive","Growth Lead","Operations Manager","Head of Procurement","Product Manager","IT Director"}'),
    company_name,
    pg_temp.pick(pg_temp.draw(person, seed, 22), '{"Paris, France","Berlin, Germany","London, United Kingdom","Madrid, Spain","Amsterdam, Netherlands","New York, United States","Austin, United States","Toronto, Canada","Singapore","Lisbon, Portugal"}'),
    status,
    case when notes_draw < 0.6 then
        pg_temp.pick(pg_temp.draw(g, seed, 23), '{"Met at the spring trade fair.","Second degree contact.","Asked for a call after the summer.","Uses a competitor until the end of the year.","Came in through the pricing page.","Was recommended by a customer."}')
        || ' ' ||
        pg_temp.pick(pg_temp.draw(g, seed, 24), '{"Team of about twenty, hiring two account executives.","Wrote about outbound last month; open with that post.","Budget is decided in the fourth quarter.","Prefers mail, does not answer the phone.","Speaks French; keep it short.","Cares most about deliverability and about the number of seats."}')
        || case when notes_draw < 0.2 then ' Company: ' || company_name || '. Follow up with the case study and ask who else is involved in the decision before offering a demo.' else '' end
    end,
    created_at,
    created_at + (moment - created_at) * pg_temp.draw(g, seed, 25),
    case when status <> 'new' then created_at + (moment - created_at) * pg_temp.draw(g, seed, 26) end,
    pg_temp.pick(pg_temp.draw(g, seed, 27), '{linkedin,linkedin,linkedin,linkedin,import,manual}'),
    'https://www.linkedin.example/search/people?list=' || user_id || '-' || (g / 40),
    floor(100 * pg_temp.draw(g, seed, 28))::smallint
from (
    select
        g,
        seed,
        moment,
        person,
        least(users, 1 + floor(users * power(pg_temp.draw(g, seed, 10), skew))::bigint) as user_id,
        pg_temp.pick(pg_temp.draw(person, seed, 11), '{Alice,Amir,Anna,Ben,Camille,Chen,Clara,Daniel,Diego,Eva,Emil,Fatima,Felix,Hana,Ivan,Julia,Karim,Laura,Leo,Lucia,Maria,Max,Mia,Noah,Nora,Omar,Paul,Rosa,Sam,Sofia,Tom,Yuki}') as first_name,
        pg_temp.pick(pg_temp.draw(person, seed, 12), '{Andersson,Bernard,Brown,Chen,Davies,Diaz,Durand,Evans,Ferrari,Gruber,Haddad,Jansen,Khan,Kim,Larsen,Lefebvre,Martin,Meyer,Miller,Nguyen,Nowak,Okafor,Patel,Petit,Rossi,Santos,Sato,Schmidt,Silva,Smith,Weber,Wilson}') as last_name,
        pg_temp.pick(pg_temp.draw(company, seed, 13), '{Northwind,Bluebird,Granite,Harbour,Juniper,Lighthouse,Meridian,Nimbus,Orchard,Pinnacle,Quartz,Riverside,Summit,Tandem,Umbra,Vertex}')
            || ' ' ||
            pg_temp.pick(pg_temp.draw(company, seed, 14), '{Analytics,Consulting,Dynamics,Energy,Foods,Health,Industries,Labs,Logistics,Media,Partners,Robotics,Software,Systems}')
            || ' ' || company as company_name,
        case
            when status_draw < 0.55 then 'new'
            when status_draw < 0.80 then 'contacted'
            when status_draw < 0.89 then 'replied'
            when status_draw < 0.94 then 'qualified'
            when status_draw < 0.97 then 'meeting_booked'
            else 'disqualified'
        end as status,
        pg_temp.draw(g, seed, 16) as notes_draw,
        moment - interval '365 days' * power(1 - (g - pg_temp.draw(g, seed, 17)) / prospects, 2) as created_at
    from (
        select
            d.*,
            g,
            -- One person in a hundred was scraped twice: what the unique index on linkedin_url trips over.
            case when g % 100 = 0 then g - 1 else g end as person,
            1 + floor(prospects / 3 * pg_temp.draw(g, seed, 18))::bigint as company,
            pg_temp.draw(g, seed, 15) as status_draw
        from dimensions d, generate_series(1, prospects) g
    ) numbered
) drawn
order by g;

insert into campaigns (id, user_id, name, status, subject, body_template, daily_limit, created_at, updated_at)
select
    g,
    least(users, 1 + floor(users * power(pg_temp.draw(g, seed, 30), skew))::bigint),
    pg_temp.pick(pg_temp.draw(g, seed, 31), '{Founders,"Heads of sales","Trade fair","Pricing page","Win back",Agencies,"Series A"}')
        || ' ' || pg_temp.pick(pg_temp.draw(g, seed, 32), '{DACH,France,Nordics,Iberia,"North America",Benelux}') || ' #' || g,
    pg_temp.pick(pg_temp.draw(g, seed, 33), '{active,active,active,paused,completed,completed,draft}'),
    pg_temp.pick(pg_temp.draw(g, seed, 34), '{"A question about {{company}}","{{first_name}}, two minutes?","Idea for your sales team","Following up on your post"}'),
    E'Hi {{first_name}},\n\nI read what {{company}} is doing in ' || pg_temp.pick(pg_temp.draw(g, seed, 35), '{logistics,energy,"health care",software,"food retail"}')
        || E' and had one question: how do you find out which of your prospects are worth a call this week? Teams of your size tell us that they'
        || E' spend a day a week on lists that are out of date by the time they are finished.\n\nWe read public profiles, add what the model knows about'
        || E' the company, and hand over a short list every morning, with the reason for each name. {{custom_paragraph}}\n\nWould a quarter of an hour on'
        || E' {{weekday}} suit you? If somebody else looks after this at {{company}}, a name is all I ask for.\n\nBest regards,\n{{sender}}\n\nP.S. Not'
        || E' relevant? Answer "no" and you will not hear from me again. Campaign ' || g || '.',
    25 * (1 + (g % 8)),
    moment - interval '365 days' * power(1 - (g - pg_temp.draw(g, seed, 36)) / campaigns, 2),
    moment - interval '365 days' * power(1 - (g - pg_temp.draw(g, seed, 36)) / campaigns, 2) * pg_temp.draw(g, seed, 37)
from dimensions, generate_series(1, campaigns) g
order by g;

-- A prospect is in none, one or two campaigns of its own account.
insert into campaign_prospects (campaign_id, prospect_id, status, step, added_at, updated_at)
select
    o.ids[1 + (first_campaign + nth * (1 + second_campaign)) % o.many],
    m.prospect_id,
    case
        when m.status_draw < 0.30 then 'pending'
        when m.status_draw < 0.70 then 'sent'
        when m.status_draw < 0.88 then 'opened'
        when m.status_draw < 0.94 then 'replied'
        when m.status_draw < 0.98 then 'bounced'
        else 'unsubscribed'
    end,
    floor(4 * m.status_draw)::integer,
    m.added_at,
    m.added_at + (moment - m.added_at) * m.status_draw
from (
    select
        p.id as prospect_id,
        p.user_id,
        nth,
        d.moment,
        floor(1000000 * pg_temp.draw(p.id, d.seed, 40))::bigint as first_campaign,
        floor(1000000 * pg_temp.draw(p.id, d.seed, 41))::bigint as second_campaign,
        pg_temp.draw(p.id, d.seed, 42 + nth) as status_draw,
        p.created_at + (d.moment - p.created_at) * 0.05 * pg_temp.draw(p.id, d.seed, 44 + nth) as added_at
    from dimensions d, prospects p, generate_series(0, 1) nth
    where pg_temp.draw(p.id, d.seed, 46) < case nth when 0 then 0.85 else 0.4 end
) m
join (
    select user_id, array_agg(id order by id) as ids, count(*) as many
    from campaigns
    group by user_id
) o using (user_id)
on conflict do nothing;

insert into meetings
    (user_id, prospect_id, scheduled_at, duration_minutes, status, location, notes, created_at, updated_at)
select
    user_id,
    id,
    scheduled_at,
    15 * (1 + floor(3 * u)::integer),
    case
        when scheduled_at > moment then 'scheduled'
        when u < 0.72 then 'completed'
        when u < 0.88 then 'cancelled'
        else 'no_show'
    end,
    pg_temp.pick(u, '{"Video call","Video call",Phone,Office}'),
    case when u < 0.5 then 'Agenda: current process, number of seats, who decides. Send the summary and the offer for ' || company_name || ' on the same day.' end,
    booked_at,
    booked_at
from (
    select
        p.id,
        p.user_id,
        p.company_name,
        d.moment,
        pg_temp.draw(p.id, d.seed, 51) as u,
        p.created_at as booked_at,
        date_trunc('hour', p.created_at + interval '1 day' + interval '27 days' * pg_temp.draw(p.id, d.seed, 52)) as scheduled_at
    from dimensions d, prospects p
    where pg_temp.draw(p.id, d.seed, 50) < 0.2
    order by p.id
) booked;

-- One prospect in four was talked about with the assistant: conversations of 2, 4, 6, 8 or 10 messages.
insert into ai_conversation_log
    (conversation_id, user_id, prospect_id, role, content, model, prompt_tokens, completion_tokens, rating, created_at)
select
    conversation_id,
    user_id,
    prospect_id,
    case when turn % 2 = 1 then 'user' else 'assistant' end,
    case when turn % 2 = 1 then
        pg_temp.pick(u, '{"Write a first mail that does not sound like a template.","Shorter, and ask only one question.","What do we know about this company?","Draft a follow-up for next week.","Translate that into French and keep the tone."}')
    else
        'Here is a suggestion for ' || first_name || ' at ' || company_name || '. '
        || pg_temp.pick(u, '{"The company has opened two offices this year and is hiring in sales, so time is what they lack. Open with that, name one result a customer of their size had, and end with a single question that can be answered in one line.","The last post was about deliverability. Refer to the second paragraph of it, say what you would have added, and leave the product out of the first mail altogether.","There was no answer to two mails. A third should bring something new: the case study on onboarding in nine days, in two sentences, and an easy way to say no."}')
    end,
    case when turn % 2 = 0 then 'assistant-large' end,
    case when turn % 2 = 0 then 400 + floor(1600 * u)::integer else 0 end,
    case when turn % 2 = 0 then 60 + floor(240 * u)::integer else 0 end,
    case when turn % 2 = 0 and u < 0.1 then 1 + floor(50 * u)::smallint end,
    opened_at + turn * interval '40 seconds'
from (
    select
        p.id as prospect_id,
        p.user_id,
        p.first_name,
        p.company_name,
        pg_temp.uuid_of(p.id, d.seed, 'conversation') as conversation_id,
        least(p.created_at + interval '3 hours' * pg_temp.draw(p.id, d.seed, 60), d.moment - interval '10 minutes') as opened_at,
        turn,
        pg_temp.draw(p.id * 16 + turn, d.seed, 61) as u
    from
        dimensions d,
        prospects p,
        generate_series(1, 2 + 2 * floor(5 * pg_temp.draw(p.id, d.seed, 62))::integer) turn
    where pg_temp.draw(p.id, d.seed, 63) < 0.25
    order by p.id, turn
) messages;

insert into enrichments (prospect_id, source, status, data, confidence, error, requested_at, finished_at)
select
    id,
    pg_temp.pick(u, '{model,model,model,registry,website}'),
    state,
    case when state = 'completed' then
        jsonb_build_object(
            'company', jsonb_build_object(
                'name', company_name,
                'employees', 5 + floor(2000 * u * u)::integer,
                'industry', pg_temp.pick(v, '{logistics,energy,health,software,food,media}'),
                'founded', 1970 + floor(53 * v)::integer,
                'technologies', jsonb_build_array('crm', pg_temp.pick(u, '{postgres,mysql,oracle}'), pg_temp.pick(v, '{react,vue,angular}'))
            ),
            'person', jsonb_build_object(
                'seniority', pg_temp.pick(v, '{junior,senior,director,executive}'),
                'years_in_role', floor(12 * v)::integer,
                'interests', jsonb_build_array('outbound', 'hiring', pg_temp.pick(u, '{pricing,onboarding,retention}'))
            ),
            'summary', 'Works at ' || company_name || ' in ' || location || '. The team has grown this year; a good moment to talk about lists, seats and the cost of a bad one.',
            'ice_breaker', 'Your post on ' || pg_temp.pick(v, '{deliverability,hiring,"the trade fair"}') || ' made the round in our team.',
            'scores', jsonb_build_object('fit', round(u::numeric, 3), 'timing', round(v::numeric, 3))
        )
    end,
    case when state = 'completed' then (0.5 + 0.5 * v)::real end,
    case when state = 'failed' then 'provider answered 429 five times' end,
    requested_at,
    case when state in ('completed', 'failed') then requested_at + interval '20 seconds' * v end
from (
    select
        p.id,
        p.company_name,
        p.location,
        pg_temp.draw(p.id, d.seed, 71) as u,
        pg_temp.draw(p.id, d.seed, 72) as v,
        case
            -- Only the newest requests are still open.
            when p.id > d.prospects * 0.95 then 'pending'
            when p.id > d.prospects * 0.948 then 'running'
            when pg_temp.draw(p.id, d.seed, 73) < 0.06 then 'failed'
            else 'completed'
        end as state,
        p.created_at as requested_at
    from dimensions d, prospects p
    where pg_temp.draw(p.id, d.seed, 70) < 0.6
    order by p.id
) requested;

insert into email_queue
    (campaign_id, prospect_id, status, subject, body, attempts, last_error, scheduled_at, sent_at, created_at)
select
    campaign_id,
    prospect_id,
    state,
    'A question about ' || company_name,
    'Hi ' || first_name || E',\n\nI read what ' || company_name
        || E' is doing and had one question: how do you find out which of your prospects are worth a call this week? Teams of your size tell us that'
        || E' they spend a day a week on lists that are out of date by the time they are finished.\n\nWould a quarter of an hour suit you?\n\nBest regards',
    case state when 'queued' then 0 when 'failed' then 5 else 1 end,
    case state when 'failed' then '550 5.1.1 mailbox unavailable' end,
    scheduled_at,
    case state when 'sent' then scheduled_at + interval '3 minutes' * u end,
    added_at
from (
    select
        m.campaign_id,
        m.prospect_id,
        m.added_at,
        p.first_name,
        p.company_name,
        pg_temp.draw(m.prospect_id * 100000 + m.campaign_id % 100000, d.seed, 81) as u,
        m.added_at + interval '2 days' * pg_temp.draw(m.prospect_id, d.seed, 82) as scheduled_at,
        case
            when m.added_at + interval '2 days' * pg_temp.draw(m.prospect_id, d.seed, 82) > d.moment - interval '1 hour' then 'queued'
            when pg_temp.draw(m.prospect_id, d.seed, 83) < 0.03 then 'failed'
            when pg_temp.draw(m.prospect_id, d.seed, 83) < 0.05 then 'cancelled'
            else 'sent'
        end as state
    from dimensions d, campaign_prospects m
    join prospects p on p.id = m.prospect_id
    where pg_temp.draw(m.prospect_id * 100000 + m.campaign_id % 100000, d.seed, 80) < 0.5
    order by m.prospect_id, m.campaign_id
) written;

insert into workflow_executions
    (execution_id, user_id, workflow, status, input, found, error, started_at, finished_at)
select
    pg_temp.uuid_of(g, seed, 'execution'),
    least(users, 1 + floor(users * power(pg_temp.draw(g, seed, 90), skew))::bigint),
    pg_temp.pick(u, '{linkedin-scraper,linkedin-scraper,ai-enrichment,email-sender,crm-sync}'),
    state,
    jsonb_build_object(
        'search', jsonb_build_object('title', 'head of sales', 'location', pg_temp.pick(v, '{France,Germany,Spain}'), 'page', g % 50),
        'limit', 25 * (1 + g % 4),
        'callback', 'https://app.customers.example.com/hooks/' || g
    ),
    case when state = 'success' then floor(100 * v)::integer end,
    case when state = 'error' then 'NodeOperationError: request was answered by 429 at node "Fetch profile"' end,
    started_at,
    case when state in ('success', 'error') then started_at + interval '30 seconds' * v end
from (
    select
        g,
        d.*,
        pg_temp.draw(g, seed, 91) as u,
        pg_temp.draw(g, seed, 92) as v,
        case
            when g > prospects / 5 - 10 then 'running'
            when pg_temp.draw(g, seed, 93) < 0.06 then 'error'
            else 'success'
        end as state,
        moment - interval '365 days' * power(1 - (g - pg_temp.draw(g, seed, 94)) / (prospects / 5.0), 2) as started_at
    from dimensions d, generate_series(1, prospects / 5) g
    order by g
) executed;

-- These three were given their ids; the next one comes from the sequence again.
select
    setval(pg_get_serial_sequence('users', 'id'), (select max(id) from users)),
    setval(pg_get_serial_sequence('prospects', 'id'), (select max(id) from prospects)),
    setval(pg_get_serial_sequence('campaigns', 'id'), (select max(id) from campaigns));

commit;

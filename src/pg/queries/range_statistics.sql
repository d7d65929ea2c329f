-- Question: what did ANALYZE find in the ranges of these tables and indexes?
-- Views:    pg_statistic (superusers and members of pg_read_all_data only)
-- Oldest:   14
-- Odd:      pg_stats shows histograms of ranges from 17 on, and this is not asked there. Kind 6 is the lengths, kind 7 the bounds;
--           values are read through text, which every type has.
-- $1 oid[] tables and indexes
select /* pgload */
    s.starelid as relation_oid,
    s.staattnum as number,
    s.stainherit as inherited,
    (pg_catalog.max(slot.contents) filter (where slot.kind = 6))::float8[] as range_lengths,
    (pg_catalog.max(slot.empty_fraction) filter (where slot.kind = 6))::float8 as range_empty_fraction,
    (pg_catalog.max(slot.contents) filter (where slot.kind = 7))::text[] as range_bounds
from pg_catalog.pg_statistic s
cross join lateral (
    values
        (s.stakind1, s.stavalues1::text, s.stanumbers1[1]),
        (s.stakind2, s.stavalues2::text, s.stanumbers2[1]),
        (s.stakind3, s.stavalues3::text, s.stanumbers3[1]),
        (s.stakind4, s.stavalues4::text, s.stanumbers4[1]),
        (s.stakind5, s.stavalues5::text, s.stanumbers5[1])
) as slot (kind, contents, empty_fraction)
where s.starelid = any ($1::oid[]) and slot.kind in (6, 7)
group by s.starelid, s.staattnum, s.stainherit
order by s.starelid, s.staattnum, s.stainherit

-- What recommendations and dashboards count, kept as it changes: reading every finding for it takes seconds in a large estate.

-- Resources that would turn healthy in their score group if this check alone were satisfied. What is stored does not tell it by
-- unit, so every unit is counted anew.
alter table verdict_counts add column decisive bigint not null default 0;
-- Of all tenants, which the owner of the tables sees only where row-level security does not bind it too.
alter table assessments no force row level security;
alter table work no force row level security;
alter table findings no force row level security;
update assessments set inputs = '';
update work set want = want + 1, run_at = now() where kind = 'assess';

-- Unhealthy findings by what does not change with every reading. Kept by triggers, whoever writes findings.
create table unhealthy_counts (
    tenant_id uuid not null references tenants on delete cascade,
    unit_id uuid not null,
    control_id text collate "C" not null,
    severity smallint not null,
    risk smallint not null,
    scored boolean not null,
    findings bigint not null,
    primary key (tenant_id, unit_id, control_id, severity, risk, scored)
) with (fillfactor = 60);
insert into unhealthy_counts
select tenant_id, unit_id, control_id, severity, risk, scored, count(*)
from findings where status = 'unhealthy' group by 1, 2, 3, 4, 5, 6;
alter table findings force row level security;
alter table work force row level security;
alter table assessments force row level security;
alter table unhealthy_counts enable row level security;
alter table unhealthy_counts force row level security;
create policy tenant on unhealthy_counts
    using (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('app.tenant', true), '')::uuid);
grant select, insert, update, delete on unhealthy_counts to rampart_app;

create function count_inserted() returns trigger language plpgsql as $$ begin
    insert into unhealthy_counts as c
    select tenant_id, unit_id, control_id, severity, risk, scored, count(*)
    from new_rows where status = 'unhealthy' group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
    on conflict (tenant_id, unit_id, control_id, severity, risk, scored)
        do update set findings = c.findings + excluded.findings;
    return null;
end $$;

create function count_updated() returns trigger language plpgsql as $$ begin
    insert into unhealthy_counts as c
    select tenant_id, unit_id, control_id, severity, risk, scored, sum(n)
    from (select tenant_id, unit_id, control_id, severity, risk, scored, 1 as n from new_rows where status = 'unhealthy'
          union all
          select tenant_id, unit_id, control_id, severity, risk, scored, -1 from old_rows where status = 'unhealthy') moved
    group by 1, 2, 3, 4, 5, 6 having sum(n) <> 0 order by 1, 2, 3, 4, 5, 6
    on conflict (tenant_id, unit_id, control_id, severity, risk, scored)
        do update set findings = c.findings + excluded.findings;
    if found then
        delete from unhealthy_counts c using (select distinct tenant_id, unit_id from old_rows) o
        where c.tenant_id = o.tenant_id and c.unit_id = o.unit_id and c.findings = 0;
    end if;
    return null;
end $$;

create function count_removed() returns trigger language plpgsql as $$ begin
    insert into unhealthy_counts as c
    select tenant_id, unit_id, control_id, severity, risk, scored, -count(*)
    from old_rows where status = 'unhealthy' group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
    on conflict (tenant_id, unit_id, control_id, severity, risk, scored)
        do update set findings = c.findings + excluded.findings;
    if found then
        delete from unhealthy_counts c using (select distinct tenant_id, unit_id from old_rows) o
        where c.tenant_id = o.tenant_id and c.unit_id = o.unit_id and c.findings = 0;
    end if;
    return null;
end $$;

create trigger count_inserted after insert on findings referencing new table as new_rows
    for each statement execute function count_inserted();
create trigger count_updated after update on findings referencing old table as old_rows new table as new_rows
    for each statement execute function count_updated();
create trigger count_removed after delete on findings referencing old table as old_rows
    for each statement execute function count_removed();

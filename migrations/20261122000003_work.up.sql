-- "This subject is dirty": one row per subject, coalesced, run by one worker at a time under a lease with a fence.
create table work (
    tenant_id uuid not null references tenants on delete cascade,
    kind text collate "C" not null,
    subject uuid not null,
    -- Raised by each request; the run that claims it records what it claimed and, when it ends well, sets done to that.
    want bigint not null default 1,
    claimed bigint not null default 0,
    done bigint not null default 0,
    run_at timestamptz not null default now(),
    lease_until timestamptz,
    fence bigint not null default 0,
    attempts int not null default 0,
    -- Seconds between runs for what repeats by itself; null for what runs only when asked.
    every_s int,
    last_error text,
    primary key (tenant_id, kind, subject)
) with (fillfactor = 70);
create index work_due on work (kind, run_at) where want > done;

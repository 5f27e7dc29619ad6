//! What is known of an estate at one moment, as far as a fault must not change it.

use std::collections::{BTreeMap, BTreeSet};

use super::Table;

/// Resources, verdicts, the score, and coverage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) resources: BTreeSet<String>,
    /// What holds, by resource and control.
    pub(crate) healthy: BTreeSet<String>,
    /// Why nothing is known, by resource and control.
    unknown: BTreeMap<String, String>,
    /// Open findings.
    open: BTreeSet<String>,
    score: Option<f64>,
    /// State by scope and kind.
    pub(crate) coverage: BTreeMap<(String, String), String>,
}

/// Verdicts that are packed; of those that are only unknown, why.
const PACKED: &str = "with known as (
        select r.native_id || ' ' || c.control_id as what,
            case when c.ordinal < length(v.healthy) * 8 then get_bit(v.healthy, c.ordinal) end as healthy,
            case when c.ordinal < length(v.not_applicable) * 8 then get_bit(v.not_applicable, c.ordinal) end as beside,
            case when c.ordinal < length(v.unknown) * 8 then get_bit(v.unknown, c.ordinal) end as unknown,
            v.reasons->>c.ordinal::text as reason
        from verdicts v join resources r using (tenant_id, resource_id) join checks c using (tenant_id))
    select what || E'\t' || case when healthy = 1 then 'healthy' when beside = 1 then 'not applicable'
        else coalesce(reason, '?') end
    from known where healthy = 1 or beside = 1 or unknown = 1";
const OPEN: &str = "select r.native_id || ' ' || f.control_id || ' ' || f.status from findings f
    join resources r using (tenant_id, resource_id) where f.status in ('unhealthy', 'exempt')";

impl State {
    pub(crate) async fn of(table: &Table) -> Self {
        let rows = async |query| table.platform.database.rows(query).await;
        let coverage = rows("select scope || E'\\t' || kind || E'\\t' || state from coverage").await;
        let coverage = coverage.iter().map(|row| {
            let mut words = row.split('\t').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            ((word(), word()), word())
        });
        let (mut healthy, mut unknown) = (BTreeSet::new(), BTreeMap::new());
        for row in rows(PACKED).await {
            match row.split_once('\t') {
                Some((_, "healthy" | "not applicable")) => drop(healthy.insert(row.replace('\t', " "))),
                Some((what, why)) => drop(unknown.insert(what.to_owned(), why.to_owned())),
                None => {}
            }
        }
        Self {
            resources: rows("select native_id || ' ' || kind from resources").await.into_iter().collect(),
            healthy,
            unknown,
            open: rows(OPEN).await.into_iter().collect(),
            score: table.client.get("/v1/secure-score").await["percent"].as_f64(),
            coverage: coverage.collect(),
        }
    }

    /// What is worse now, or looks better, than when everything was read.
    pub(crate) fn losses(&self, now: &Self) -> Vec<String> {
        let mut lost = Vec::new();
        let mut compare = |what: &str, before: &BTreeSet<String>, after: &BTreeSet<String>| {
            let some = |left: &BTreeSet<String>, right: &BTreeSet<String>| -> Vec<String> {
                left.difference(right).take(3).map(|text| format!("{text:.300}")).collect()
            };
            if before != after {
                lost.push(format!("{what}: gone {:?}, new {:?}", some(before, after), some(after, before)));
            }
        };
        compare("resources", &self.resources, &now.resources);
        compare("packed verdicts", &self.healthy, &now.healthy);
        compare("open findings", &self.open, &now.open);
        if now.score > self.score {
            lost.push(format!("the score rose from {:?} to {:?}", self.score, now.score));
        }
        if !lost.is_empty() {
            let news =
                now.unknown.iter().filter(|(what, why)| !self.unknown.contains_key(*what) && !why.contains("kept"));
            let whys: Vec<String> = news.take(3).map(|(what, why)| format!("{what}: {why:.300}")).collect();
            lost.push(format!("unknown: {whys:?}"));
        }
        lost
    }

    /// Everything is as it was before anything went wrong.
    pub(crate) fn check_recovered(&self, now: &Self) {
        assert_eq!(self.losses(now), Vec::<String>::new());
        assert_eq!(self.coverage, now.coverage);
        assert_eq!(self.score, now.score);
    }
}

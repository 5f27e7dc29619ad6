use rampart_connector::{Event, Listing, Member, MemberState, Membership, Organization, Outcome, Sink};
use rampart_domain::{Kind, Scope};
use rampart_store::organization::{self, IsActive, Seen};
use rampart_store::scan;
use rampart_store::worker::Failure;

use crate::pipeline::{self, Pipeline};
use crate::scan::Reading;

/// Reads who belongs to an organisation and settles which of its accounts are read. A reading that fails changes nothing but
/// its coverage. The accounts themselves are scanned by work of their own: one that fails stops no other.
pub(crate) async fn read(
    reading: &Reading<'_>,
    source: &dyn Organization,
    scope: &Scope,
    kind: Kind,
) -> Result<(), Failure> {
    let began = reading.lease.now();
    let listing = Listing { scope: scope.clone(), kind };
    let (sink, events) = Sink::new(4);
    let phase = Pipeline::new(&reading.discovery.store, reading.lease, reading.progress, "organization", None);
    let consumer = pipeline::spawn(phase, events);
    let told = tell(&sink, source, reading, listing).await;
    drop(sink);
    // The units are stored before the accounts are settled: coverage then says when the whole was last seen.
    consumer.await??;
    let Some(members) = told? else { return Ok(()) };
    let seen: Vec<Seen> = members.into_iter().map(seen).collect();

    let mut tx = reading.discovery.store.fenced(reading.lease).await?;
    let organization = reading.lease.subject.into();
    organization::record(&mut tx, organization, &seen, began).await?;
    let settled = organization::settle(&mut tx, organization, reading.lease.now()).await?;
    if scan::get(&mut tx, reading.scan).await?.trigger == "request" {
        organization::scan_all(&mut tx, organization).await?;
    }
    tx.commit().await?;
    tracing::info!(tenant.id = %reading.lease.tenant, connector.id = %organization, accounts = seen.len(),
        added = settled.added.len(), revived = settled.revived.len(), retired = settled.retired.len(),
        "organisation read");
    Ok(())
}

/// Reads the membership and reports its units as a listing of their kind. `None` when the scan was told to stop.
async fn tell(
    sink: &Sink,
    source: &dyn Organization,
    reading: &Reading<'_>,
    listing: Listing,
) -> Result<Option<Vec<Member>>, Failure> {
    // Whoever takes the events ends with its own error, which is told then.
    sink.send(Event::Planned { listings: vec![listing.clone()] }).await.ok();
    sink.send(Event::Started { listing: listing.clone() }).await.ok();
    match source.members(&reading.cx).await {
        Ok(Membership { members, units }) => {
            sink.send(Event::Page { listing: listing.clone(), resources: units, remaining: None }).await.ok();
            sink.send(Event::Finished { listing, outcome: Outcome::Complete }).await.ok();
            Ok(Some(members))
        }
        Err(error) => {
            let stopped = reading.cx.cancel.is_cancelled();
            sink.send(Event::Finished { listing, outcome: Outcome::Incomplete(error.clone()) }).await.ok();
            if stopped { Ok(None) } else { Err(Box::new(error)) }
        }
    }
}

/// An account as the store takes it.
pub(crate) fn seen(member: Member) -> Seen {
    Seen {
        account: member.id,
        name: member.name,
        path: member.path,
        is_active: match member.state {
            MemberState::Active => IsActive::Yes,
            MemberState::Suspended => IsActive::No,
        },
    }
}

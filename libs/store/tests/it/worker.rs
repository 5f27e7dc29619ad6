//! What workers do with what they claim: who is next, and what counts as a failure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rampart_domain::TenantId;
use rampart_store::testing::database;
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::worker::{self, Options};
use rampart_store::{Store, admin};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

async fn request(store: &Store, tenant: TenantId, subjects: &[Uuid]) {
    let mut tx = store.tenant(tenant).await.unwrap();
    for subject in subjects {
        work::request(&mut tx, WorkKind::Scan, *subject).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn options(concurrency: usize, per_tenant: usize) -> Options {
    Options { kinds: vec![WorkKind::Scan], concurrency, per_tenant, grace: Duration::from_secs(5) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_tried_again_and_is_nobodys_failure() {
    let database = database().await;
    let store = &database.store;
    let tenant = admin::create_tenant(store, "crossing").await.unwrap();
    let subjects = [Uuid::from_u128(1), Uuid::from_u128(2)];
    // Rows that both want, each beginning with another one.
    let wanted = [Uuid::from_u128(11), Uuid::from_u128(12)];
    let mut tx = store.tenant(tenant).await.unwrap();
    work::schedule(&mut tx, WorkKind::Preflight, &wanted, None).await.unwrap();
    tx.commit().await.unwrap();
    request(store, tenant, &subjects).await;

    let cancel = CancellationToken::new();
    let (runs, refused, done) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let meeting = Arc::new(tokio::sync::Barrier::new(2));
    let (db, stop, counted) = (store.clone(), cancel.clone(), (runs.clone(), refused.clone(), done.clone()));
    let handler = move |lease: Lease, _| {
        let (db, stop, (runs, refused, done), meeting) = (db.clone(), stop.clone(), counted.clone(), meeting.clone());
        async move {
            assert_eq!(lease.attempts, 0, "no claim before this one failed");
            let is_first = runs.fetch_add(1, Ordering::SeqCst) < 2;
            let mut order = wanted;
            if lease.subject == subjects[1] {
                order.reverse();
            }
            let mut tx = db.tenant(lease.tenant).await?;
            work::lock(&mut tx, WorkKind::Preflight, order[0]).await?;
            if is_first {
                meeting.wait().await;
            }
            let locked = work::lock(&mut tx, WorkKind::Preflight, order[1]).await;
            refused.fetch_add(usize::from(locked.is_err()), Ordering::SeqCst);
            locked?;
            tx.commit().await?;
            if done.fetch_add(1, Ordering::SeqCst) == 1 {
                stop.cancel();
            }
            Ok(())
        }
    };
    let begun = std::time::Instant::now();
    let both = options(2, 2);
    let working = worker::run(store, &both, &cancel, handler);
    tokio::time::timeout(Duration::from_secs(30), working).await.expect("both succeed in the end").unwrap();
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    assert_eq!((count(&refused), count(&runs), count(&done)), (1, 3, 2), "one gave way, once");
    let left =
        database.rows("select attempts::text || ' ' || coalesce(last_error, '-') from work where kind = 'scan'").await;
    assert_eq!(left, ["0 -", "0 -"], "nothing is remembered of it");
    eprintln!("deadlock: 1 victim, 3 runs of 2 subjects, 0 counted attempts, {:?}", begun.elapsed());
}

/// How many subjects of a tenant of 500 were started before the one of another tenant that asked late; and how many in all.
async fn starts(replicas: usize, slots: usize, per_tenant: usize) -> (usize, usize) {
    const MANY: usize = 500;
    let database = database().await;
    let store = &database.store;
    let (large, small) =
        (admin::create_tenant(store, "large").await.unwrap(), admin::create_tenant(store, "small").await.unwrap());
    let subjects: Vec<Uuid> = (0..MANY).map(|_| Uuid::new_v4()).collect();
    request(store, large, &subjects).await;
    let order = Arc::new(Mutex::new(Vec::<TenantId>::new()));
    let cancel = CancellationToken::new();
    let started = |order: &Mutex<Vec<TenantId>>| order.lock().unwrap().len();
    let handler = {
        let (order, cancel) = (order.clone(), cancel.clone());
        move |lease: Lease, _| {
            let (order, cancel) = (order.clone(), cancel.clone());
            async move {
                order.lock().unwrap().push(lease.tenant);
                tokio::time::sleep(Duration::from_millis(5)).await;
                if lease.tenant == small {
                    cancel.cancel();
                }
                Ok(())
            }
        }
    };
    let options = options(slots, per_tenant);
    let late = async {
        while started(&order) < 60 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut tx = store.tenant(small).await.unwrap();
        work::request(&mut tx, WorkKind::Scan, Uuid::new_v4()).await.unwrap();
        tx.commit().await.unwrap();
        started(&order)
    };
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..replicas {
        let (store, options, cancel, handler) = (store.clone(), options.clone(), cancel.clone(), handler.clone());
        working.spawn(async move { worker::run(&store, &options, &cancel, handler).await });
    }
    let asked_at = late.await;
    while let Some(worked) = working.join_next().await {
        worked.unwrap().unwrap();
    }
    let order = order.lock().unwrap();
    let position = order.iter().position(|tenant| *tenant == small).expect("the small tenant had its turn");
    (position.saturating_sub(asked_at), order.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_of_one_is_not_starved_by_a_tenant_of_five_hundred() {
    for (replicas, slots, per_tenant) in [(1, 4, 4), (2, 4, 4), (2, 4, 100), (4, 2, 100)] {
        let (waited, started) = starts(replicas, slots, per_tenant).await;
        eprintln!(
            "{replicas} replicas × {slots} slots, {per_tenant} per tenant: {waited} of 500 went before ({started} started)"
        );
        assert!(
            waited <= 2 * replicas * slots,
            "{waited} scans of another tenant went before, with {replicas} × {slots} slots"
        );
    }
}

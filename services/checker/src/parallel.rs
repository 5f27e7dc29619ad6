//! Work spread over the processors, results in order.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

/// Stack of each thread: configuration may be nested a hundred deep, and conditions walk along.
const STACK: usize = 16 << 20;
/// Below this many items a thread costs more than it brings.
const WORTH_A_THREAD: usize = 8;

/// What `work` makes of each item, in the order of the items.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(items.len().div_ceil(WORTH_A_THREAD)).max(1);
    let mut found = Vec::with_capacity(items.len());
    let items = Mutex::new(items.into_iter().enumerate());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        let worker = || std::iter::from_fn(next).map(|(index, item)| (index, work(item))).collect::<Vec<_>>();
        let running: Vec<_> = (0..threads)
            .filter_map(|_| thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker).ok())
            .collect();
        if running.is_empty() {
            found.extend(worker());
        }
        for thread in running {
            match thread.join() {
                Ok(part) => found.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    found.sort_unstable_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, result)| result).collect()
}

/// What `work` makes, on a thread of its own: an allocator that keeps memory by thread has it back as a whole when most of
/// what was made on the way is gone.
pub(crate) fn aside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_the_order() {
        let squares = super::map((0..1000).collect(), |number: u64| number * number);
        assert!(squares.iter().enumerate().all(|(index, square)| *square == (index * index) as u64));
        assert!(super::map(Vec::<u8>::new(), |it| it).is_empty());
    }
}

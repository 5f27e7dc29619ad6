use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// What one process has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    cpu: Duration,
    /// Largest resident set so far, in bytes.
    peak_memory: u64,
}

/// Measures one stretch of work of a running `rampart serve` and of the Postgres it works on, from outside.
#[derive(Debug)]
pub(crate) struct Meter {
    own: i32,
    postgres: Option<i32>,
    started: Instant,
    own_before: Usage,
    postgres_before: Duration,
}

/// What the stretch cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measurement {
    /// Time that passed.
    pub(crate) wall: Duration,
    /// CPU time of the process itself.
    pub(crate) own_cpu: Duration,
    /// CPU time of the Postgres server and all its backends.
    pub(crate) postgres_cpu: Duration,
    /// Largest resident set of the process, since its start, in bytes.
    pub(crate) peak_memory: u64,
}

impl Meter {
    /// Starts measuring the process `own`; its private Postgres is found among its children.
    pub(crate) fn start(own: i32) -> anyhow::Result<Self> {
        let postgres = child_named(own, "postgres")?;
        Ok(Self {
            own,
            postgres,
            started: Instant::now(),
            own_before: usage(own)?,
            postgres_before: server_cpu(postgres)?,
        })
    }

    /// Ends the stretch.
    pub(crate) fn stop(&self) -> anyhow::Result<Measurement> {
        let wall = self.started.elapsed();
        let own = usage(self.own)?;
        Ok(Measurement {
            wall,
            own_cpu: own.cpu.saturating_sub(self.own_before.cpu),
            postgres_cpu: server_cpu(self.postgres)?.saturating_sub(self.postgres_before),
            peak_memory: own.peak_memory,
        })
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wall {:.2} s · own CPU {:.2} s · Postgres CPU {:.2} s · peak memory {} MB",
            self.wall.as_secs_f64(),
            self.own_cpu.as_secs_f64(),
            self.postgres_cpu.as_secs_f64(),
            self.peak_memory / 1_000_000
        )
    }
}

/// What a process has used by its end: looked at again and again, as there is nothing to look at afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastSeen(Usage);

impl LastSeen {
    /// Looks at the process once more; one that has ended keeps its last figures.
    pub(crate) fn look(&mut self, pid: i32) {
        if let Ok(usage) = usage(pid) {
            self.0 = usage;
        }
    }
}

impl fmt::Display for LastSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.0.peak_memory as f64 / 1e6;
        write!(f, "CPU {:.2} s · peak memory {megabytes:.1} MB", self.0.cpu.as_secs_f64())
    }
}

/// One line of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    name: String,
    parent: i32,
    /// Clock ticks of the process itself.
    own_ticks: u64,
    /// Clock ticks of children that have ended and were waited for.
    ended_children_ticks: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name stands in parentheses and may itself hold spaces and parentheses.
        let (pid, rest) = line.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        // Field numbers of proc(5) less the three that were taken off the front.
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            own_ticks: number(11)? + number(12)?,
            ended_children_ticks: number(13)? + number(14)?,
        })
    }

    fn read(pid: i32) -> anyhow::Result<Self> {
        let line = fs::read_to_string(format!("/proc/{pid}/stat"));
        let line = line.with_context(|| format!("process {pid} is gone, or this system has no /proc"))?;
        Self::parse(&line).context("/proc/<pid>/stat has another shape")
    }
}

fn processes() -> anyhow::Result<Vec<Stat>> {
    let entries = fs::read_dir("/proc").context("figures need /proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // A process may end while the list is read.
    Ok(pids.filter_map(|pid| Stat::read(pid).ok()).collect())
}

fn child_named(parent: i32, name: &str) -> anyhow::Result<Option<i32>> {
    let found = processes()?.into_iter().find(|stat| stat.parent == parent && stat.name == name);
    Ok(found.map(|stat| stat.pid))
}

fn usage(pid: i32) -> anyhow::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the measured process is gone")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    let peak_memory = kilobytes.context("/proc/<pid>/status shows no VmHWM")? * 1024;
    Ok(Usage { cpu: ticks(Stat::read(pid)?.own_ticks), peak_memory })
}

/// The server process, its running backends, and those that have ended: the server waits for each of them.
fn server_cpu(server: Option<i32>) -> anyhow::Result<Duration> {
    let Some(server) = server else { return Ok(Duration::ZERO) };
    let all = processes()?;
    let own = all.iter().filter(|stat| stat.pid == server || stat.parent == server);
    Ok(ticks(own.map(|stat| stat.own_ticks + stat.ended_children_ticks).sum()))
}

fn ticks(count: u64) -> Duration {
    // Linux reports in hundredths of a second to user space whatever the kernel's own clock is.
    Duration::from_millis(count * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_strange_name() {
        let line = "42 (post) gres (x) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 300 4 20 0 1 0 5 6 7";
        let expected =
            Stat { pid: 42, name: "post) gres (x".to_owned(), parent: 7, own_ticks: 120, ended_children_ticks: 304 };
        assert_eq!(Stat::parse(line), Some(expected));
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn work_shows_up_as_cpu_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let meter = Meter::start(own).unwrap();
        let until = Instant::now() + Duration::from_millis(120);
        let mut sum = 0_u64;
        while Instant::now() < until {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let measured = meter.stop().unwrap();
        assert!(measured.wall >= Duration::from_millis(120));
        assert!(measured.own_cpu >= Duration::from_millis(20), "{measured}");
        assert!(measured.peak_memory > 1_000_000, "{measured}");
    }
}

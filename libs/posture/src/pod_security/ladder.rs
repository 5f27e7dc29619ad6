use super::{Conformity, Labels, Level, PREFIX};

/// How far a namespace could go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// The highest level that is known to refuse nothing of what the namespace runs or would run; `None` when not even the
    /// baseline could be told.
    pub level: Option<Level>,
    /// The level above that something stands against, or that could not be told; `None` at the top.
    pub next: Option<Level>,
}

impl Ladder {
    /// Where pods and templates stand. `complete` says whether these are all: of others nothing is known, and only the level
    /// that refuses nothing is safe.
    pub fn of<'a>(judged: impl IntoIterator<Item = &'a Conformity>, complete: bool) -> Self {
        let mut refused: Option<Level> = None;
        let mut doubtful = (!complete).then_some(Level::Baseline);
        let lower = |known: &mut Option<Level>, level| *known = Some(known.map_or(level, |known| known.min(level)));
        for conformity in judged {
            conformity.refusals.iter().for_each(|refusal| lower(&mut refused, refusal.level));
            conformity.undecided.iter().for_each(|refusal| lower(&mut doubtful, refusal.level));
        }
        let below = |level: Option<Level>| level.map_or(Level::Restricted, Level::below);
        let ceiling = below(refused);
        let proven = ceiling.min(below(doubtful));
        if proven == Level::Privileged && ceiling > proven {
            return Self { level: None, next: refused.or(Some(Level::Baseline)) };
        }
        Self { level: Some(proven), next: proven.next() }
    }
}

/// The command that labels a namespace for what it could enforce, and to warn and note what the level above would refuse.
/// Warnings and notes that it has already stay where they are stricter. `None` when there is nothing to say, or the name is
/// none that a cluster would have.
pub fn command(namespace: &str, ladder: Ladder, version: &str, labels: &Labels) -> Option<String> {
    let level = ladder.level?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if namespace.is_empty() || namespace.starts_with('-') || !namespace.bytes().all(is_plain) {
        return None;
    }
    let mut settings = Vec::new();
    if level > Level::Privileged {
        settings.push(("enforce", level));
    }
    if let Some(next) = ladder.next {
        for (mode, current) in [("warn", &labels.warn), ("audit", &labels.audit)] {
            if current.as_ref().is_none_or(|current| current.level <= next) {
                settings.push((mode, next));
            }
        }
    }
    let has = |(mode, level): &(&str, Level)| {
        let current = match *mode {
            "enforce" => &labels.enforce,
            "warn" => &labels.warn,
            _ => &labels.audit,
        };
        current.as_ref().is_some_and(|current| current.level == *level && current.version == version)
    };
    if settings.iter().all(has) {
        return None;
    }
    let labels = settings.into_iter().map(|(mode, level)| {
        let level = level.as_str();
        format!(" {PREFIX}{mode}={level} {PREFIX}{mode}-version={version}")
    });
    Some(format!("kubectl label --overwrite namespace {namespace}{}", labels.collect::<String>()))
}

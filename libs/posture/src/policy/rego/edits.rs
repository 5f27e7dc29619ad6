use std::ops::Range;

/// Changes to a source text that keep its lines, so that positions can be told in the text as it was written.
#[derive(Debug, Default)]
pub(super) struct Edits {
    list: Vec<(Range<usize>, String)>,
    /// Whether a change fell into another and was left out.
    pub(super) lost: bool,
}

impl Edits {
    /// Puts `text` before byte `at`.
    pub(super) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.list.push((at..at, text.into()));
    }

    /// Puts `text` in the place of `range`; the line breaks of what goes stay.
    pub(super) fn replace(&mut self, source: &str, range: Range<usize>, text: impl Into<String>) {
        let mut text = text.into();
        text.extend(source[range.clone()].matches('\n'));
        self.list.push((range, text));
    }

    /// Puts `text` in the place of `range`, and of the changes within it.
    pub(super) fn replace_all(&mut self, source: &str, range: Range<usize>, text: impl Into<String>) {
        self.list
            .retain(|(other, _)| !(range.start <= other.start && other.end <= range.end && other.start < range.end));
        self.replace(source, range, text);
    }

    /// The changed text.
    pub(super) fn apply(&mut self, source: &str) -> String {
        self.list.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(source.len() + 64);
        let mut at = 0;
        for (range, new) in &self.list {
            if range.start < at {
                self.lost = true;
                continue;
            }
            text.push_str(&source[at..range.start]);
            text.push_str(new);
            at = range.end;
        }
        text.push_str(&source[at..]);
        text
    }

    /// The column in the source of a column in the changed text, on the same line; both from 1.
    pub(super) fn column(&self, source: &str, line: usize, column: usize) -> usize {
        let starts = line_start(source, line);
        let ends = source[starts..].find('\n').map_or(source.len(), |length| starts + length);
        let mut shift = 0;
        for (range, new) in self.list.iter().filter(|(range, _)| (starts..=ends).contains(&range.start)) {
            let own = range.start - starts + 1;
            if column <= own + shift {
                break;
            }
            let length = new.trim_end_matches('\n').len();
            if column < own + shift + length {
                return own;
            }
            shift = (shift + length).saturating_sub(range.end.min(ends) - range.start);
        }
        column.saturating_sub(shift).max(1)
    }
}

/// The byte at which a line begins, from 1; the end of the text past the last.
fn line_start(source: &str, line: usize) -> usize {
    match line.checked_sub(2) {
        None => 0,
        Some(before) => source.match_indices('\n').nth(before).map_or(source.len(), |(index, _)| index + 1),
    }
}

//! From text to documents: YAML streams, JSON values one after the other, each with the line where it begins.

use serde_json::Value;

/// Largest file. Bundles of custom resource definitions reach five million bytes.
pub(crate) const MAX_BYTES: u64 = 32 << 20;
/// Nesting of a document.
const MAX_DEPTH: usize = 100;
/// Documents of one file.
const MAX_DOCUMENTS: usize = 50_000;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Place in the file, from 0. Empty documents count.
    pub(crate) index: usize,
    /// Line on which its content begins, from 1.
    pub(crate) line: usize,
    /// Template that Helm says it is from.
    pub(crate) source: Option<String>,
    /// What it holds; null when it is empty.
    pub(crate) content: Result<Value, Trouble>,
    /// Line of a key that is stated twice, whose last value is taken as the API server's clients do.
    pub(crate) repeated_key: Option<(usize, String)>,
    /// Its text, from its first line on.
    pub(crate) text: String,
}

/// Why text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// From 1, in the file.
    pub(crate) line: Option<usize>,
    /// From 1.
    pub(crate) column: Option<usize>,
    /// What is wrong, and what to do about it where that is known.
    pub(crate) message: String,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { line: None, column: None, message: message.into() }
    }
}

/// Reads the documents of a file.
///
/// # Errors
/// The file as a whole cannot be read: it is no text, or holds too many documents.
pub(crate) fn read(bytes: Vec<u8>) -> Result<Vec<Document>, Trouble> {
    let text = decode(bytes)?;
    if text.trim_start().starts_with(['{', '[']) {
        match json(&text) {
            Ok(documents) => return Ok(documents),
            // YAML in flow style begins alike.
            Err(trouble) => {
                let documents = yaml(&text)?;
                let read = documents.iter().all(|document| document.content.is_ok());
                return if read || text.contains("{{") { Ok(documents) } else { Err(trouble) };
            }
        }
    }
    yaml(&text)
}

fn decode(bytes: Vec<u8>) -> Result<String, Trouble> {
    let wide = |little: bool| {
        let units = bytes[2..]
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) });
        char::decode_utf16(units).collect::<Result<String, _>>()
    };
    let text = match bytes.get(..2) {
        Some([0xFF, 0xFE]) => wide(true).ok(),
        Some([0xFE, 0xFF]) => wide(false).ok(),
        _ => String::from_utf8(bytes).ok(),
    };
    let text = text.ok_or_else(|| Trouble::new("is no text in UTF-8 or UTF-16"))?;
    Ok(text.strip_prefix('\u{FEFF}').map_or_else(|| text.clone(), str::to_owned))
}

fn json(text: &str) -> Result<Vec<Document>, Trouble> {
    let mut documents = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let (mut begin, mut line) = (0, 1);
    while let Some(value) = values.next() {
        let value = value.map_err(|error| Trouble {
            line: Some(error.line()),
            column: Some(error.column()),
            message: format!("is not JSON: {error}"),
        })?;
        if depth(&value) > MAX_DEPTH {
            return Err(Trouble::new(format!("is nested more than {MAX_DEPTH} deep")));
        }
        let end = values.byte_offset();
        let blank = text[begin..end].len() - text[begin..end].trim_start().len();
        line += newlines(&text[begin..begin + blank]);
        documents.push(Document {
            index: documents.len(),
            line,
            source: None,
            content: Ok(value),
            repeated_key: None,
            text: text[begin + blank..end].to_owned(),
        });
        check_count(documents.len())?;
        line += newlines(&text[begin + blank..end]);
        begin = end;
    }
    Ok(documents)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn check_count(documents: usize) -> Result<(), Trouble> {
    if documents > MAX_DOCUMENTS {
        return Err(Trouble::new(format!("holds more than {MAX_DOCUMENTS} documents")));
    }
    Ok(())
}

/// A piece of a YAML stream between two markers.
struct Piece<'t> {
    text: &'t str,
    /// Lines before it.
    before: usize,
    /// Whether `---` begins it.
    marked: bool,
}

/// Cuts a stream at its markers. They stand at the beginning of a line and nothing else of YAML may look like them, so
/// that one document's errors do not hide the next document.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut before, mut marked) = (0, 0, false);
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is = |marker: &str| {
            line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        };
        if is("---") {
            pieces.push(Piece { text: &text[begin..offset], before, marked });
            (begin, before, marked) = (offset, number, true);
        } else if is("...") {
            pieces.push(Piece { text: &text[begin..offset], before, marked });
            (begin, before, marked) = (offset + line.len(), number + 1, false);
        }
        offset += line.len();
    }
    pieces.push(Piece { text: &text[begin..], before, marked });
    pieces
}

fn yaml(text: &str) -> Result<Vec<Document>, Trouble> {
    let mut documents = Vec::new();
    for piece in pieces(text) {
        let content = piece.text.lines().position(is_content);
        if !piece.marked && content.is_none() {
            continue;
        }
        let source = piece.text.lines().find_map(|line| line.strip_prefix("# Source: "));
        let mut document = Document {
            index: documents.len(),
            line: piece.before + content.unwrap_or(0) + 1,
            source: source.map(|source| source.trim().to_owned()),
            content: Ok(Value::Null),
            repeated_key: None,
            text: String::new(),
        };
        if content.is_some() {
            parse(&piece, &mut document);
        }
        documents.push(document);
        check_count(documents.len())?;
    }
    Ok(documents)
}

/// Whether a line is more than white space, a comment, a directive or a bare marker.
pub(crate) fn is_content(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    !line.is_empty() && !line.starts_with('#') && !line.starts_with('%')
}

fn parse(piece: &Piece<'_>, document: &mut Document) {
    piece.text.clone_into(&mut document.text);
    document.content = value(piece.text, false).or_else(|error| {
        let trouble = trouble(&error, piece);
        if !matches!(error.without_snippet(), serde_saphyr::Error::DuplicateMappingKey { .. }) {
            return Err(trouble);
        }
        document.repeated_key = Some((trouble.line.unwrap_or(document.line), trouble.message));
        value(piece.text, true).map_err(|error| self::trouble(&error, piece))
    });
}

/// Reads YAML as Kubernetes' own tools do: yes and no are truth values, numbers with a leading zero octal.
fn value(text: &str, repeated: bool) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, options(repeated))
}

pub(crate) fn options(repeated: bool) -> serde_saphyr::Options {
    use serde_saphyr::options::DuplicateKeyPolicy;
    let duplicate_keys = if repeated { DuplicateKeyPolicy::LastWins } else { DuplicateKeyPolicy::Error };
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH, max_nodes: 2_000_000, max_aliases: 10_000, max_anchors: 10_000, max_documents: 2,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 500_000, max_replay_stack_depth: 32 },
        duplicate_keys: duplicate_keys,
        legacy_octal_numbers: true,
        emit_comments: false,
    }
}

fn trouble(error: &serde_saphyr::Error, piece: &Piece<'_>) -> Trouble {
    let place = error.location().filter(|place| place.line() > 0);
    let text = error.without_snippet().to_string();
    let mut message = text.lines().next().unwrap_or_default().trim().to_owned();
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    if piece.text.contains("{{") {
        message.push_str("; a Helm template has to be rendered first: helm template … | rampart check -");
    }
    Trouble {
        line: place.map(|place| piece.before + usize::try_from(place.line()).unwrap_or(1)),
        column: place.map(|place| usize::try_from(place.column()).unwrap_or(1)),
        message: format!("is not YAML: {message}"),
    }
}

#[cfg(test)]
mod tests;

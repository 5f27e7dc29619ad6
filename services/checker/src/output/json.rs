use std::io::{self, BufWriter, Write as _};

use crate::Terminal;
use crate::report::Report;

/// The report as one JSON object.
pub(crate) fn write(report: &Report, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(&mut *terminal.stdout);
    serde_json::to_writer_pretty(&mut out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

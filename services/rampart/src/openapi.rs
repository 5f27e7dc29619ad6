use std::io::Write as _;

use anyhow::Context as _;

pub(crate) fn print() -> anyhow::Result<()> {
    let document = rampart_api::openapi().to_pretty_json().context("could not write the OpenAPI document")?;
    writeln!(std::io::stdout(), "{document}").context("could not print the OpenAPI document")
}

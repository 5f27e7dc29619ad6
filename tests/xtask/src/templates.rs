use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use rampart_api::template_permissions;
use rampart_onboarding::{DOCUMENTS, Fill, render};

use crate::workspace::root;

/// Options of `cargo xtask templates`.
#[derive(Debug, clap::Args)]
pub(crate) struct TemplatesArgs {
    /// Write nothing; fail when a committed template is not what the code says.
    #[arg(long)]
    check: bool,
}

pub(crate) fn templates(args: &TemplatesArgs) -> anyhow::Result<()> {
    let permissions = template_permissions();
    let mut stale = Vec::new();
    for document in DOCUMENTS.iter().filter(|document| permissions.has(document.cloud)) {
        let name = format!("infra/onboarding/{}/{}", document.cloud, document.file);
        let text =
            render(document, &permissions, &Fill::default()).with_context(|| format!("could not make {name}"))?;
        let path = root().join(&name);
        if std::fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
            continue;
        }
        if !args.check {
            write(&path, &text).with_context(|| format!("could not write {name}"))?;
        }
        stale.push(name);
    }
    if stale.is_empty() {
        println!("infra/onboarding is up to date");
        return Ok(());
    }
    ensure!(!args.check, "stale: {}; run `cargo xtask templates` and commit", stale.join(", "));
    println!("written: {}", stale.join(", "));
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, text)?;
    if path.extension().is_some_and(|extension| extension == "sh") {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

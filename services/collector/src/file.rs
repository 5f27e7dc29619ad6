use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use crate::writer::Destination;

/// A file that holds a whole session or does not exist: it gets its name when it is finished.
pub(crate) struct FileWriter {
    file: File,
    unfinished: PathBuf,
    path: PathBuf,
}

impl FileWriter {
    /// Begins a file that only its owner may read: it tells what runs in a cluster.
    pub(crate) async fn create(path: &Path) -> anyhow::Result<Self> {
        let mut name = path.file_name().context("--output names no file")?.to_owned();
        name.push(".unfinished");
        let unfinished = path.with_file_name(name);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&unfinished).await;
        let file = file.with_context(|| format!("could not create {}", unfinished.display()))?;
        Ok(Self { file, unfinished, path: path.to_owned() })
    }

    /// Gives the file its name.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        self.file.sync_all().await.context("could not write the file to its end")?;
        let renamed = tokio::fs::rename(&self.unfinished, &self.path).await;
        renamed.with_context(|| format!("could not name {}", self.path.display()))
    }
}

impl Destination for FileWriter {
    async fn put(&mut self, frame: Vec<u8>) -> anyhow::Result<()> {
        self.file.write_all(&frame).await.context("could not write a batch")
    }
}

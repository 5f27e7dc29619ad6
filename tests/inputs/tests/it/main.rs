//! The corpus of the fuzz targets, replayed without a fuzzer: whatever was once found stays mended.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use platform_inputs::TARGETS;

/// One input takes at most so long, also where nothing is optimised.
const LONGEST: Duration = Duration::from_secs(20);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// Names of what lies in a folder, without what follows the last dot.
fn stems(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_way_in_has_a_target_and_seeds() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "a name is there twice");
    assert_eq!(stems(&fuzz().join("fuzz_targets")), names);
    assert_eq!(stems(&fuzz().join("seeds")), names);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not built");
        let target = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("run(\"{name}\"")), "{name} runs another target");
    }
}

#[test]
fn the_corpus_does_no_harm() {
    for target in TARGETS {
        let folder = fuzz().join("seeds").join(target.name);
        let mut replayed = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let begun = Instant::now();
            (target.run)(&bytes);
            assert!(begun.elapsed() < LONGEST, "{} took {:?}", path.display(), begun.elapsed());
            // Cut anywhere it is another input that somebody may send.
            for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                (target.run)(&bytes[..cut]);
            }
            replayed += 1;
        }
        assert!(replayed >= 5, "{} has {replayed} seeds", target.name);
    }
}

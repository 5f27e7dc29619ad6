//! The corpus of the fuzz targets, replayed without a fuzzer, each input also with small changes: whatever was once found stays
//! mended.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use platform_inputs::TARGETS;

/// An input takes at most so long with twenty like it, also where nothing is optimised.
const LONGEST: Duration = Duration::from_secs(20);

/// What readers take for something else than text.
const ODD: &[u8] = b"\"{}[]:,\0'*&-\n0\xff";

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

/// The bytes with a few of them changed, doubled or cut off; the same in every run.
fn altered(bytes: &[u8], round: u64) -> Vec<u8> {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit.max(1) as u64) as usize
    };
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(3) {
        let at = below(bytes.len());
        match below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), ODD[below(ODD.len())]),
            2 => bytes.extend_from_within(at..),
            3 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(below(255) as u8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn the_corpus_does_no_harm() {
    let is_long = std::env::var("RAMPART_TEST_FULL").as_deref() == Ok("1");
    let rounds = if is_long { 2_000 } else { 20 };
    for target in TARGETS {
        let folder = fuzz().join("seeds").join(target.name);
        let mut replayed = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let begun = Instant::now();
            (target.run)(&bytes);
            for round in 0..rounds {
                (target.run)(&altered(&bytes, round));
            }
            let most = LONGEST * (rounds as u32 / 20);
            assert!(begun.elapsed() < most, "{} took {:?}", path.display(), begun.elapsed());
            replayed += 1;
        }
        assert!(replayed >= 5, "{} has {replayed} seeds", target.name);
    }
}

use std::sync::OnceLock;

use rampart_content::Catalogue;
use rampart_posture::Engine;
use rampart_posture::custom::{Format, Layer, Source, layered};
use rampart_posture::examples;

/// A control or a bundle of policies as a customer writes it: what is read can be judged by, and what is not says where.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for format in [Format::Control, Format::Policies] {
        let source = Source { format, name: "bundle".to_owned(), text: text.to_owned() };
        match source.read(catalogue()) {
            Ok(layer) => judge(layer, None),
            Err(problems) => {
                assert!(!problems.is_empty(), "refused without a reason");
                assert!(problems.iter().all(|problem| problem.line > 0 && problem.column > 0), "{problems:?}");
            }
        }
    }
}

/// Judges by every control of a layer: its own examples, and `object` in the place of each.
pub(crate) fn judge(layer: Layer, object: Option<&serde_json::Value>) {
    let ids: Vec<String> = layer.controls().map(|control| control.id.clone()).collect();
    let (catalogue, engine) = layered((catalogue(), engine()), vec![layer], |_, policy| policy.into());
    for control in ids.iter().filter_map(|id| catalogue.control(id)) {
        for example in &control.examples {
            let Ok(check) = examples::check_of(&engine, control, example) else { continue };
            let object = object.unwrap_or(&example.object);
            let judged = || examples::with_input(control, example, object, |input| engine.judge(&check, input));
            assert_eq!(judged(), judged(), "judged twice, {} says two things", control.id);
        }
    }
}

pub(crate) fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| Catalogue::embedded().expect("the built-in content is sound"))
}

/// Without the built-in controls: only what strangers write is of interest.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::compile_some(catalogue(), |_| false).expect("nothing to compile"))
}

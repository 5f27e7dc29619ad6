//! The conditions of the content, run by the reference interpreter and by ours on every example and element.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Env, Value as Cel};
use rampart_domain::strip_nulls;
use serde_json::{Value, json};

use crate::cel::{Program, Run, Text, Variables};
use crate::element::Element;
use crate::engine::{CompiledVariant, Engine};
use crate::evaluate::{Subject, fetch};
use crate::examples::{check_of, with_input};
use crate::input::{Facts, Input};
use crate::oracle::{describe, describe_cel, environment, of_json, reference};
use crate::sources::sources;

/// The reference has no such functions.
const OURS_ALONE: [&str; 2] = ["selects(", "cidrContains("];

#[test]
fn content_runs_as_the_reference_runs_it() {
    let catalogue = sources();
    let engine = Engine::compile(&catalogue).unwrap();
    let env = environment();
    let mut compared = 0;
    let mut differences = Vec::new();
    for control in catalogue.controls() {
        let compiled = &engine.controls[engine.by_id[&control.id]];
        for example in &control.examples {
            let kind = control.example_kind(example).unwrap();
            let variant = control.variant(kind).unwrap();
            let mut texts = variant.r#let.values().chain([&variant.violation, &variant.message]);
            if texts.any(|text| OURS_ALONE.iter().any(|function| text.contains(function))) {
                continue;
            }
            let compiled = compiled.variant(kind);
            let mut object = example.object.clone();
            strip_nulls(&mut object);
            let check = check_of(&engine, control, example).unwrap();
            with_input(control, example, &object, |input| {
                let mut comparison =
                    Comparison { env: &env, id: &control.id, compiled, differences: &mut differences, compared: 0 };
                comparison.example(&engine, input, &check.params, &example.name);
                compared += comparison.compared;
            })
            .unwrap();
        }
    }
    assert!(compared > 2000, "only {compared} comparisons");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

struct Comparison<'c> {
    env: &'c Arc<Env>,
    id: &'c str,
    compiled: &'c CompiledVariant,
    differences: &'c mut Vec<String>,
    compared: usize,
}

impl Comparison<'_> {
    fn example(&mut self, engine: &Engine, input: &Input<'_>, params: &Value, example: &str) {
        let empty = json!({});
        let subject = Subject::of(input, &empty, &engine.containers);
        let compiled = self.compiled;
        let variables = |neighbours| Variables {
            object: input.config,
            pod: subject.pod,
            template: subject.template,
            facts: &input.facts,
            params,
            now: input.now,
            neighbours,
            lets: &compiled.lets,
            it: None,
        };
        let Ok(fetched) = fetch(compiled, input, || Run::new(variables(&[]), 100_000)) else { return };
        let lists = fetched.lists(compiled);
        let mut run = Run::new(variables(&lists), 1_000_000);
        let mut known = vec![
            ("object".to_owned(), of_json(input.config)),
            ("params".to_owned(), of_json(params)),
            ("now".to_owned(), Cel::Timestamp(input.now.fixed_offset())),
            ("resource".to_owned(), resource(&input.facts)),
            ("template".to_owned(), of_json(subject.template)),
        ];
        known.extend(subject.pod.map(|pod| ("pod".to_owned(), of_json(pod))));
        // A listing that is incomplete is an absent key there: an error, as it is here.
        let lists = lists.iter().zip(&compiled.neighbours).filter_map(|(list, neighbour)| {
            let list = list.as_ref()?.iter().map(|item| of_json(item.config)).collect();
            Some((neighbour.label.as_str(), Cel::List(Arc::new(list))))
        });
        known.push(("neighbours".to_owned(), map(lists)));

        let mut elements: Vec<Element<'_>> = Vec::new();
        for (index, set) in compiled.sets.iter().enumerate() {
            set.collect(index, input, subject.pod, &mut elements);
        }
        let guards = compiled.not_applicable.iter().map(|(program, _)| program);
        self.all(guards, &run, &known, compiled, example);
        let judged =
            || compiled.unknown.iter().map(|(program, _)| program).chain([&compiled.violation, &compiled.message]);
        if compiled.sets.is_empty() {
            self.all(judged(), &run, &known, compiled, example);
        }
        for element in &elements {
            run.set_element((element.value, element.level, element.name.clone()));
            let mut known = known.clone();
            let text = |text: &str| Cel::String(Arc::new(text.to_owned()));
            let name: &Text<'_> = &element.name;
            known.push(("it".to_owned(), of_json(element.value)));
            known.push(("level".to_owned(), text(element.level)));
            known.push(("name".to_owned(), text(name.as_str())));
            self.all(judged(), &run, &known, compiled, example);
        }
    }

    fn all<'a>(
        &mut self,
        programs: impl Iterator<Item = &'a Program>,
        run: &Run<'a>,
        known: &[(String, Cel)],
        compiled: &CompiledVariant,
        example: &str,
    ) {
        let mut known = known.to_vec();
        for (name, program) in compiled.let_names.iter().zip(&compiled.lets) {
            // One that fails stays undeclared there: an error where it is named, as it is here.
            let value = reference(self.env, &program.source, &known);
            known.extend(value.map(|value| (name.clone(), value)));
        }
        for program in programs {
            let ours = run.value(program).ok().map(|value| describe(&value));
            let theirs = reference(self.env, &program.source, &known).map(|value| describe_cel(&value));
            self.compared += 1;
            if ours != theirs {
                let (id, source) = (self.id, &program.source);
                self.differences.push(format!("{id}, `{example}`: {source}: {ours:?}, reference {theirs:?}"));
            }
        }
    }
}

fn resource(facts: &Facts<'_>) -> Cel {
    let text = |text: &str| Cel::String(Arc::new(text.to_owned()));
    let fields = [
        ("kind", Some(text(facts.kind.as_str()))),
        ("name", Some(text(facts.name))),
        ("namespace", facts.namespace.map(text)),
        ("cloud", Some(text(facts.cloud.as_str()))),
        ("account", facts.account.map(text)),
        ("region", facts.region.map(text)),
        ("labels", Some(of_json(facts.labels))),
        ("managed_by", Some(text(facts.managed_by.as_str()))),
        ("active", Some(Cel::Bool(facts.active))),
        ("native_id", Some(text(facts.native_id))),
    ];
    map(fields.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

fn map<'n>(entries: impl Iterator<Item = (&'n str, Cel)>) -> Cel {
    let entries = entries.map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value));
    Cel::Map(Map::from(entries.collect::<HashMap<_, _>>()))
}

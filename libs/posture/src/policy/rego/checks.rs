//! What a module may not do, told before it runs: reach outside its documents, call what is not there, or call itself.

use std::collections::{HashMap, HashSet};

use super::builtins;
use super::lexer::{Class, Tokens};
use super::module::{Module, Rule};
use super::rewrite::assigned;
use super::{MAX_ASSIGNMENTS, MAX_CALLS, MAX_LOOPS, MAX_NESTING, Problem};

/// A module with its tokens and the names of its package.
pub(super) struct Unit<'a> {
    pub(super) tokens: Tokens<'a>,
    pub(super) module: Module,
    /// Package path, parted by dots.
    pub(super) package: String,
}

impl<'a> Unit<'a> {
    /// Reads a source; what is too deep is not looked into.
    pub(super) fn read(source: &'a str) -> Result<Self, Problem> {
        let tokens = Tokens::read(source);
        let plain = |message: String| Problem { module: 0, position: Some((1, 1)), message };
        if tokens.len() == 0 {
            return Err(plain("the module is empty".to_owned()));
        }
        if tokens.nesting > MAX_NESTING {
            return Err(plain(format!("brackets are nested more than {MAX_NESTING} deep")));
        }
        if (2..tokens.len()).any(|index| (index - 2..=index).all(|at| tokens.is(at, "-"))) {
            return Err(plain("signs follow one another".to_owned()));
        }
        let module = Module::of(&tokens);
        let package = if module.package.is_empty() {
            String::new()
        } else {
            tokens.inline(module.package.clone()).replace(' ', "")
        };
        Ok(Self { tokens, module, package })
    }

    /// The names that a rule gives to values of its own.
    pub(super) fn locals(&self, rule: &Rule) -> HashSet<&'a str> {
        let tokens = &self.tokens;
        let mut locals: HashSet<&str> =
            rule.parameters.clone().into_iter().flatten().map(|at| tokens.text(at)).collect();
        for index in rule.range.clone() {
            if tokens.is(index, ":=") && index > rule.head_end {
                locals.extend(assigned(tokens, index).into_iter().map(|at| tokens.text(at)));
            } else if tokens.is_name(index) && (tokens.is(index, "some") || tokens.is(index, "every")) {
                let names = (index + 1..rule.range.end).take_while(|at| {
                    let name = tokens.list[*at].class == Class::Word && !tokens.is(*at, "in");
                    (name || tokens.is(*at, ",")) && (*at == index + 1 || !tokens.list[*at].first_on_line)
                });
                locals.extend(names.map(|at| tokens.text(at)));
            }
        }
        locals
    }

    /// A problem at a token.
    pub(super) fn problem(&self, index: usize, message: String) -> Problem {
        let at = self.tokens.list.get(index).map_or(0, |token| token.span.start);
        let before = &self.tokens.source[..at];
        let line = before.matches('\n').count() + 1;
        let column = at - before.rfind('\n').map_or(0, |index| index + 1) + 1;
        Problem { module: 0, position: Some((line, column)), message }
    }
}

/// Looks at all modules of one template: the first is the main one. Gives how many calls and loops can be open at once.
pub(super) fn check(units: &[Unit<'_>]) -> Result<usize, Problem> {
    for (index, unit) in units.iter().enumerate() {
        let found = shape(unit, index == 0).and_then(|()| documents(unit)).and_then(|()| calls(unit));
        found.map_err(|problem| Problem { module: index, ..problem })?;
    }
    recursion(units)
}

fn shape(unit: &Unit<'_>, main: bool) -> Result<(), Problem> {
    for rule in &unit.module.rules {
        if loops(&unit.tokens, rule) > MAX_LOOPS {
            return Err(unit.problem(rule.name, format!("the rule looks into more than {MAX_LOOPS} collections")));
        }
        if rule.range.clone().filter(|index| unit.tokens.is(*index, ":=")).count() > MAX_ASSIGNMENTS {
            return Err(unit.problem(rule.name, format!("the rule has more than {MAX_ASSIGNMENTS} variables")));
        }
    }
    if unit.module.package.is_empty() {
        return Err(unit.problem(0, "the module does not begin with its package".to_owned()));
    }
    if !main && !unit.package.starts_with("lib.") {
        let message = format!("the package of a library begins with `lib.`, not `{}`", unit.package);
        return Err(unit.problem(unit.module.package.start, message));
    }
    let violation = |rule: &Rule| unit.tokens.is(rule.name, "violation");
    if main && !unit.module.rules.iter().any(violation) {
        return Err(unit.problem(0, "the module has no rule `violation`".to_owned()));
    }
    Ok(())
}

/// How many times a rule may go through a collection.
fn loops(tokens: &Tokens<'_>, rule: &Rule) -> usize {
    let opens = |index: usize| tokens.is(index, "[") && tokens.list[index].adjacent;
    let named = |index: usize| tokens.list.get(index + 1).is_some_and(|next| next.class == Class::Word);
    let path = rule.range.clone().filter(|index| opens(*index) && named(*index)).count();
    path + rule.range.clone().filter(|index| tokens.is_name(*index) && tokens.is(*index, "in")).count()
}

fn documents(unit: &Unit<'_>) -> Result<(), Problem> {
    let tokens = &unit.tokens;
    for import in &unit.module.imports {
        let path = tokens.inline(import.path.clone());
        let known = path.starts_with("data.lib.") || path == "rego.v1" || path.starts_with("future.keywords");
        if !known {
            let message = format!("`{path}` cannot be imported: only libraries below `data.lib` can");
            return Err(unit.problem(import.path.start, message));
        }
    }
    for index in 0..tokens.len() {
        if !tokens.is_name(index) || !tokens.is(index, "data") {
            continue;
        }
        let part = if tokens.is(index + 1, ".") {
            tokens.text(index + 2).to_owned()
        } else if tokens.is(index + 1, "[") {
            tokens.string(index + 2).unwrap_or_default()
        } else {
            String::new()
        };
        if !matches!(part.as_str(), "lib" | "inventory") {
            let message = "only `data.inventory` and libraries below `data.lib` can be looked at".to_owned();
            return Err(unit.problem(index, message));
        }
    }
    Ok(())
}

fn calls(unit: &Unit<'_>) -> Result<(), Problem> {
    let tokens = &unit.tokens;
    let own: HashSet<&str> = unit.module.rules.iter().map(|rule| tokens.text(rule.name)).collect();
    let imports: HashSet<&str> = unit.module.imports.iter().map(|import| tokens.text(import.name)).collect();
    for index in 0..tokens.len() {
        if !tokens.is_name(index) {
            continue;
        }
        let mut end = index + 1;
        while tokens.is(end, ".") && tokens.list.get(end + 1).is_some_and(|next| next.class == Class::Word) {
            end += 2;
        }
        let called = tokens.is(end, "(") && tokens.list[end].adjacent;
        let first = tokens.text(index);
        let keyword = matches!(first, "not" | "in" | "if" | "else" | "some" | "every" | "with" | "as" | "contains");
        if !called || keyword || own.contains(first) || imports.contains(first) || first == "data" {
            continue;
        }
        let name = tokens.inline(index..end);
        if let Some(reason) = builtins::refusal(&name) {
            return Err(unit.problem(index, format!("`{name}` {reason}")));
        }
    }
    Ok(())
}

/// Rules that need one another in a circle, or in too long a chain.
fn recursion(units: &[Unit<'_>]) -> Result<usize, Problem> {
    let graph = graph(units);
    let mut depth: HashMap<(usize, &str), usize> = HashMap::new();
    for node in graph.keys() {
        let length = descend(&graph, *node, &mut Vec::new(), &mut depth);
        let (index, name) = *node;
        let rule = units[index].module.rules.iter().find(|rule| units[index].tokens.is(rule.name, name));
        let at = rule.map_or(0, |rule| rule.name);
        let message = match length {
            None => format!("rule `{name}` is recursive"),
            Some(length) if length > MAX_CALLS => format!("rules need one another in a chain of more than {MAX_CALLS}"),
            Some(_) => continue,
        };
        return Err(Problem { module: index, ..units[index].problem(at, message) });
    }
    let mut known = HashMap::new();
    Ok(graph.keys().map(|node| weight(units, &graph, *node, &mut known)).max().unwrap_or_default())
}

/// The loops and calls that a rule can have open at once, with those of the rules that it needs; none is recursive.
fn weight<'a>(
    units: &[Unit<'a>],
    graph: &Graph<'a>,
    node: (usize, &'a str),
    known: &mut HashMap<(usize, &'a str), usize>,
) -> usize {
    if let Some(weight) = known.get(&node) {
        return *weight;
    }
    let tokens = &units[node.0].tokens;
    let rules = units[node.0].module.rules.iter().filter(|rule| tokens.is(rule.name, node.1));
    let own = 1 + rules.map(|rule| loops(tokens, rule)).max().unwrap_or_default();
    let below = graph.get(&node).into_iter().flatten().map(|next| weight(units, graph, *next, known)).max();
    let sum = own + below.unwrap_or_default();
    known.insert(node, sum);
    sum
}

type Graph<'a> = HashMap<(usize, &'a str), HashSet<(usize, &'a str)>>;

fn descend<'a>(
    graph: &Graph<'a>,
    node: (usize, &'a str),
    path: &mut Vec<(usize, &'a str)>,
    depth: &mut HashMap<(usize, &'a str), usize>,
) -> Option<usize> {
    if let Some(known) = depth.get(&node) {
        return Some(*known);
    }
    if path.contains(&node) {
        return None;
    }
    if path.len() > MAX_CALLS {
        return Some(MAX_CALLS + 1);
    }
    path.push(node);
    let mut longest = 0;
    for next in graph.get(&node).into_iter().flatten() {
        longest = longest.max(descend(graph, *next, path, depth)? + 1);
    }
    path.pop();
    depth.insert(node, longest);
    Some(longest)
}

fn graph<'a>(units: &[Unit<'a>]) -> Graph<'a> {
    let mut graph: Graph<'a> = HashMap::new();
    for (index, unit) in units.iter().enumerate() {
        let tokens = &unit.tokens;
        let own: HashSet<&str> = unit.module.rules.iter().map(|rule| tokens.text(rule.name)).collect();
        for rule in &unit.module.rules {
            let locals = unit.locals(rule);
            let targets = graph.entry((index, tokens.text(rule.name))).or_default();
            for at in rule.range.clone().filter(|at| *at != rule.name && tokens.is_name(*at)) {
                let name = tokens.text(at);
                let next = tokens.is(at + 1, ":");
                if own.contains(name) && !locals.contains(name) && !next {
                    targets.insert((index, name));
                }
                targets.extend(foreign(units, unit, at));
            }
        }
    }
    graph
}

/// The rules of a library that a path leads to.
fn foreign<'a>(units: &[Unit<'a>], unit: &Unit<'a>, at: usize) -> Vec<(usize, &'a str)> {
    let tokens = &unit.tokens;
    let mut end = at + 1;
    while tokens.is(end, ".") {
        end += 2;
    }
    let written = tokens.inline(at..end.min(tokens.len()));
    let import = unit.module.imports.iter().find(|import| tokens.text(import.name) == tokens.text(at));
    let path = match import {
        Some(import) => {
            let rest = written.strip_prefix(tokens.text(at)).unwrap_or_default();
            format!("{}{rest}", tokens.inline(import.path.clone()))
        }
        None => written,
    };
    let Some(path) = path.strip_prefix("data.") else { return Vec::new() };
    let mut found = Vec::new();
    for (index, other) in units.iter().enumerate().filter(|(_, other)| !other.package.is_empty()) {
        let Some(rest) = path.strip_prefix(other.package.as_str()) else { continue };
        let name = rest.strip_prefix('.').unwrap_or_default().split('.').next().unwrap_or_default();
        let names = other.module.rules.iter().map(|rule| other.tokens.text(rule.name));
        found.extend(names.filter(|rule| *rule == name || rest.is_empty()).map(|rule| (index, rule)));
    }
    found
}

//! No file of a crate uses one that uses it in turn: whoever reads or changes one of a circle needs all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{repository, rust_files, shipped};

/// The folders of crates whose files are looked at.
const CRATES: [&str; 10] = [
    "gateway",
    "gateway/access",
    "gateway/base",
    "gateway/front",
    "gateway/ledgers",
    "gateway/store",
    "gateway/upstream",
    "gateway/web",
    "protocol",
    "simulator",
];

/// Circles that are still there, each with all of its files. One that is gone, or has become smaller, is to be taken out.
const LEFT: &[&[&str]] = &[];

/// A module by its path in the crate; the crate itself is empty.
type Module = Vec<String>;

#[test]
fn no_file_uses_one_that_uses_it_in_turn() {
    let mut found = BTreeSet::new();
    for folder in CRATES {
        let root = format!("{folder}/src");
        let sources = rust_files(&repository().join(&root)).into_iter().map(|path| {
            let name = path.strip_prefix(repository().join(&root)).unwrap().to_str().unwrap().to_owned();
            let code = shipped(&std::fs::read_to_string(&path).unwrap());
            (name, code)
        });
        let circles = circles(sources.filter(|(name, _)| name != "main.rs"));
        found.extend(
            circles
                .into_iter()
                .map(|circle| circle.into_iter().map(|file| format!("{root}/{file}")).collect::<Vec<_>>()),
        );
    }
    let left = LEFT.iter().map(|circle| circle.iter().map(|file| (*file).to_owned()).collect()).collect();
    let new: Vec<_> = found.difference(&left).collect();
    let gone: Vec<_> = left.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "circles that are new: {new:#?}\nthat are not there any more: {gone:#?}"
    );
}

#[test]
fn circles_are_found_through_whatever_names_a_file() {
    let check = |files: &[(&str, &str)], expected: &[&[&str]]| {
        let found = circles(files.iter().map(|(name, code)| ((*name).to_owned(), (*code).to_owned())));
        assert_eq!(found, expected.iter().map(|circle| circle.to_vec()).collect::<Vec<_>>(), "{files:?}");
    };
    // Declaring and handing on is no use.
    check(&[("lib.rs", "mod a;\npub use a::A;"), ("a.rs", "use crate::B;\npub struct A;")], &[]);
    check(&[("lib.rs", "mod a;\nuse a::A;"), ("a.rs", "use crate::B;")], &[&["a.rs", "lib.rs"]]);
    check(&[("lib.rs", "mod a;\nfn f() { a::g() }"), ("a.rs", "use super::B;")], &[&["a.rs", "lib.rs"]]);
    // What the parent hands on is where it comes from.
    let parent = ("x/mod.rs", "mod a;\nmod b;\npub use a::{A, C as D};\npub(super) use self::b::B;");
    check(&[parent, ("x/a.rs", "use super::B;"), ("x/b.rs", "use super::{D, Else};")], &[&["x/a.rs", "x/b.rs"]]);
    check(&[parent, ("x/a.rs", "use super::B;"), ("x/b.rs", "use super::Else;")], &[]);
    // From anywhere, in any spelling, and over several files.
    let files = [
        ("lib.rs", "mod x;\nmod y;"),
        parent,
        ("x/a.rs", "fn f() -> crate::y::Y { todo!() }"),
        ("x/b.rs", "use super::{\n    super::Other,\n    a::{self, A},\n};"),
        ("y.rs", "use crate::{\n    x::B,\n};"),
    ];
    check(&files, &[&["x/a.rs", "x/b.rs", "y.rs"]]);
    // What comes from elsewhere is nobody's.
    check(&[("lib.rs", "mod a;\nuse std::fmt;\nuse a::A;"), ("a.rs", "use super::fmt;")], &[]);
}

/// The circles among the files of a crate, each file with its code.
fn circles(sources: impl Iterator<Item = (String, String)>) -> Vec<Vec<String>> {
    let files: BTreeMap<Module, File> = sources.map(|(name, code)| (module(&name), File::read(name, &code))).collect();
    let mut reach: BTreeMap<&Module, BTreeSet<Module>> =
        files.iter().map(|(own, file)| (own, file.uses(own, &files))).collect();
    loop {
        let before: usize = reach.values().map(BTreeSet::len).sum();
        for own in files.keys() {
            let further: Vec<_> = reach[own].iter().flat_map(|used| reach[used].iter().cloned()).collect();
            reach.get_mut(own).unwrap().extend(further);
        }
        if reach.values().map(BTreeSet::len).sum::<usize>() == before {
            break;
        }
    }
    let circle = |own: &Module| {
        let mutual = reach[own].iter().filter(|used| reach[used].contains(own));
        let mut names: Vec<_> = mutual.map(|module| files[module].name.clone()).collect();
        names.sort();
        names
    };
    files.keys().map(circle).filter(|circle| circle.len() > 1).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A file, and what it names of its crate.
struct File {
    name: String,
    /// What `use` brings in, and whether it is only handed on.
    imports: Vec<Import>,
    /// Paths in the code.
    paths: Vec<Vec<String>>,
}

struct Import {
    name: String,
    path: Vec<String>,
    public: bool,
}

impl File {
    fn read(name: String, code: &str) -> Self {
        let mut file = Self { name, imports: Vec::new(), paths: Vec::new() };
        let mut rest = String::new();
        let mut statement: Option<(String, bool)> = None;
        for line in code.lines() {
            let start = line.trim_start();
            let (public, bare) = match start.strip_prefix("pub") {
                Some(public) if public.starts_with([' ', '(']) => {
                    (true, public.find("use ").map_or("", |at| if at < 20 { &public[at..] } else { "" }))
                }
                _ => (false, start),
            };
            match &mut statement {
                Some((tree, _)) => tree.push_str(start),
                None if bare.starts_with("use ") => statement = Some((bare["use ".len()..].to_owned(), public)),
                None => rest.push_str(&format!("{line}\n")),
            }
            if let Some((tree, public)) = statement.take_if(|(tree, _)| tree.ends_with(';')) {
                let tree = tree.trim_end_matches(';');
                leaves(tree, &[]).into_iter().for_each(|(name, path)| file.imports.push(Import { name, path, public }));
            }
        }
        let words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        file.paths = words.filter(|word| word.contains("::")).map(segments).collect();
        file
    }

    /// The modules that it uses, but for itself.
    fn uses(&self, own: &Module, files: &BTreeMap<Module, Self>) -> BTreeSet<Module> {
        let handed_on = |import: &&Import| {
            let target = resolve(own, &import.path, files, 0);
            import.public && target.is_some_and(|target| target.len() > own.len() && target.starts_with(own))
        };
        let imported = self.imports.iter().filter(|import| !handed_on(import)).map(|import| &import.path);
        let used = imported.chain(&self.paths).filter_map(|path| resolve(own, path, files, 0));
        used.filter(|used| used != own).collect()
    }
}

/// The module in whose file stands what `path` names in the module `own`; none where that is of another crate.
fn resolve(own: &Module, path: &[String], files: &BTreeMap<Module, File>, depth: usize) -> Option<Module> {
    let first = path.first()?.as_str();
    let is_child = |module: &Module, name: &str| files.contains_key(&child(module, name));
    let (mut at, mut rest) = match first {
        "crate" => (Module::new(), &path[1..]),
        "self" | "Self" => (own.clone(), &path[1..]),
        "super" => (own.clone(), path),
        name if is_child(own, name) => (own.clone(), path),
        _ => return None,
    };
    while rest.first().is_some_and(|segment| segment == "super") {
        at.pop();
        rest = &rest[1..];
    }
    for segment in rest {
        if is_child(&at, segment) {
            at = child(&at, segment);
            continue;
        }
        let import = files.get(&at)?.imports.iter().find(|import| import.name == *segment);
        return match import {
            Some(import) if depth < 8 => resolve(&at, &import.path, files, depth + 1),
            _ => Some(at),
        };
    }
    files.contains_key(&at).then_some(at)
}

fn child(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The module that a file is, by its name below `src`.
fn module(name: &str) -> Module {
    let path = Path::new(name).with_extension("");
    let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if ["lib", "mod"].contains(&module.last().unwrap().as_str()) {
        module.pop();
    }
    module
}

/// What a tree of `use` brings in: under which name, and its path.
fn leaves(tree: &str, before: &[String]) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    if let Some((path, group)) = tree.split_once('{') {
        let before: Vec<_> = before.iter().cloned().chain(segments(path)).collect();
        return branches(group.trim_end().trim_end_matches('}')).flat_map(|branch| leaves(branch, &before)).collect();
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path: Vec<_> = before.iter().cloned().chain(segments(path)).collect();
    path.pop_if(|last| last == "self" || last == "*");
    let name = alias.map(str::to_owned).or_else(|| path.last().cloned());
    name.map(|name| (name, path)).into_iter().collect()
}

/// What stands between the commas of a group, but not of those in it.
fn branches(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let ends = move |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    group.split(ends).map(str::trim).filter(|branch| !branch.is_empty())
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

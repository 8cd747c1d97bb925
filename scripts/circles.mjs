// Fails where files of a crate import each other in a circle, or where a path climbs over `super::super`. `make lint` runs it.
//
// A file imports another one if a path in it, in a `use` or anywhere else, ends at something that the other one's own code
// defines. What a file only re-exports is imported from where it is defined. So:
//   - a parent that declares `mod child` and re-exports from it does not import the child; one whose own code uses it does;
//   - a child that takes from its parent what the parent's own code defines imports the parent: together, a circle.
//     What both need goes into a file of its own.
// Tests count as well. Macros are read as the tokens that they are given. Methods are no paths: `hub.start()` imports nothing.
//
//   node scripts/circles.mjs [--arrows] [FOLDER]

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const args = process.argv.slice(2);
const showsArrows = args.includes("--arrows");
const root = args.find((arg) => !arg.startsWith("--")) ?? join(import.meta.dirname, "..");

const short = (file) => relative(root, file);

/** What starts a tree of modules: each library, program, test and example of each crate. */
function targets() {
  const manifests = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*Cargo.toml"], { cwd: root, encoding: "utf8" });
  const found = new Map();
  for (const manifest of manifests.trim().split("\n").filter((manifest) => existsSync(join(root, manifest)))) {
    const arguments_ = ["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest];
    const { packages } = JSON.parse(execFileSync("cargo", arguments_, { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 }));
    for (const { name, targets } of packages) {
      for (const { kind, name: target, src_path } of targets) found.set(src_path, `${name}, ${kind[0]} ${target}`);
    }
  }
  return found;
}

/** Words, `::`, strings and single signs, with their lines; no comments, characters or lifetimes. */
function tokens(text) {
  const pattern =
    /\s+|\/\/[^\n]*|(?<string>b?r(?<hashes>#*)"[^]*?"\k<hashes>|[bc]?"(?:\\[^]|[^"\\])*")|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'|'\w+|(?<open>\/\*)|(?<word>(?:r#)?[\p{L}_][\p{L}\p{N}_]*)|(?<sign>::|[^])/gu;
  const found = [];
  let line = 1;
  let match;
  while ((match = pattern.exec(text))) {
    const { open, string, word, sign } = match.groups;
    if (open) {
      // They nest.
      const edge = /\/\*|\*\//g;
      edge.lastIndex = pattern.lastIndex;
      for (let depth = 1; depth > 0; ) {
        const next = edge.exec(text);
        if (!next) throw new Error("a comment does not end");
        depth += next[0] === "/*" ? 1 : -1;
      }
      line += text.slice(match.index, edge.lastIndex).split("\n").length - 1;
      pattern.lastIndex = edge.lastIndex;
      continue;
    }
    const written = string ?? word ?? sign;
    if (written) found.push({ text: written, isWord: Boolean(word), line });
    line += match[0].split("\n").length - 1;
  }
  return found;
}

/** A module of which nothing is read yet: what it declares, imports, names and defines. */
const moduleOf = (name, file, parent) => ({ name, file, parent, children: new Map(), uses: [], paths: [], words: new Set(), items: new Set() });

const ITEMS = new Set(["struct", "enum", "union", "fn", "trait", "type", "const", "static", "macro_rules"]);

/** Reads a module, and those below it, from its tokens up to the brace that ends it. */
function read(module, list, start, folder) {
  let depth = 0;
  let isPublic = false;
  let path;
  let at = start;
  const text = (index) => list[index]?.text;
  for (; at < list.length; at += 1) {
    const token = list[at];
    if (token.text === "{") depth += 1;
    else if (token.text === "}") {
      if (depth === 0) return at;
      depth -= 1;
    } else if (token.text === "use" && text(at - 1) !== "::") {
      // `impl Trait + use<>` is something else, and so is `use:name` in a view.
      if (!list[at + 1]?.isWord && !["{", "::"].includes(text(at + 1))) continue;
      const end = list.findIndex((other, index) => index > at && other.text === ";");
      if (end < 0) throw new Error(`${short(module.file)}:${token.line}: a use does not end`);
      for (const use of tree(list.slice(at + 1, end), [])) module.uses.push({ ...use, isPublic: isPublic && depth === 0 });
      at = end;
    } else if (token.text === "mod" && list[at + 1]?.isWord && (text(at + 2) === ";" || text(at + 2) === "{")) {
      const name = text(at + 1);
      const child = moduleOf(name, module.file, module);
      module.children.set(name, child);
      if (text(at + 2) === "{") {
        at = read(child, list, at + 3, join(folder, name));
      } else {
        const candidates = path ? [join(dirname(module.file), path)] : [join(folder, `${name}.rs`), join(folder, name, "mod.rs")];
        const file = candidates.find(existsSync);
        if (!file) throw new Error(`${short(module.file)}:${token.line}: no file for mod ${name}`);
        child.file = file;
        const isMod = path || file.endsWith("/mod.rs");
        read(child, tokens(readFileSync(file, "utf8")), 0, isMod ? dirname(file) : join(folder, name));
        at += 2;
      }
      path = undefined;
      isPublic = false;
      continue;
    } else if (token.isWord && text(at - 1) !== "::" && text(at - 1) !== ".") {
      if (ITEMS.has(token.text)) {
        const name = list.slice(at + 1, at + 4).find((other) => other.isWord && !["fn", "mut", "unsafe", "async"].includes(other.text));
        if (depth === 0 && name) module.items.add(name.text);
      }
      if (token.text === "path" && text(at - 1) === "[" && text(at + 1) === "=") path = JSON.parse(text(at + 2));
      const segments = [token.text];
      let next = at + 1;
      while (text(next) === "::" && list[next + 1]?.isWord) {
        segments.push(text(next + 1));
        next += 2;
      }
      // `pub(super)` and `pub(in super::x)` only say who may see something.
      const isVisibility = text(at - 1) === "in" ? text(at - 3) === "pub" : text(at - 2) === "pub" && text(at - 1) === "(";
      const isPath = segments.length > 1 || ["super", "crate"].includes(token.text);
      if (isPath) module.paths.push({ segments, line: token.line, isVisibility });
      module.words.add(token.text);
    }
    if (token.text === "pub") isPublic = true;
    else if ([";", "}", "{"].includes(token.text)) isPublic = false;
  }
  return at;
}

/** The paths of a `use`. */
function tree(list, before) {
  const paths = [];
  let segments = [...before];
  for (let at = 0; at < list.length; at += 1) {
    const { text } = list[at];
    if (text === "{") {
      let depth = 1;
      let end = at + 1;
      let from = end;
      for (; depth > 0; end += 1) {
        const inner = list[end].text;
        if (inner === "{") depth += 1;
        if (inner === "}") depth -= 1;
        if ((inner === "," && depth === 1) || depth === 0) {
          if (end > from) paths.push(...tree(list.slice(from, end), segments));
          from = end + 1;
        }
      }
      return paths;
    }
    if (text === "as") return [...paths, { segments, name: list[at + 1].text, line: list[at].line }];
    if (text !== "::") segments = [...segments, text];
  }
  if (segments.at(-1) === "self") segments = segments.slice(0, -1);
  return [...paths, { segments, name: segments.at(-1), line: list.at(-1).line }];
}

/** The module in whose own code a path ends, or nothing if it leads out of the crate. */
function end(module, segments, seen = new Set()) {
  const key = `${module.file} ${module.name} ${segments.join("::")}`;
  if (seen.has(key)) return undefined;
  seen.add(key);
  let [first, ...rest] = segments;
  let here = module;
  if (first === "crate") {
    while (here.parent) here = here.parent;
  } else if (first === "super") {
    here = module.parent;
  } else if (first !== "self") {
    if (!module.children.has(first)) return undefined;
    here = module.children.get(first);
  }
  while (rest[0] === "super") {
    here = here?.parent;
    rest = rest.slice(1);
  }
  while (here?.children.has(rest[0])) {
    here = here.children.get(rest[0]);
    rest = rest.slice(1);
  }
  if (!here || rest.length === 0 || rest[0] === "*" || here.items.has(rest[0])) return here;
  const named = here.uses.filter(({ name }) => name === rest[0]);
  if (named.length > 0) return end(here, named[0].segments, seen);
  for (const { segments } of here.uses.filter(({ name }) => name === "*")) {
    const there = end(here, segments.slice(0, -1), seen);
    if (there?.items.has(rest[0]) || there?.uses.some(({ name }) => name === rest[0])) return end(there, ["self", ...rest], seen);
  }
  return here;
}

/** The modules of a tree. */
const all = (module) => [module, ...[...module.children.values()].flatMap(all)];

/** What a file imports: from which line on, by the other's name. */
function arrows(top) {
  const found = new Map();
  const climbs = [];
  for (const module of all(top)) {
    const climb = (segments, line) => {
      if (segments[0] === "super" && segments[1] === "super") climbs.push(`${short(module.file)}:${line}`);
    };
    const add = (segments, line) => {
      const there = end(module, segments);
      if (!there || there.file === module.file) return;
      const own = found.get(module.file) ?? found.set(module.file, new Map()).get(module.file);
      if (!own.has(there.file)) own.set(there.file, { line, what: segments.join("::") });
    };
    for (const { segments, line, name, isPublic } of module.uses) {
      climb(segments, line);
      // Something that is only passed on is not imported.
      if (!isPublic || module.words.has(name)) add(segments, line);
    }
    for (const { segments, line, isVisibility } of module.paths) {
      climb(segments, line);
      if (!isVisibility) add(segments, line);
    }
  }
  return { found, climbs };
}

/** The groups of files that can all be reached from each other. */
function circles(found) {
  const reached = (from) => {
    const seen = new Set();
    const todo = [from];
    while (todo.length > 0) {
      for (const next of found.get(todo.pop())?.keys() ?? []) {
        if (!seen.has(next)) {
          seen.add(next);
          todo.push(next);
        }
      }
    }
    return seen;
  };
  const reach = new Map([...found.keys()].map((file) => [file, reached(file)]));
  const groups = [];
  for (const [file, seen] of reach) {
    if (!seen.has(file) || groups.some((group) => group.includes(file))) continue;
    groups.push([...seen].filter((other) => reach.get(other)?.has(file)).sort());
  }
  return groups;
}

let failures = 0;
let files = 0;
const climbed = new Set();
for (const [file, title] of targets()) {
  const top = moduleOf("crate", file);
  read(top, tokens(readFileSync(file, "utf8")), 0, dirname(file));
  const { found, climbs } = arrows(top);
  files += new Set(all(top).map((module) => module.file)).size;
  for (const climb of climbs) climbed.add(climb);
  if (showsArrows) {
    for (const [from, to] of found) for (const [other, { line, what }] of to) console.log(`${short(from)}:${line} -> ${short(other)}  ${what}`);
  }
  for (const group of circles(found)) {
    failures += 1;
    console.log(`${title}: a circle of ${group.length} files`);
    for (const from of group) {
      for (const [to, { line, what }] of found.get(from)) {
        if (group.includes(to)) console.log(`  ${short(from)}:${line}  ${what}  -> ${short(to)}`);
      }
    }
  }
}
for (const place of [...climbed].sort()) console.log(`${place}: super::super`);
if (files === 0) throw new Error("no file was read");
process.exit(failures + climbed.size > 0 ? 1 : 0);

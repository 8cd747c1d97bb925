//! The reference page of annotations has each name that the source has, and no other.

use std::{collections::BTreeSet, fs, path::Path};

const PREFIX: &str = "unidler/";

/// The names between `quote` and a character that no name has.
fn names(text: &str, quote: char) -> BTreeSet<String> {
    let start = format!("{quote}{PREFIX}");
    text.split(&start)
        .skip(1)
        .filter_map(|rest| {
            let is_of_name = |c: char| c.is_ascii_lowercase() || c == '-';
            let name = rest.split(|c| !is_of_name(c)).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        })
        .collect()
}

fn read(folder: &Path, names_of: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read(&path, names_of);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a file");
            names_of.extend(names(&text, '"'));
        }
    }
}

#[test]
fn the_reference_has_every_annotation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut of_source = BTreeSet::new();
    read(&root.join("src"), &mut of_source);
    assert!(of_source.contains("idle-after"), "{of_source:?}");
    let page = root.join("../docs/reference/annotations.md");
    let page = fs::read_to_string(page).expect("the page");
    assert_eq!(names(&page, '`'), of_source);
}

//! The page's files, which the build has put next to the program.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};
use unidler_app::{
    api::{FILES, RESERVED},
    page::{self, Assets, TextFile},
};

use crate::brand::Brand;

/// The page's files.
#[derive(Clone, Debug)]
pub struct Site {
    /// The directory that is served at `…/_unidler/pkg/`.
    pub files: PathBuf,
    /// The files that the page refers to.
    pub assets: Arc<Assets>,
    /// The text files among them, compressed with gzip, by name.
    pub gzipped: Arc<HashMap<String, Bytes>>,
    /// The operator's customization of the page.
    pub brand: Arc<page::Brand>,
}

impl Site {
    /// Reads a directory, by default `site` next to the program.
    ///
    /// # Errors
    ///
    /// If the files do not exist.
    pub fn open(folder: Option<PathBuf>, brand: &Brand) -> anyhow::Result<Self> {
        let folder = match folder {
            Some(folder) => folder,
            None => std::env::current_exe()
                .context("cannot tell where this program is")?
                .with_file_name("site"),
        };
        let files = folder.join(format!("{RESERVED}{FILES}").trim_matches('/'));
        Self::of(files, brand).with_context(|| {
            format!(
                "the page's files are not in {}: build them with `make build`, or name their folder with --site",
                folder.display()
            )
        })
    }

    fn of(files: PathBuf, brand: &Brand) -> anyhow::Result<Self> {
        let named = |extension: &str| -> anyhow::Result<PathBuf> {
            let mut found =
                fs::read_dir(&files)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
            let found = found.find(|path| path.extension().is_some_and(|found| found == extension));
            found.with_context(|| format!("there is no .{extension} file"))
        };
        let name = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => Ok(name.to_owned()),
            None => bail!("a file has no name"),
        };
        let css = TextFile::css(brand.style(&fs::read_to_string(named("css")?)?));
        let assets = Assets {
            js: name(&named("js")?)?,
            wasm: name(&named("wasm")?)?,
            css,
            loader: TextFile::loader(),
        };
        let gzipped =
            [&assets.css, &assets.loader].map(|file| Ok((file.name.clone(), gzip(&file.text)?)));
        let gzipped = Arc::new(gzipped.into_iter().collect::<io::Result<_>>()?);
        Ok(Self {
            files,
            assets: Arc::new(assets),
            gzipped,
            brand: Arc::new(brand.on_page()),
        })
    }
}

fn gzip(text: &str) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish().map(Bytes::from)
}

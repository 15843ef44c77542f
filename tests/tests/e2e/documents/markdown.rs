//! A page of Markdown, as far as its checks need it: code blocks, and what stands between them.

use std::fs;
use std::path::{Path, PathBuf};

/// One page.
pub struct Document {
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block of code.
pub struct Block {
    /// The line of its fence.
    pub line: usize,
    /// What stands behind the fence: `sh`, `json scan`.
    pub info: String,
    /// Its lines, without the indentation of the fence.
    pub text: String,
}

impl Document {
    pub fn read(path: &Path) -> Self {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        Self { path: path.to_owned(), text }
    }

    pub fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap()
    }

    /// Every code block.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for (line, text, place) in self.lines() {
            match place {
                Place::Opening(info) => blocks.push(Block { line, info: info.to_owned(), text: String::new() }),
                Place::Code(indentation) => {
                    let text = text.get(indentation..).unwrap_or_default();
                    let block = blocks.last_mut().unwrap();
                    block.text += text;
                    block.text.push('\n');
                }
                Place::Closing | Place::Outside => {}
            }
        }
        blocks
    }

    /// Every line outside of code blocks and tables, with its number.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        self.outside().into_iter().filter(|(_, text)| !text.trim_start().starts_with('|')).collect()
    }

    /// What relative links and pictures lead to, with the line.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (line, text) in self.outside() {
            for part in text.split("](").skip(1) {
                let target = part.split(')').next().unwrap();
                if !["http://", "https://"].iter().any(|scheme| target.starts_with(scheme)) {
                    links.push((line, target.to_owned()));
                }
            }
        }
        links
    }

    /// What stands in backticks within lines, with the line.
    pub fn spans(&self) -> Vec<(usize, String)> {
        let spans = |(line, text): (usize, &str)| {
            let inside: Vec<_> = text.split('`').skip(1).step_by(2).map(|span| (line, span.to_owned())).collect();
            inside
        };
        self.outside().into_iter().flat_map(spans).collect()
    }

    /// The headings, as links name them.
    pub fn headings(&self) -> Vec<String> {
        let titles = self
            .outside()
            .into_iter()
            .filter_map(|(_, text)| Some(text.trim_start_matches('#')).filter(|rest| rest.len() < text.len()));
        titles.map(slug).collect()
    }

    fn outside(&self) -> Vec<(usize, &str)> {
        self.lines()
            .into_iter()
            .filter(|(.., place)| matches!(place, Place::Outside))
            .map(|(line, text, _)| (line, text))
            .collect()
    }

    fn lines(&self) -> Vec<(usize, &str, Place<'_>)> {
        let mut fence: Option<usize> = None;
        let mut lines = Vec::new();
        for (line, text) in (1..).zip(self.text.lines()) {
            let indentation = text.len() - text.trim_start().len();
            let place = match (fence, text.trim_start().strip_prefix("```")) {
                (None, Some(info)) => {
                    fence = Some(indentation);
                    Place::Opening(info.trim())
                }
                (Some(_), Some("")) => {
                    fence = None;
                    Place::Closing
                }
                (Some(indentation), _) => Place::Code(indentation),
                (None, None) => Place::Outside,
            };
            lines.push((line, text, place));
        }
        assert!(fence.is_none(), "{} ends in a code block", self.name());
        lines
    }
}

/// Where a line stands.
enum Place<'a> {
    Outside,
    Opening(&'a str),
    /// In a block whose fence is indented so far.
    Code(usize),
    Closing,
}

/// A heading as links name it: lower case, letters, digits and hyphens, with hyphens for spaces.
fn slug(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A page's title\n\nSee [there](other.md#part) and `one` or `two`.\n\n1. Do:\n\n   ```sh\n   ls\n     -l\n   ```\n\
                \n| a | [b](c.md) |\n";
    let document = Document { path: "page.md".into(), text: text.into() };
    assert_eq!(document.headings(), ["a-pages-title"]);
    assert_eq!(document.links(), [(3, "other.md#part".to_owned()), (12, "c.md".to_owned())]);
    assert_eq!(document.spans(), [(3, "one".to_owned()), (3, "two".to_owned())]);
    assert!(document.prose().iter().all(|(line, _)| *line != 12 && *line != 8));
    let blocks = document.blocks();
    assert_eq!(
        blocks.iter().map(|block| (block.line, &*block.info, &*block.text)).collect::<Vec<_>>(),
        [(7, "sh", "ls\n  -l\n")]
    );
}

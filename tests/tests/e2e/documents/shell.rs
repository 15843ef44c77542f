//! The commands of a piece of shell script, as far as documents use the shell.

/// The words of every simple command: without assignments before it, and without what its output goes to.
pub fn commands(script: &str) -> Vec<Vec<String>> {
    let mut reader = Reader::default();
    let script = without_here_documents(&script.replace("\\\n", " "));
    let mut rest = script.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => {
                reader.begin();
                reader.word.extend(rest.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                reader.begin();
                reader.word.extend(rest.by_ref().take_while(|c| *c != '"'));
            }
            '#' if !reader.in_word => drop(rest.by_ref().find(|c| *c == '\n').map(|_| reader.end_command())),
            // The descriptor before it is no word.
            '>' | '<' => {
                reader.word.retain(|c| !c.is_ascii_digit());
                reader.in_word = !reader.word.is_empty();
                reader.end_word();
                reader.redirected = true;
            }
            '|' | ';' | '&' | '\n' => reader.end_command(),
            c if c.is_whitespace() => reader.end_word(),
            c => {
                reader.begin();
                reader.word.push(c);
            }
        }
    }
    reader.end_command();
    reader.commands
}

/// The command line of `gapura` or `gapura-sim` that `words` are: by itself, built by cargo, as another user, or in a container.
pub fn own(words: &[String]) -> Option<Vec<String>> {
    let is_own = |word: &String| ["gapura", "gapura-sim"].contains(&word.as_str());
    let (program, rest) = words.split_first()?;
    match program.as_str() {
        "gapura" | "gapura-sim" => Some(words.to_vec()),
        "cargo" => {
            let (before, arguments) = rest.split_at(rest.iter().position(|word| word == "--")?);
            let built = before.iter().find(|word| is_own(word))?;
            Some(std::iter::once(built).chain(arguments.iter().skip(1)).cloned().collect())
        }
        // Users, images and containers have the same name.
        "podman" if !["run", "exec"].contains(&rest.first()?.as_str()) => None,
        "sudo" | "podman" => {
            let at = rest.iter().rposition(is_own)?;
            Some(rest[at..].to_vec()).filter(|words| words.len() > 1)
        }
        _ => None,
    }
}

#[derive(Default)]
struct Reader {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: String,
    in_word: bool,
    /// The next word is a file's name.
    redirected: bool,
}

impl Reader {
    fn begin(&mut self) {
        self.in_word = true;
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if !std::mem::take(&mut self.in_word) {
            return;
        }
        let assigns = word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        if std::mem::take(&mut self.redirected) || (self.words.is_empty() && assigns) {
            return;
        }
        self.words.push(word);
    }

    fn end_command(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.commands.push(words);
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The script without the lines that a command reads from it: `<<'EOF'` and what follows, up to `EOF`.
fn without_here_documents(script: &str) -> String {
    let mut until: Option<String> = None;
    let mut kept = String::new();
    for line in script.lines() {
        match &until {
            Some(end) if line == end => until = None,
            Some(_) => {}
            None => {
                let (command, end) = line.split_once("<<").map_or((line, None), |(command, end)| (command, Some(end)));
                until = end.map(|end| end.trim_matches(['\'', '"', ' ']).to_owned());
                kept += command;
                kept.push('\n');
            }
        }
    }
    kept
}

#[test]
fn commands_are_found_as_the_shell_finds_them() {
    let script = "cat >people.csv <<'EOF'\nperson,class\ngapura is no command here\nEOF\n\
                  GAPURA_TOKEN=x gapura presence | head -n 3; gapura run >out 2>log &\n\
                  gapura pass issue --issuer 'a b' \\\n  --until \"2026-12-31\" # not this\n\
                  cargo run --release --bin gapura-sim -- demo --json\n\
                  podman exec gapura gapura door list && podman run --name gapura gapura\n\
                  sudo -u gapura gapura check-config\n";
    let found: Vec<String> =
        commands(script).iter().filter_map(|words| own(words)).map(|words| words.join(",")).collect();
    assert_eq!(
        found,
        [
            "gapura,presence",
            "gapura,run",
            "gapura,pass,issue,--issuer,a b,--until,2026-12-31",
            "gapura-sim,demo,--json",
            "gapura,door,list",
            "gapura,check-config"
        ]
    );
}

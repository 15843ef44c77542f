//! A site in a temporary folder, made with the gateway's own commands, and its invented people.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use simulator::load::mix::Badges;
use tempfile::TempDir;

use super::gateway::{Gateway, Listen};

/// The site's name.
pub const SITE: &str = "regency";

/// Badges of the invented people, by their health status; staff but for the visitor, who is green.
pub const GREEN: &str = "CONTOH-BADGE-GREEN";
pub const YELLOW: &str = "CONTOH-BADGE-YELLOW";
pub const RED: &str = "CONTOH-BADGE-RED";
pub const BLACK: &str = "CONTOH-BADGE-BLACK";
pub const VISITOR: &str = "CONTOH-BADGE-VISITOR";
/// A badge that nobody has.
pub const UNKNOWN: &str = "CONTOH-BADGE-NOBODY";

/// The first word of every invented person's name.
pub const NAMES: &str = "Contoh";

/// A site on disk, removed when it is dropped.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    token: String,
    environment: Vec<(String, String)>,
}

/// How a command of the gateway ended.
#[derive(Debug)]
pub struct Said {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Site {
    /// A site with `doors` that enforce, a monitor `watch`, and the invented people, among them those whose badges a
    /// [fleet](super::Fleet) scans.
    pub fn make(doors: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("gapura-e2e-").tempdir().unwrap();
        let mut site = Self { folder, token: String::new(), environment: Vec::new() };
        let root = site.root().display().to_string();
        let made = site.must(&["init", &root, "--site", SITE, "--json"]);
        let made: serde_json::Value = serde_json::from_str(made.trim()).expect("`init --json` says one JSON object");
        site.token = made["admin_token"].as_str().expect("a token").to_owned();
        let add = ["door", "add", "--zone", "main", "--mode", "enforce"];
        site.must(&[&add[..], doors].concat());
        site.must(&["monitor", "add", "watch"]);
        site.import(&people());
        // The invented people are few and enter again and again.
        let text = fs::read_to_string(site.configuration()).unwrap();
        let changed = text.replace("# passback_minutes = 15\n", "passback_minutes = 0\n");
        assert_ne!(text, changed, "the sample shows the setting");
        fs::write(site.configuration(), changed).unwrap();
        site
    }

    /// The site's folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// A path for whatever a test keeps beside the site's folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the site's folder, as in `file("policy/default.cedar")`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn configuration(&self) -> PathBuf {
        self.file("gapura.toml")
    }

    /// The certificate of the site's CA.
    pub fn ca(&self) -> PathBuf {
        self.file("pki/ca.pem")
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Adds a line to the end of the configuration, or a whole section.
    pub fn configure(&self, lines: &str) {
        let text = fs::read_to_string(self.configuration()).unwrap();
        fs::write(self.configuration(), format!("{text}\n{lines}\n")).unwrap();
    }

    /// Sets a variable of the environment of every later [run](Self::run), as in `GAPURA_SCANS__LATE_AFTER_MS`.
    pub fn set(&mut self, variable: &str, value: impl ToString) {
        self.environment.push((variable.into(), value.to_string()));
    }

    /// Replaces a file of the site at once, as an editor or a deployment does; it keeps its mode.
    pub fn replace(&self, name: &str, content: &str) {
        let new = self.beside("replacement");
        fs::write(&new, content).unwrap();
        if let Ok(before) = fs::metadata(self.file(name)) {
            fs::set_permissions(&new, before.permissions()).unwrap();
        }
        fs::rename(new, self.file(name)).unwrap();
    }

    /// Imports people; `rows` are lines of CSV without the head.
    pub fn import(&self, rows: &str) {
        let path = self.beside("people.csv");
        fs::write(&path, format!("person,name,class,opd,badge,status,status_until\n{rows}")).unwrap();
        self.must(&["import", "people", path.to_str().unwrap()]);
    }

    /// A command of the gateway on this site.
    pub fn gapura(&self, arguments: &[&str]) -> Command {
        let mut command = gapura();
        command.arg("--config").arg(self.configuration()).args(arguments);
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command that asks a running gateway with a token, to its end.
    pub fn ask(&self, gateway: &Gateway, token: &str, arguments: &[&str]) -> Said {
        let mut command = self.gapura(arguments);
        command.args(["--url", &format!("http://{}", gateway.http)]).env("GAPURA_TOKEN", token);
        command.output().expect("the gateway's program starts").into()
    }

    /// Runs a command of the gateway on this site to its end.
    pub fn say(&self, arguments: &[&str]) -> Said {
        self.gapura(arguments).output().expect("the gateway's program starts").into()
    }

    /// Runs a command that must work, and returns its standard output.
    pub fn must(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert!(said.success, "`gapura {}` did not work: {}", arguments.join(" "), said.stderr);
        said.stdout
    }

    /// A gateway of this site on free ports, once it listens.
    pub async fn run(&self) -> Gateway {
        self.run_on(Listen::default()).await
    }

    /// A gateway of this site on these ports, once it listens.
    pub async fn run_on(&self, listen: Listen) -> Gateway {
        Gateway::start(self, listen).await
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A port that no outgoing connection takes, because it is below the range of those: a gateway can come back to it.
pub fn unused_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 12_000) as u16;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The gateway's program. Settings of the surrounding shell do not reach it.
fn gapura() -> Command {
    program(Path::new(env!("CARGO_BIN_EXE_gateway-under-test")))
}

pub fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env("NO_COLOR", "1").env_remove("RUST_LOG");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GAPURA_")) {
            command.env_remove(name);
        }
    }
    command
}

fn people() -> String {
    let mut rows = format!(
        "C-0001,Contoh Satu,asn,Dinas Contoh,{GREEN},green,\n\
         C-0002,Contoh Dua,non-asn,Dinas Contoh,{YELLOW},yellow,\n\
         C-0003,Contoh Tiga,asn,Dinas Contoh,{RED},red,\n\
         C-0004,Contoh Empat,asn,Dinas Contoh,{BLACK},black,\n\
         C-0005,Contoh Lima,visitor,,{VISITOR},green,\n"
    );
    for (n, badge) in Badges::invented(200).codes().iter().enumerate() {
        rows.push_str(&format!("F-{n:03},Contoh Armada {n:03},asn,Dinas Contoh,{badge},green,\n"));
    }
    rows
}

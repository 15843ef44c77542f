//! The demo's site: a temporary folder, made with the gateway's own commands, and invented people.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use base::site::{Authority, SiteFolder, Validity};
use protocol::{DoorId, SiteId};
use serde::Deserialize;
use tempfile::TempDir;

use crate::chance::{Chance, Purpose};
use crate::load::Identity;
use crate::load::mix::Badges;

/// A site that is removed when it is dropped.
#[derive(Debug)]
pub struct DemoSite {
    folder: TempDir,
    /// Its name.
    pub name: SiteId,
    /// The administrator's token.
    pub token: String,
    /// The badges of its people.
    pub badges: Badges,
}

/// People who are invented.
pub const PEOPLE: usize = 200;

impl DemoSite {
    /// Makes a site with `doors`, and people that depend on nothing but `chance`.
    ///
    /// # Errors
    /// When the folder cannot be written, or a command of the gateway does not work; with what it said.
    pub fn make(doors: &[DoorId], chance: Chance) -> Result<Self> {
        let site = Self::empty(Badges::invented(PEOPLE))?;
        site.add_doors(doors, "main", "enforce")?;
        site.import(&people_csv(&site.badges, chance))?;
        Ok(site)
    }

    /// Makes a site without doors and people.
    ///
    /// # Errors
    /// When the folder cannot be written, or the gateway's command does not work; with what it said.
    pub fn empty(badges: Badges) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("gapura-demo-").tempdir().context("cannot make a folder")?;
        let name: SiteId = "demo".parse()?;
        let mut site = Self { folder, name, token: String::new(), badges };
        let mut init = gapura()?;
        init.arg("init").arg(site.root()).args(["--site", site.name.as_str(), "--json"]);
        site.token = token(&said(init)?)?;
        Ok(site)
    }

    /// Adds doors that lead into `zone`, with certificates for their readers.
    ///
    /// # Errors
    /// When the gateway's command does not work; with what it said.
    pub fn add_doors(&self, doors: &[DoorId], zone: &str, mode: &str) -> Result<()> {
        let mut add = gapura()?;
        add.args(["door", "add", "--config"]).arg(self.configuration()).args(["--zone", zone, "--mode", mode]);
        add.args(doors.iter().map(DoorId::as_str));
        said(add).map(drop)
    }

    /// Imports people.
    ///
    /// # Errors
    /// When the list cannot be written, or the gateway's command does not work; with what it said.
    pub fn import(&self, people_csv: &str) -> Result<()> {
        let people = self.record("people.csv");
        fs::write(&people, people_csv).context("cannot write the invented people")?;
        let mut import = gapura()?;
        import.args(["import", "people", "--config"]).arg(self.configuration()).arg(people);
        said(import).map(drop)
    }

    /// Writes a file of the site's folder, in the place of the one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.root().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The site's own folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// The gateway's configuration.
    pub fn configuration(&self) -> PathBuf {
        self.root().join("gapura.toml")
    }

    /// The certificate of the site's CA.
    pub fn ca(&self) -> PathBuf {
        self.root().join("pki").join("ca.pem")
    }

    /// The readers' certificates.
    pub fn identity(&self) -> Identity {
        Identity { ca: self.ca(), certificates: self.root().join("doors") }
    }

    /// Where a record of the run is kept.
    pub fn record(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command that runs the gateway, with free ports.
    ///
    /// # Errors
    /// When this program does not know where it is.
    pub fn run(&self) -> Result<Command> {
        let mut run = gapura()?;
        run.args(["run", "--config"])
            .arg(self.configuration())
            .env("GAPURA_MQTT__LISTEN", "127.0.0.1:0")
            .env("GAPURA_HTTP__LISTEN", "127.0.0.1:0");
        Ok(run)
    }

    /// The same with this upstream.
    ///
    /// # Errors
    /// When this program does not know where it is.
    pub fn run_with_upstream(&self, upstream: std::net::SocketAddr) -> Result<Command> {
        let pki = self.root().join("pki");
        let mut run = self.run()?;
        // The invented people are few and enter again and again.
        run.env("GAPURA_ACCESS__PASSBACK_MINUTES", "0")
            .env("GAPURA_UPSTREAM__URL", format!("https://{upstream}/events"))
            .env("GAPURA_UPSTREAM__CA", self.ca())
            .env("GAPURA_UPSTREAM__CERTIFICATE", pki.join("gateway.pem"))
            .env("GAPURA_UPSTREAM__KEY", pki.join("gateway.key"));
        Ok(run)
    }
}

/// A server certificate for `localhost` and `127.0.0.1` from the CA of the site in `site_dir`, and its key.
///
/// # Errors
/// When the CA cannot be used.
pub fn upstream_certificate(site_dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = SiteFolder::new(site_dir);
    let now = jiff::Timestamp::now().into();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let issued = Authority::open(&folder, &folder.site()?)?.issue_server(&names, Validity::days(now, 1))?;
    let (certificate, key) = (site_dir.join("upstream.pem"), site_dir.join("upstream.key"));
    fs::write(&certificate, &issued.certificate_pem)?;
    fs::write(&key, issued.key_pem.reveal())?;
    Ok((certificate, key))
}

/// The gateway's command line, inside this same program. Settings of the surrounding shell do not reach it.
fn gapura() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program does not know where it is")?);
    command.arg("gapura").env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GAPURA_")) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// What a command said on its standard output.
fn said(mut command: Command) -> Result<String> {
    let output = command.output().context("cannot run the gateway's command line")?;
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().take(3).map(|argument| argument.to_string_lossy()).collect();
        bail!("`{}` did not work ({}):\n{}", arguments.join(" "), output.status, words(&output.stderr));
    }
    Ok(words(&output.stdout))
}

fn token(said: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Initialized {
        admin_token: String,
    }
    let line = said.lines().last().unwrap_or_default();
    // The line holds the token: it is not repeated in an error.
    match serde_json::from_str(line) {
        Ok(Initialized { admin_token }) => Ok(admin_token),
        Err(_) => bail!("`gapura init --json` did not print one JSON object with \"admin_token\" as its last line"),
    }
}

/// The people as `gapura import people` reads them.
fn people_csv(badges: &Badges, chance: Chance) -> String {
    let mut csv = String::from("person,name,class,opd,badge,status,status_until\n");
    let of = |n: u64, choices: &[(&'static str, u64)], salt: u64| -> &'static str {
        let mut place = chance.below(choices.iter().map(|(_, share)| share).sum(), Purpose::Person, salt, n);
        for (choice, share) in choices {
            match place.checked_sub(*share) {
                Some(rest) => place = rest,
                None => return choice,
            }
        }
        ""
    };
    for (n, badge) in (1u64..).zip(badges.codes()) {
        let class = of(n, &[("asn", 60), ("non-asn", 32), ("visitor", 8)], 1);
        let status = of(n, &[("green", 84), ("yellow", 8), ("red", 5), ("black", 3)], 2);
        let office = 1 + chance.below(60, Purpose::Person, 3, n);
        // Writing to a text cannot fail.
        writeln!(csv, "C-{n:03},Contoh {n:03},{class},Dinas Contoh {office:02},{badge},{status},").unwrap_or_default();
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_people_are_the_same_for_the_same_seed_and_mixed() {
        let csv = people_csv(&Badges::invented(PEOPLE), Chance::new(4));
        assert_eq!(csv, people_csv(&Badges::invented(PEOPLE), Chance::new(4)));
        assert_eq!(csv.lines().count(), PEOPLE + 1);
        for word in ["asn", "non-asn", "visitor", "green", "yellow", "red", "black"] {
            assert!(csv.lines().any(|line| line.split(',').any(|field| field == word)), "{word}");
        }
        assert!(csv.lines().skip(1).all(|line| line.starts_with("C-") && line.split(',').count() == 7));
    }

    #[test]
    fn the_token_is_taken_from_the_last_line_and_not_repeated_in_errors() {
        assert_eq!(token("made a site\n{\"admin_token\":\"s3cret\"}").unwrap(), "s3cret");
        assert!(!token("{\"token\":\"s3cret\"}").unwrap_err().to_string().contains("s3cret"));
    }

    #[test]
    fn a_command_that_fails_is_quoted() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo the zone is unknown >&2; exit 2"]);
        let error = said(command).unwrap_err().to_string();
        assert!(error.contains("the zone is unknown") && error.contains("exit status: 2"), "{error}");
    }
}

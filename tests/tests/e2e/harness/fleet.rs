//! Many readers at once: `gapura-sim load` as a process of its own, and the audit of what it had acknowledged.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use serde_json::Value;

use super::eventually;
use super::gateway::Gateway;
use super::site::{SITE, Site, program};

/// A fleet that scans. Dropped, it is killed.
#[derive(Debug)]
pub struct Fleet {
    process: Child,
    acked: PathBuf,
}

impl Fleet {
    /// The names of the doors that a fleet of `count` readers uses.
    pub fn doors(count: u32) -> Vec<String> {
        (1..=count).map(|n| format!("d{n:04}")).collect()
    }

    /// Starts readers of [those doors](Self::doors) with these further arguments of `load`, words apart.
    pub fn start(site: &Site, gateway: &Gateway, doors: u32, arguments: &str) -> Self {
        let acked = site.beside("acked.ndjson");
        let process = program(Path::new(env!("CARGO_BIN_EXE_simulator-under-test")))
            .args(["load", "--site", SITE, "--json", "--address", &gateway.mqtt.to_string()])
            .args(["--doors", &doors.to_string()])
            .arg("--certificates")
            .arg(site.file("doors"))
            .arg("--ca")
            .arg(site.ca())
            .arg("--acked")
            .arg(&acked)
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the simulator's program starts");
        Self { process, acked }
    }

    /// Where it writes down what was acknowledged.
    pub fn acked(&self) -> &Path {
        &self.acked
    }

    /// Whether it still scans.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits until it has nothing left to do; its report.
    pub async fn report(mut self) -> Value {
        let stdout = self.process.stdout.take().unwrap();
        let reading = thread::spawn(move || std::io::read_to_string(stdout).unwrap());
        eventually("the fleet ends", async || !self.runs()).await;
        let said = reading.join().unwrap();
        serde_json::from_str(said.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("no report of the fleet ({error}): {said:?}"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Compares what readers had acknowledged with the log of a running gateway, and if given the upstream's ledger.
pub fn audit(site: &Site, gateway: &Gateway, acked: &[&Path], ledger: Option<&Path>) -> Value {
    let mut audit = program(Path::new(env!("CARGO_BIN_EXE_simulator-under-test")));
    audit.args(["audit", "--json", "--token", site.token(), "--gateway"]).arg(format!("http://{}", gateway.http));
    if !acked.is_empty() {
        audit.arg("--acked").args(acked);
    }
    if let Some(ledger) = ledger {
        audit.arg("--ledger").arg(ledger);
    }
    let output = audit.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(said.trim())
        .unwrap_or_else(|error| panic!("no audit ({error}): {said} {}", String::from_utf8_lossy(&output.stderr)))
}

//! `gapura check-config`: everything that `run` would read or need, looked at without changing anything.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Result, anyhow, bail};

use super::output::print_line;
use crate::config::Config;
use crate::inputs;
use crate::ledger_rules::ledger_rules;
use access::Snapshot;
use base::tokens::Tokens;

/// Checks, and says in one line what is there, or in one line each what is wrong.
pub(super) fn check(config: &Config) -> Result<()> {
    let mut findings = Vec::new();
    let mut found = |result: Result<()>| findings.extend(result.err().map(|error| format!("{error:#}")));
    let snapshot = inputs::read_snapshot(config);
    let tokens = inputs::tokens(&config.folder());
    if let (Ok(snapshot), Ok(tokens)) = (&snapshot, &tokens) {
        found(ledger_rules(config, snapshot).map(drop));
        found(inputs::check_doors_of_tokens(&config.folder(), tokens, &snapshot.doors));
    }
    found(inputs::door_tls(config).map(drop));
    found(inputs::http_tls(config).map(drop));
    if let Some(upstream) = &config.upstream {
        found(inputs::upstream_client(upstream).map(drop));
    }
    found(inputs::probe_data(&config.folder()));
    found(listeners(config));
    inputs::exposed_keys(config).into_iter().for_each(|exposed| found(Err(anyhow!(exposed))));
    match (snapshot, tokens) {
        (Ok(snapshot), Ok(tokens)) if findings.is_empty() => say_all_is_well(config, &snapshot, &tokens),
        (snapshot, tokens) => {
            let unread = [snapshot.err(), tokens.err()].into_iter().flatten().map(|error| format!("{error:#}"));
            bail!("{}", unread.chain(findings).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn say_all_is_well(config: &Config, snapshot: &Snapshot, tokens: &Tokens) -> Result<()> {
    print_line(format_args!(
        "{}: all well: {} doors, {} credentials, {} policies ({}), {} tokens",
        config.site.name,
        snapshot.doors.len(),
        snapshot.directory.credentials(),
        snapshot.policy.len(),
        snapshot.policy.set_hash(),
        tokens.len(),
    ))
}

/// That the gateway may listen where it is to. A port that is taken is taken by a gateway that runs, or will be free by then.
fn listeners(config: &Config) -> Result<()> {
    let all = [
        ("[mqtt] listen", Some(config.mqtt.listen)),
        ("[mqtt] plaintext_listen", config.mqtt.plaintext_listen),
        ("[http] listen", Some(config.http.listen)),
    ];
    let mut before: Vec<(&str, SocketAddr)> = Vec::new();
    for (setting, address) in all.into_iter().filter_map(|(setting, address)| Some((setting, address?))) {
        let same = |other: &&(&str, SocketAddr)| {
            let any = other.1.ip().is_unspecified() || address.ip().is_unspecified();
            address.port() != 0 && other.1.port() == address.port() && (any || other.1.ip() == address.ip())
        };
        if let Some((other, _)) = before.iter().find(same) {
            bail!("{setting}: {address} is taken by {other}; give each its own port");
        }
        if let Err(error) = TcpListener::bind((address.ip(), 0)) {
            bail!("{setting}: {address} cannot be used: {error}; name an address of this machine");
        }
        before.push((setting, address));
    }
    Ok(())
}

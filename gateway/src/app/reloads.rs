//! What is read again when its files change, and what follows from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use arc_swap::ArcSwap;

use super::edge::Edge;
use crate::config::Config;
use crate::in_force::InForce;
use crate::inputs;
use crate::reload::Reloadable;
use access::{Calendar, Directory, Doors, Passes, Policy, Snapshot, Zones};
use front::doors;

/// Makes a snapshot with one part read anew.
type ReadPart = Arc<dyn Fn(&Snapshot) -> Result<Snapshot> + Send + Sync>;

pub(super) fn reloadables(
    config: &Config,
    in_force: &InForce,
    edge: &Edge,
    upstream_client: Option<Arc<ArcSwap<reqwest::Client>>>,
) -> Vec<Reloadable> {
    let mut reloadables = parts_of_the_snapshot(config, in_force, &edge.connected);
    reloadables.extend(certificates(config, edge, upstream_client));
    reloadables.push(tokens(config, edge));
    reloadables
}

fn parts_of_the_snapshot(config: &Config, in_force: &InForce, connected: &Arc<doors::Registry>) -> Vec<Reloadable> {
    let folder = config.folder();
    let part = |what, paths, read: ReadPart| {
        let (in_force, connected) = (in_force.clone(), Arc::clone(connected));
        reloadable(what, paths, move || {
            in_force.change(|old| read(old))?;
            connected.send_config();
            Ok(())
        })
    };
    let (policy, doors, people) = (folder.policy(), folder.doors_toml(), inputs::directory(&folder));
    let (zones, calendar, site) = (folder.zones_toml(), folder.calendar_toml(), folder.clone());
    let (trust, health) = (folder.trust(), config.health.clone());
    vec![
        part(
            "policy",
            policy_paths(&policy),
            Arc::new(move |old| Ok(Snapshot { policy: Arc::new(Policy::read(&policy)?), ..old.clone() })),
        ),
        part(
            "policy_candidate",
            policy_paths(&folder.policy_candidate()),
            Arc::new(move |old| Ok(Snapshot { shadow: inputs::read_candidate(&site)?, ..old.clone() })),
        ),
        part(
            "doors",
            vec![doors.clone()],
            Arc::new(move |old| Ok(Snapshot { doors: Arc::new(Doors::read(&doors)?), ..old.clone() })),
        ),
        part(
            "zones",
            vec![zones.clone()],
            Arc::new(move |old| Ok(Snapshot { zones: Arc::new(Zones::read(&zones)?), ..old.clone() })),
        ),
        part(
            "calendar",
            vec![calendar.clone()],
            Arc::new(move |old| Ok(Snapshot { calendar: Arc::new(Calendar::read(&calendar)?), ..old.clone() })),
        ),
        part(
            "trust",
            vec![trust.clone(), trust.join("passes"), trust.join("health")],
            Arc::new(move |old| {
                Ok(Snapshot { passes: Arc::new(Passes::read(&trust, health.clone())?), ..old.clone() })
            }),
        ),
        part(
            "directory",
            vec![people.clone()],
            Arc::new(move |old| Ok(Snapshot { directory: Arc::new(Directory::read(&people)?), ..old.clone() })),
        ),
    ]
}

/// A policy folder, and the one in it that holds the texts.
fn policy_paths(folder: &Path) -> Vec<PathBuf> {
    vec![folder.to_owned(), folder.join("texts")]
}

fn certificates(
    config: &Config,
    edge: &Edge,
    upstream_client: Option<Arc<ArcSwap<reqwest::Client>>>,
) -> Vec<Reloadable> {
    let folder = config.folder();
    let own = vec![folder.gateway_certificate(), folder.gateway_key(), folder.ca_certificate(), folder.crl()];
    let (tls, connected) = (Arc::clone(&edge.door_tls), Arc::clone(&edge.connected));
    let mut reloadables = vec![reloadable("certificates", own.clone(), move || {
        let (new, revoked) = inputs::door_tls(&folder)?;
        tls.store(new);
        let dropped = connected.drop_sessions(|identity| revoked.contains(&identity.serial));
        if dropped > 0 {
            tracing::info!(dropped, "sessions of revoked certificates were closed");
        }
        Ok(())
    })];
    if let Some(tls) = edge.http_tls.clone() {
        let config = config.clone();
        let paths = own.into_iter().chain(config.http.certificate.clone()).chain(config.http.key.clone()).collect();
        reloadables.push(reloadable("http_certificate", paths, move || {
            if let Some(new) = inputs::http_tls(&config)? {
                tls.store(new);
            }
            Ok(())
        }));
    }
    if let (Some(client), Some(upstream)) = (upstream_client, config.upstream.clone()) {
        let paths = vec![upstream.ca.clone(), upstream.certificate.clone(), upstream.key.clone()];
        reloadables.push(reloadable("upstream_certificate", paths, move || {
            client.store(Arc::new(inputs::upstream_client(&upstream)?));
            Ok(())
        }));
    }
    reloadables
}

fn tokens(config: &Config, edge: &Edge) -> Reloadable {
    let (folder, tokens) = (config.folder(), Arc::clone(&edge.tokens));
    reloadable("tokens", vec![folder.tokens_toml(), folder.admin_token()], move || {
        tokens.store(Arc::new(inputs::tokens(&folder)?));
        Ok(())
    })
}

fn reloadable(
    what: &'static str,
    paths: Vec<PathBuf>,
    reload: impl Fn() -> Result<()> + Send + Sync + 'static,
) -> Reloadable {
    Reloadable { what, paths, reload: Arc::new(move || reload().map_err(|error| format!("{error:#}"))) }
}

//! What is read again when its files change, and what follows from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use arc_swap::ArcSwap;

use super::edge::Edge;
use crate::config::Config;
use crate::in_force::InForce;
use crate::inputs;
use crate::known_files::KnownFiles;
use crate::reload::{Reloadable, Vanishing};
use access::{Calendar, Directory, Passes, Policy, Snapshot};
use base::door_list::read_places;
use front::doors;

/// Makes a snapshot with one part read anew.
type ReadPart = Arc<dyn Fn(&Snapshot) -> Result<Snapshot> + Send + Sync>;

pub(super) fn reloadables(
    config: &Config,
    in_force: &InForce,
    edge: &Edge,
    upstream_client: Option<Arc<ArcSwap<reqwest::Client>>>,
    known: &Arc<KnownFiles>,
) -> Vec<Reloadable> {
    let mut reloadables = parts_of_the_snapshot(config, in_force, &edge.connected, known);
    reloadables.extend(certificates(config, edge, upstream_client));
    reloadables.push(tokens(config, edge, in_force));
    reloadables.push(configuration(config));
    for reloadable in &mut reloadables {
        let (reload, known) = (Arc::clone(&reloadable.reload), Arc::clone(known));
        reloadable.reload = Arc::new(move || reload().inspect(|()| known.note()));
    }
    reloadables
}

fn parts_of_the_snapshot(
    config: &Config,
    in_force: &InForce,
    connected: &Arc<doors::Registry>,
    known: &Arc<KnownFiles>,
) -> Vec<Reloadable> {
    let folder = config.folder();
    let part = |what, paths: Vec<PathBuf>, read: ReadPart| {
        let (in_force, connected, known) = (in_force.clone(), Arc::clone(connected), Arc::clone(known));
        // These two are read together, whichever has changed.
        let places = [folder.doors_toml(), folder.zones_toml()];
        let read_from = if paths.iter().any(|path| places.contains(path)) { places.to_vec() } else { paths.clone() };
        reloadable(what, paths, move || {
            in_force.change(|old| {
                let new = read(old)?;
                // One that has vanished since the last look was read as an empty one.
                known.check_among(&read_from)?;
                Ok(new)
            })?;
            connected.send_config();
            Ok(())
        })
    };
    let (policy, calendar, people) = (folder.policy(), folder.calendar_toml(), inputs::directory(&folder));
    let (trust, health, site) = (folder.trust(), config.health.clone(), folder.clone());
    let places: ReadPart = {
        let (doors, zones) = (folder.doors_toml(), folder.zones_toml());
        Arc::new(move |old| {
            let (doors, zones) = read_places(&doors, &zones)?;
            Ok(Snapshot { doors: Arc::new(doors), zones: Arc::new(zones), ..old.clone() })
        })
    };
    vec![
        Reloadable {
            vanishing: Vanishing::RefusedOf(is_policy),
            ..part(
                "policy",
                policy_paths(&policy),
                Arc::new(move |old| Ok(Snapshot { policy: Arc::new(Policy::read(&policy)?), ..old.clone() })),
            )
        },
        Reloadable {
            // To take its folder away ends the trial.
            vanishing: Vanishing::Taken,
            ..part(
                "policy_candidate",
                policy_paths(&folder.policy_candidate()),
                Arc::new(move |old| Ok(Snapshot { shadow: inputs::read_candidate(&site)?, ..old.clone() })),
            )
        },
        // These two fit together or not at all: either brings both into force.
        part("doors", vec![folder.doors_toml()], Arc::clone(&places)),
        part("zones", vec![folder.zones_toml()], places),
        part(
            "calendar",
            vec![calendar.clone()],
            Arc::new(move |old| Ok(Snapshot { calendar: Arc::new(Calendar::read(&calendar)?), ..old.clone() })),
        ),
        part(
            "trust",
            vec![trust.clone(), trust.join("passes"), trust.join("health"), trust.join("revoked.toml")],
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

/// A policy folder, and what is in it in any case: the texts in each language.
fn policy_paths(folder: &Path) -> Vec<PathBuf> {
    let texts = folder.join("texts");
    vec![folder.to_owned(), texts.join("id.ftl"), texts.join("en.ftl"), texts]
}

/// Whether a file in a policy folder says who may pass: a prohibition that has vanished lets people in.
fn is_policy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "cedar")
        && path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
}

fn certificates(
    config: &Config,
    edge: &Edge,
    upstream_client: Option<Arc<ArcSwap<reqwest::Client>>>,
) -> Vec<Reloadable> {
    let folder = config.folder();
    let own = vec![folder.gateway_certificate(), folder.gateway_key(), folder.ca_certificate(), folder.crl()];
    let (tls, connected, of_doors) = (Arc::clone(&edge.door_tls), Arc::clone(&edge.connected), config.clone());
    let mut reloadables = vec![reloadable("certificates", own.clone(), move || {
        let (new, revoked) = inputs::door_tls(&of_doors)?;
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

fn tokens(config: &Config, edge: &Edge, in_force: &InForce) -> Reloadable {
    let (folder, tokens, in_force) = (config.folder(), Arc::clone(&edge.tokens), in_force.clone());
    reloadable("tokens", vec![folder.tokens_toml(), folder.admin_token()], move || {
        let new = inputs::tokens(&folder)?;
        // No reason to keep a token that was revoked: it may act nowhere else for that.
        if let Err(error) = inputs::check_doors_of_tokens(&folder, &new, &in_force.load().doors) {
            tracing::warn!("{error}");
        }
        tokens.store(Arc::new(new));
        Ok(())
    })
}

/// The settings themselves take effect at the next start only; until then, that they have changed is a problem.
fn configuration(config: &Config) -> Reloadable {
    let config = config.clone();
    reloadable("configuration", vec![config.file().to_owned()], move || {
        let changed = config.differences(&config.read_again()?);
        if changed.is_empty() {
            return Ok(());
        }
        bail!("{} changed; it takes effect at the next start: restart the gateway", changed.join(", "))
    })
}

fn reloadable(
    what: &'static str,
    paths: Vec<PathBuf>,
    reload: impl Fn() -> Result<()> + Send + Sync + 'static,
) -> Reloadable {
    let reload = Arc::new(move || reload().map_err(|error| format!("{error:#}")));
    Reloadable { what, paths, vanishing: Vanishing::Refused, reload }
}

//! What is read again when its files change, and what follows from it.

use std::sync::Arc;

use anyhow::Result;
use arc_swap::ArcSwap;

use super::inputs;
use crate::access::{Directory, Doors, Policy, Snapshot};
use crate::config::Config;
use crate::doors;
use crate::reload::Reloadable;

/// Makes a snapshot with one part read anew.
type ReadPart = Arc<dyn Fn(&Snapshot) -> Result<Snapshot> + Send + Sync>;

pub(super) fn reloadables(
    config: &Config,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    connected: &Arc<doors::Registry>,
    door_tls: &Arc<ArcSwap<rustls::ServerConfig>>,
    http_tls: Option<&Arc<ArcSwap<rustls::ServerConfig>>>,
) -> Vec<Reloadable> {
    let folder = config.folder();
    let part = |what, paths, read: ReadPart| {
        let (snapshot, connected) = (Arc::clone(snapshot), Arc::clone(connected));
        let reload = move || {
            // Only the reloader replaces the snapshot, so nothing is lost between the two.
            let new = read(&snapshot.load()).map_err(|error| format!("{error:#}"))?;
            snapshot.store(Arc::new(new));
            connected.send_config();
            Ok(())
        };
        Reloadable { what, paths, reload: Arc::new(reload) }
    };
    let (policy, doors, people) = (folder.policy(), folder.doors_toml(), inputs::directory(&folder));
    let mut reloadables = vec![
        part(
            "policy",
            vec![policy.clone()],
            Arc::new(move |old| Ok(Snapshot { policy: Arc::new(Policy::read(&policy)?), ..old.clone() })),
        ),
        part(
            "doors",
            vec![doors.clone()],
            Arc::new(move |old| Ok(Snapshot { doors: Arc::new(Doors::read(&doors)?), ..old.clone() })),
        ),
        part(
            "directory",
            vec![people.clone()],
            Arc::new(move |old| Ok(Snapshot { directory: Arc::new(Directory::read(&people)?), ..old.clone() })),
        ),
    ];
    let paths = vec![folder.gateway_certificate(), folder.gateway_key(), folder.ca_certificate(), folder.crl()];
    let (tls, connected) = (Arc::clone(door_tls), Arc::clone(connected));
    let reload = move || {
        let (new, revoked) = inputs::door_tls(&folder).map_err(|error| format!("{error:#}"))?;
        tls.store(new);
        let dropped = connected.drop_sessions(|identity| revoked.contains(&identity.serial));
        if dropped > 0 {
            tracing::info!(dropped, "sessions of revoked certificates were closed");
        }
        Ok(())
    };
    reloadables.push(Reloadable { what: "certificates", paths: paths.clone(), reload: Arc::new(reload) });
    if let Some(tls) = http_tls {
        let (tls, config) = (Arc::clone(tls), config.clone());
        let own = config.http.certificate.iter().chain(&config.http.key).cloned();
        let paths = paths.into_iter().chain(own).collect();
        let reload = move || {
            if let Some(new) = inputs::http_tls(&config).map_err(|error| format!("{error:#}"))? {
                tls.store(new);
            }
            Ok(())
        };
        reloadables.push(Reloadable { what: "http_certificate", paths, reload: Arc::new(reload) });
    }
    reloadables
}

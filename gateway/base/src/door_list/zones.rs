//! The zones of the site: the format of `zones.toml`, one table per zone, which make a tree: site, buildings, offices.

use std::collections::{BTreeMap, HashMap};

use protocol::SiteId;
use serde::Deserialize;

use super::ModePlan;
use crate::nearest::did_you_mean;

/// Zones from the outermost to the innermost, at most.
const DEPTH_MAX: usize = 8;

/// The zones of the site. Where none is declared, doors may lead into any: it then lies in no other and has no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zones {
    zones: HashMap<String, Zone>,
    /// Each listed zone and those around it, the innermost first.
    paths: HashMap<String, Vec<String>>,
    /// Each listed zone and those inside it.
    insides: HashMap<String, Vec<String>>,
}

/// One zone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// The zone around it.
    pub parent: Option<SiteId>,
    /// The office that it belongs to.
    pub opd: Option<String>,
    /// How many people may be in it at the same time.
    pub capacity: Option<u32>,
    /// How far decisions bind at its doors, where a door does not say itself; zones inside inherit it.
    pub mode: Option<ModePlan>,
}

/// A list of zones that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// Not TOML of this shape.
    #[error("{}", .0.message().trim_end())]
    Format(#[from] toml::de::Error),
    /// Its zones make no tree.
    #[error("[{zone}] {reason}")]
    Tree {
        /// The zone.
        zone: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Zones {
    /// Reads the text of `zones.toml`.
    ///
    /// # Errors
    /// Says where in the text, or in which zone, what is wrong.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let listed: BTreeMap<SiteId, Zone> = toml::from_str(text)?;
        Self::of(listed.into_iter().map(|(name, zone)| (name.into(), zone)).collect())
    }

    fn of(zones: HashMap<String, Zone>) -> Result<Self, ZoneError> {
        let (mut paths, mut insides) = (HashMap::new(), HashMap::<String, Vec<String>>::new());
        for (name, zone) in &zones {
            let wrong = |reason: String| ZoneError::Tree { zone: name.clone(), reason };
            if zone.capacity == Some(0) {
                return Err(wrong("capacity is 0: nobody could enter; leave it out for no limit".into()));
            }
            let mut path = vec![name.clone()];
            let mut next = zone.parent.as_ref();
            while let Some(parent) = next {
                let around = zones.get(parent.as_str()).ok_or_else(|| {
                    let meant =
                        did_you_mean(parent.as_str(), zones.keys().filter(|other| *other != name).map(String::as_str));
                    wrong(format!(
                        "lies in {parent}, which is not listed{meant}; add [{parent}], or take the parent away"
                    ))
                })?;
                if path.iter().any(|zone| zone == parent.as_str()) {
                    return Err(wrong(format!("lies in itself, by way of {parent}; a zone lies in the one around it")));
                }
                if path.len() == DEPTH_MAX {
                    return Err(wrong(format!("lies deeper than {DEPTH_MAX} zones")));
                }
                path.push(parent.to_string());
                next = around.parent.as_ref();
            }
            path.iter().for_each(|around| insides.entry(around.clone()).or_default().push(name.clone()));
            paths.insert(name.clone(), path);
        }
        insides.values_mut().for_each(|inside| inside.sort());
        Ok(Self { zones, paths, insides })
    }

    /// The zone of this name, where it is listed.
    pub fn get(&self, zone: &str) -> Option<&Zone> {
        self.zones.get(zone)
    }

    /// Whether a door may lead into `zone`: it is declared, or no zone is.
    pub fn may_be_entered(&self, zone: &str) -> bool {
        self.zones.is_empty() || self.zones.contains_key(zone)
    }

    /// Every listed zone.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Zone)> {
        self.zones.iter().map(|(name, zone)| (name.as_str(), zone))
    }

    /// The zones around `zone`, the innermost first, without itself.
    pub fn around(&self, zone: &str) -> &[String] {
        self.paths.get(zone).and_then(|path| path.get(1..)).unwrap_or_default()
    }

    /// `zone` itself, where it is listed, and every zone inside it.
    pub fn inside(&self, zone: &str) -> &[String] {
        self.insides.get(zone).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_lie_in_each_other() {
        let zones = Zones::parse(
            "[complex]\nmode = \"observe\"\n[main]\nparent = \"complex\"\ncapacity = 250\n[tax]\nparent = \"main\"\nopd = \"bapenda\"\n",
        )
        .unwrap();
        assert_eq!(zones.around("tax"), ["main", "complex"]);
        assert_eq!((zones.around("complex").len(), zones.around("elsewhere").len()), (0, 0));
        assert_eq!(zones.inside("complex"), ["complex", "main", "tax"]);
        assert_eq!(zones.inside("main"), ["main", "tax"]);
        assert_eq!(zones.get("main").unwrap().capacity, Some(250));
        assert_eq!(zones.get("tax").unwrap().opd.as_deref(), Some("bapenda"));
        assert_eq!(zones.iter().count(), 3);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        for (text, word) in [
            ("[a]\nparent = \"b\"\n", "not listed"),
            ("[a]\nparent = \"a\"\n", "itself"),
            ("[a]\nparent = \"b\"\n[b]\nparent = \"a\"\n", "itself"),
            ("[a]\ncapacity = 0\n", "capacity"),
            ("[a]\ncapacity = -1\n", "-1"),
            ("[A]\n", "a-z"),
            ("[a]\ncolour = \"red\"\n", "colour"),
        ] {
            let error = Zones::parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
        let deep: String = (0..DEPTH_MAX)
            .map(|at| if at == 0 { "[z0]\n".into() } else { format!("[z{at}]\nparent = \"z{}\"\n", at - 1) })
            .collect();
        assert_eq!(Zones::parse(&deep).unwrap().around("z7").len(), 7);
        let deeper = format!("{deep}[z8]\nparent = \"z7\"\n");
        assert!(Zones::parse(&deeper).unwrap_err().to_string().contains("deeper"));
    }
}

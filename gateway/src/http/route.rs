//! What can be asked for: every path, how it may be asked, by whom, and how much may be sent along.

use std::cmp::min;

use axum::http::Method;
use prometheus_client::encoding::EncodeLabelValue;

use super::Config;
use crate::tokens::TokenRole;

/// What is asked for. A small set: no client can make a label of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(super) enum Route {
    page,
    livez,
    readyz,
    metrics,
    status,
    events,
    assist,
    people,
    policy,
    shadow,
    unknown,
}

/// One way to ask for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// A level in braces stands for any one level.
    pub(super) path: &'static str,
    pub(super) route: Route,
    /// The methods that it is asked with, as in the header `Allow`.
    pub(super) methods: &'static str,
    /// Who may ask, with a token; empty for everybody without one.
    pub(super) roles: &'static [TokenRole],
    /// Largest body, in bytes; 0 where none is taken.
    body_bytes_max: usize,
}

const LOOK: &str = "GET, HEAD";
const ADMIN: &[TokenRole] = &[TokenRole::Admin];
const HELPERS: &[TokenRole] = &[TokenRole::Helper, TokenRole::Admin];

/// Every rule; no two allow the same.
pub(super) const RULES: [Rule; 14] = [
    Rule::open("/", Route::page),
    Rule::open("/page.css", Route::page),
    Rule::open("/page.js", Route::page),
    Rule::open("/icon.svg", Route::page),
    Rule::open("/livez", Route::livez),
    Rule::open("/readyz", Route::readyz),
    Rule::open("/metrics", Route::metrics),
    Rule::open("/api/v1/status", Route::status),
    Rule { path: "/api/v1/events", route: Route::events, methods: LOOK, roles: ADMIN, body_bytes_max: 0 },
    Rule {
        path: "/api/v1/doors/{door}/assist",
        route: Route::assist,
        methods: "POST",
        roles: HELPERS,
        body_bytes_max: protocol::PAYLOAD_BYTES_MAX,
    },
    Rule { path: "/api/v1/people", route: Route::people, methods: LOOK, roles: ADMIN, body_bytes_max: 0 },
    Rule {
        path: "/api/v1/people/{id}",
        route: Route::people,
        methods: "GET, HEAD, PUT, DELETE",
        roles: ADMIN,
        body_bytes_max: 65_536,
    },
    Rule { path: "/api/v1/policy", route: Route::policy, methods: LOOK, roles: ADMIN, body_bytes_max: 0 },
    Rule { path: "/api/v1/policy/shadow", route: Route::shadow, methods: LOOK, roles: ADMIN, body_bytes_max: 0 },
];

impl Rule {
    /// One that everybody may look at.
    const fn open(path: &'static str, route: Route) -> Self {
        Self { path, route, methods: LOOK, roles: &[], body_bytes_max: 0 }
    }

    /// The rule for a request; `Err` with the methods that are offered instead, `None` where there is nothing at all.
    pub(super) fn of(path: &str, method: &Method) -> Option<Result<&'static Self, Vec<&'static str>>> {
        let here: Vec<_> = RULES.iter().filter(|rule| rule.covers(path)).collect();
        let offered = || here.iter().flat_map(|rule| rule.methods.split(", "));
        let found = here.iter().find(|rule| rule.methods.split(", ").any(|offered| offered == method.as_str()));
        match found {
            Some(rule) => Some(Ok(rule)),
            None if here.is_empty() => None,
            None => Some(Err(offered().collect())),
        }
    }

    /// Largest body that is taken, in bytes; `None` where none is.
    pub(super) fn body_bytes_max(&self, config: &Config) -> Option<usize> {
        (self.body_bytes_max > 0).then(|| min(self.body_bytes_max, config.body_bytes_max))
    }

    fn covers(&self, path: &str) -> bool {
        let mut levels = path.split('/');
        let fits = |wanted: &str, level: &str| wanted == level || (wanted.starts_with('{') && !level.is_empty());
        self.path.split('/').all(|wanted| levels.next().is_some_and(|level| fits(wanted, level)))
            && levels.next().is_none()
    }
}

impl Route {
    /// What a path is counted as.
    pub(super) fn of(path: &str) -> Self {
        RULES.iter().find(|rule| rule.covers(path)).map_or(Self::unknown, |rule| rule.route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_in_braces_is_any_one_level() {
        for (path, route) in [
            ("/", Route::page),
            ("/api/v1/events", Route::events),
            ("/api/v1/events/", Route::unknown),
            ("/api/v1/doors/main-in/assist", Route::assist),
            ("/api/v1/doors//assist", Route::unknown),
            ("/api/v1/doors/a/b/assist", Route::unknown),
            ("/api/v1/doors/main-in", Route::unknown),
            ("", Route::unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
        assert_eq!(Rule::of("/livez", &Method::PUT).unwrap().unwrap_err(), ["GET", "HEAD"]);
        assert_eq!(Rule::of("/api/v1/doors/a/assist", &Method::GET).unwrap().unwrap_err(), ["POST"]);
        assert!(Rule::of("/nowhere", &Method::GET).is_none());
    }
}

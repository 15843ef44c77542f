//! What can be asked for: every path, how it may be asked, by whom, and how much may be sent along.

use std::cmp::min;

use axum::http::Method;
use prometheus_client::encoding::EncodeLabelValue;

use super::Config;
use base::tokens::TokenRole;

/// What is asked for. A small set: no client can make a label of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(super) enum Route {
    page,
    livez,
    readyz,
    metrics,
    openapi,
    status,
    events,
    assist,
    acknowledge,
    people,
    policy,
    shadow,
    presence,
    presence_people,
    attendance,
    attendance_summary,
    contacts,
    privacy_audit,
    privacy_people,
    privacy_restriction,
    privacy_retention,
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
    pub(super) body_bytes_max: usize,
    /// Whether it shows or changes personal data, so that every request is recorded.
    pub(super) personal: bool,
    /// Whether every request is recorded although it concerns no person.
    recorded: bool,
    /// Whether an answer may be so large that only few are made at the same time.
    pub(super) heavy: bool,
}

const LOOK: &str = "GET, HEAD";
const ADMIN: &[TokenRole] = &[TokenRole::Admin];
const HELPERS: &[TokenRole] = &[TokenRole::Helper, TokenRole::Admin];
const OPERATORS: &[TokenRole] = &[TokenRole::Operator, TokenRole::Admin];
const ATTENDANCE: &[TokenRole] = &[TokenRole::Attendance, TokenRole::Admin];
const TRACERS: &[TokenRole] = &[TokenRole::Tracer, TokenRole::Admin];
const PRIVACY_OFFICERS: &[TokenRole] = &[TokenRole::PrivacyOfficer, TokenRole::Admin];
const VIEWERS: &[TokenRole] = &[
    TokenRole::Viewer,
    TokenRole::Operator,
    TokenRole::Attendance,
    TokenRole::Tracer,
    TokenRole::PrivacyOfficer,
    TokenRole::Admin,
];

/// Every rule; no two allow the same.
pub(super) const RULES: [Rule; 25] = [
    Rule::open("/", Route::page),
    Rule::open("/page.css", Route::page),
    Rule::open("/page.js", Route::page),
    Rule::open("/icon.svg", Route::page),
    Rule::open("/livez", Route::livez),
    Rule::open("/readyz", Route::readyz),
    Rule::open("/metrics", Route::metrics),
    Rule::open("/api/openapi.json", Route::openapi),
    Rule::open("/api/v1/status", Route::status),
    Rule::open("/api/v1/events", Route::events).only(OPERATORS).personal().heavy(),
    Rule::open("/api/v1/doors/{door}/assist", Route::assist)
        .only(HELPERS)
        .takes("POST", protocol::assist::ASSIST_BYTES_MAX),
    Rule::open("/api/v1/doors/{door}/acknowledge", Route::acknowledge).only(OPERATORS).recorded().takes("POST", 0),
    Rule::open("/api/v1/people", Route::people).only(ADMIN).personal(),
    Rule::open("/api/v1/people/{id}", Route::people).only(ADMIN).personal().takes("GET, HEAD, PUT, DELETE", 65_536),
    Rule::open("/api/v1/policy", Route::policy).only(ADMIN),
    Rule::open("/api/v1/policy/shadow", Route::shadow).only(ADMIN),
    Rule::open("/api/v1/presence", Route::presence).only(VIEWERS),
    Rule::open("/api/v1/presence/people", Route::presence_people).only(OPERATORS).personal().heavy(),
    Rule::open("/api/v1/attendance", Route::attendance).only(ATTENDANCE).personal().heavy(),
    Rule::open("/api/v1/attendance/summary", Route::attendance_summary).only(VIEWERS).heavy(),
    Rule::open("/api/v1/contacts", Route::contacts).only(TRACERS).personal().heavy(),
    Rule::open("/api/v1/privacy/audit", Route::privacy_audit).only(PRIVACY_OFFICERS).personal().heavy(),
    Rule::open("/api/v1/privacy/people/{id}", Route::privacy_people)
        .only(PRIVACY_OFFICERS)
        .personal()
        .heavy()
        .takes("GET, HEAD, DELETE", 0),
    Rule::open("/api/v1/privacy/people/{id}/restriction", Route::privacy_restriction)
        .only(PRIVACY_OFFICERS)
        .personal()
        .takes("PUT, DELETE", 4_096),
    Rule::open("/api/v1/privacy/retention", Route::privacy_retention).only(PRIVACY_OFFICERS).personal(),
];

impl Rule {
    /// One that everybody may look at.
    const fn open(path: &'static str, route: Route) -> Self {
        Self {
            path,
            route,
            methods: LOOK,
            roles: &[],
            body_bytes_max: 0,
            personal: false,
            recorded: false,
            heavy: false,
        }
    }

    const fn only(self, roles: &'static [TokenRole]) -> Self {
        Self { roles, ..self }
    }

    const fn personal(self) -> Self {
        Self { personal: true, ..self }
    }

    const fn recorded(self) -> Self {
        Self { recorded: true, ..self }
    }

    const fn heavy(self) -> Self {
        Self { heavy: true, ..self }
    }

    const fn takes(self, methods: &'static str, body_bytes_max: usize) -> Self {
        Self { methods, body_bytes_max, ..self }
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

    /// The level of `path` that stands for the one in braces.
    pub(super) fn named<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut levels = self.path.split('/').zip(path.split('/'));
        levels.find(|(wanted, _)| wanted.starts_with('{')).map(|(_, level)| level)
    }

    /// Whether every request goes into the audit trail.
    pub(super) fn is_recorded(&self) -> bool {
        self.personal || self.recorded
    }

    fn covers(&self, path: &str) -> bool {
        let mut levels = path.split('/');
        let fits = |wanted: &str, level: &str| wanted == level || (wanted.starts_with('{') && !level.is_empty());
        self.path.split('/').all(|wanted| levels.next().is_some_and(|level| fits(wanted, level)))
            && levels.next().is_none()
    }
}

impl Route {
    /// The route as it stands in the audit trail.
    pub(super) fn word(self) -> String {
        format!("{self:?}").replace('_', "-")
    }

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

    #[test]
    fn the_level_in_braces_is_named() {
        let named = |path| Rule::of(path, &Method::DELETE).unwrap().unwrap().named(path);
        assert_eq!(named("/api/v1/privacy/people/P-1"), Some("P-1"));
        assert_eq!(named("/api/v1/privacy/people/P-1/restriction"), Some("P-1"));
        assert_eq!(Route::privacy_people.word(), "privacy-people");
    }
}

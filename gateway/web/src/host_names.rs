//! By which names the gateway may be called, against DNS rebinding: a page of another origin can make its own name point to this
//! machine, but it cannot make a browser send another name.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use super::problem::Refusal;

/// The names by which the gateway may be called.
pub(super) enum HostNames {
    /// Loopback addresses and `localhost`, and these names.
    Loopback(Vec<String>),
    /// These names.
    Named(Vec<String>),
    /// Any: the certificate names the gateway.
    Any,
}

impl HostNames {
    /// The names of a gateway that listens there, and is given these names beside.
    pub(super) fn new(address: SocketAddr, names: Vec<String>) -> Self {
        if address.ip().to_canonical().is_loopback() {
            Self::Loopback(names)
        } else if names.is_empty() {
            Self::Any
        } else {
            Self::Named(names)
        }
    }

    /// Checks by which name a request calls the gateway.
    ///
    /// # Errors
    /// When it names none, or another.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Refusal> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::no_host());
        };
        let host: Authority = host.to_str().ok().and_then(|host| host.parse().ok()).ok_or_else(Refusal::no_host)?;
        // A target in absolute form (RFC 9112, section 3.2.2) names the host a second time.
        match [Some(&host), head.uri.authority()].into_iter().flatten().find(|host| !self.allow(host)) {
            Some(other) => Err(Refusal::other_host(other.as_str())),
            None => Ok(()),
        }
    }

    fn allow(&self, host: &Authority) -> bool {
        let name = host.host();
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let named = |names: &[String]| names.iter().any(|known| known.eq_ignore_ascii_case(bare));
        !host.as_str().contains('@')
            && match self {
                Self::Any => true,
                Self::Named(names) => named(names),
                Self::Loopback(names) => {
                    bare.eq_ignore_ascii_case("localhost")
                        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
                        || named(names)
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gateways_own_names_are_taken() {
        let loopback = HostNames::Loopback(vec!["gate.lan".into()]);
        let named = HostNames::Named(vec!["gate.lan".into(), "10.0.0.5".into(), "fd00::5".into()]);
        for (host, on_loopback, by_name) in [
            ("localhost", true, false),
            ("LOCALHOST:8080", true, false),
            ("127.0.0.1:8080", true, false),
            ("127.0.0.2", true, false),
            ("[::1]:8080", true, false),
            ("gate.lan:443", true, true),
            ("Gate.LAN", true, true),
            ("10.0.0.5:443", false, true),
            ("[fd00::5]:443", false, true),
            ("evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("localhost@evil.example", false, false),
            ("evil@localhost", false, false),
            ("0.0.0.0", false, false),
        ] {
            let host: Authority = host.parse().unwrap();
            assert_eq!((loopback.allow(&host), named.allow(&host)), (on_loopback, by_name), "{host}");
        }
        assert!(HostNames::Any.allow(&Authority::from_static("anything")));
    }
}

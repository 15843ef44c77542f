//! Descriptors: each connection takes one, and so do the gateway's own files; no kind of connection may take those of another.

use crate::config::Config;

/// Descriptors for files, timers, the way upstream and connections that are just being closed.
const OWN: u64 = 64;

/// Of few descriptors, HTTP gets one in so many: whoever looks what is wrong must get an answer.
const HTTP_PART: u64 = 4;

/// Lowers the numbers of connections in `config` to what the process may open: `limit` descriptors. Says so where that was needed.
pub(crate) fn fit(config: &mut Config, limit: u64) -> Option<String> {
    let wanted = needed(config);
    if wanted <= limit {
        return None;
    }
    let all = limit.saturating_sub(OWN.min(limit / 2)).max(3);
    let http = (config.http.connections_max as u64).min(all / HTTP_PART).max(1);
    // What is left is shared as it is configured.
    let (rest, clients, handshakes) =
        (all - http, config.mqtt.connections_max as u64, config.mqtt.handshakes_max as u64);
    let handshakes = (handshakes * rest / (clients + handshakes).max(1)).clamp(1, handshakes.max(1));
    let clients = clients.min(rest.saturating_sub(handshakes)).max(1);
    let as_count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    config.mqtt.connections_max = as_count(clients);
    config.mqtt.handshakes_max = as_count(handshakes);
    config.mqtt.handshakes_per_address_max = config.mqtt.handshakes_per_address_max.min(config.mqtt.handshakes_max);
    config.http.connections_max = as_count(http);
    config.http.handshakes_max = config.http.handshakes_max.min(config.http.connections_max);
    config.http.connections_per_address_max = config.http.connections_per_address_max.min(config.http.connections_max);
    Some(format!(
        "the limit of open files is {limit}, and {wanted} would be needed for the connections that are configured: {clients} readers, \
         monitors and helpers and {http} HTTP connections are taken at most; raise the limit (LimitNOFILE=, ulimit -n)"
    ))
}

/// Descriptors that the configured connections and the gateway itself may need together.
fn needed(config: &Config) -> u64 {
    let connections = [config.mqtt.connections_max, config.mqtt.handshakes_max, config.http.connections_max];
    connections.iter().map(|count| *count as u64).sum::<u64>() + OWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_what_the_process_may_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gapura.toml");
        std::fs::write(&file, "[site]\nname = \"regency\"\ntime_zone = \"Asia/Makassar\"\n").unwrap();
        let config = || Config::read(&file, std::iter::empty()).unwrap();
        for limit in [0, 16, 64, 256, 1_024, 4_096, 20_000] {
            let mut fitted = config();
            let said = fit(&mut fitted, limit).unwrap();
            assert!(said.contains(&format!("is {limit}, and ")) && said.contains("LimitNOFILE"), "{said}");
            assert!(needed(&fitted) - OWN <= limit.max(3), "{limit}");
            if limit >= 256 {
                assert!(needed(&fitted) <= limit && fitted.http.connections_max >= 48, "{limit}: {fitted:?}");
            }
            assert!(fitted.mqtt.validate().is_ok() && fitted.http.validate().is_ok(), "{limit}: {fitted:?}");
        }
        let mut fitted = config();
        assert_eq!(fit(&mut fitted, 65_536), None);
        assert_eq!(fitted.mqtt.connections_max, config().mqtt.connections_max);
    }
}

//! What to do about a refusal, in one sentence.

use protocol::api::RefusedWhat;

/// What to do about what was refused for this reason.
pub(super) fn remedy(what: RefusedWhat, reason: &str) -> &'static str {
    match what {
        RefusedWhat::Connection => of_connection(reason),
        RefusedWhat::Publish => of_publish(reason),
    }
}

fn of_connection(reason: &str) -> &'static str {
    match reason {
        "no_certificate" => "Give the device its certificate and key; whoever has none is not let in",
        "expired" => "Renew its certificate (gapura door renew) and put it on the device; check the clocks",
        "not_yet_valid" => "Set the device's and the gateway's clocks: its certificate is valid from later on",
        "revoked" => "If the device may come back, make it a new certificate (gapura door renew); else look for it",
        "unknown_ca" => "Give the device a certificate that this site's authority has issued itself (gapura door add)",
        "bad_certificate" | "certificate" => {
            "Issue its certificate again with this gateway: it names nobody of this site, or is for something else"
        }
        "two_names" => "Issue its certificate again: it has more than one name of the form urn:gapura:…",
        "other_site" => "Use a certificate of this site: it is of another one",
        "alpn" => "Let the client offer the protocol mqtt (ALPN), or none",
        "other" => "Nobody who speaks TLS 1.2 or 1.3: a check of the port, or a client that is set up without TLS",
        "timeout" | "connect_timeout" => "Look at the network to it: it began and did not go on in time",
        "no_connect" => "Nobody who speaks MQTT: it has closed, or sent something else, before CONNECT",
        "not_mqtt" | "malformed" => "Look for a client that does not keep to MQTT 3.1.1 or 5, or does not speak it",
        "protocol_version" => "Set the client to MQTT 3.1.1 or 5",
        "packet_too_large" => "Make what it sends with CONNECT smaller, above all its last will",
        "packet_bytes_max" => "Let the client take larger packets: it does not even take the answer to its CONNECT",
        "client_id" => "Set its MQTT client id to the name in its certificate",
        "unknown_door" => "Add the door (gapura door add), or revoke the certificate",
        "role" => "Give it a certificate of its own: this one is the gateway's",
        "will" => "Let its last will be a status on the door's own status topic; a monitor has none",
        "authentication_method" => "Turn off its authentication method: its certificate says who it is",
        "connections_max" | "monitors_max" => {
            "Raise connections_max in the configuration, or look who takes the places"
        }
        "takeover_timeout" => "It may try again: its connection before could not be ended in time",
        "tls_reloaded" => "Nothing: it came while certificates were read again, and may try again",
        "shutdown" | "monitors_stopped" => "Nothing while the gateway stops; else restart it",
        _ => "See the reader integrator's guide",
    }
}

fn of_publish(reason: &str) -> &'static str {
    match reason {
        "monitor" => "Let the monitor publish nothing: it may only listen",
        "topic" => {
            "Let it publish on the topics of its own door only, scan and status; a helper on assist of a door that is there"
        }
        "topic_name" => "Let it publish on topics without wildcards and U+0000",
        "response_topic" => "Let its response topic stand below the door's own topics",
        "status" => "Mend its status; see \"status\" in the reader integrator's guide",
        "qos" => "Let the helper's device publish with QoS 1",
        "payload" => "Mend its assist request; see the reader integrator's guide",
        "rate" => "Look why it asks so often; assists_per_minute_max in [scans] is the limit",
        _ => "See the reader integrator's guide",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reason in the source has a sentence of its own.
    #[test]
    fn every_reason_has_a_remedy() {
        let unknown = of_connection("");
        let sources = [
            include_str!("admission.rs"),
            include_str!("handshake.rs"),
            include_str!("registry.rs"),
            include_str!("rights.rs"),
        ];
        let mut seen = 0;
        for literal in
            sources.iter().flat_map(|source| source.lines()).flat_map(|line| line.split('"').skip(1).step_by(2))
        {
            // Every such word in these files is a reason.
            if literal.len() > 2 && literal.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
                assert_ne!(of_connection(literal), unknown, "{literal}");
                seen += 1;
            }
        }
        assert!(seen > 25, "{seen}");
        for reason in ["monitor", "topic", "topic_name", "response_topic", "status", "qos", "payload", "rate"] {
            assert_ne!(of_publish(reason), of_publish(""), "{reason}");
        }
    }
}

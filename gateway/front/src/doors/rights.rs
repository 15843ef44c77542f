//! Whether a client is who it says, and what it may leave as its last will.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Channel, DoorId, DoorStatus};

use super::context::FrontContext;
use super::packet::{Connect, Will};
use super::reason::{Reason, Refusal};
use super::session::LastWill;
use base::identity::{Identity, Role};

/// What the client ids of monitors start with where there is no certificate to tell them from doors.
const MONITOR_PREFIX: &str = "monitor-";

/// The same of helpers' devices.
const HELPER_PREFIX: &str = "helper-";

/// The identity of a client without a certificate, as its client id says.
pub(super) fn believed(client_id: &str) -> Result<Identity, Refusal> {
    let name = client_id.parse().map_err(|_| (Reason::CLIENT_ID_INVALID, "client_id"))?;
    let role = if client_id.starts_with(MONITOR_PREFIX) {
        Role::Monitor(name)
    } else if client_id.starts_with(HELPER_PREFIX) {
        Role::Helper(name)
    } else {
        Role::Door(name)
    };
    Ok(Identity { role, serial: Vec::new(), not_after: protocol::Instant::from_unix_ms(i64::MAX) })
}

/// Whether a client may connect under the name that it gives.
pub(super) fn check_rights(context: &Arc<FrontContext>, identity: &Identity, connect: &Connect) -> Result<(), Refusal> {
    let client_id = identity.role.client_id().ok_or((Reason::NOT_AUTHORIZED, "role"))?;
    if let Role::Door(door) = &identity.role
        && (context.door_settings)(door).is_none()
    {
        return Err((Reason::NOT_AUTHORIZED, "unknown_door"));
    }
    let assigned = connect.client_id.is_empty() && connect.clean;
    if connect.client_id != client_id && !assigned {
        return Err((Reason::CLIENT_ID_INVALID, "client_id"));
    }
    Ok(())
}

/// A will is a door's status, or refused.
pub(super) fn last_will(context: &Arc<FrontContext>, door: &DoorId, will: Will) -> Result<Box<LastWill>, Refusal> {
    let topic = protocol::topic::door_prefix(&context.site, door) + Channel::Status.as_str();
    if will.topic != topic {
        return Err((Reason::NOT_AUTHORIZED, "will"));
    }
    let status = DoorStatus::from_json(&will.payload).map_err(|_| (Reason::PAYLOAD_INVALID, "will"))?;
    // Copies, so that the whole CONNECT does not live as long as they do.
    let (topic, payload) = (Bytes::new(), Bytes::copy_from_slice(&will.payload));
    Ok(Box::new(LastWill { status, will: Will { topic, payload, ..will } }))
}

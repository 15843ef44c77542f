//! Which doors and zones there are, for requests that name one.

use protocol::api::SiteStatus;

use crate::problem::Refusal;

/// Every door's name.
pub(super) fn names(status: &SiteStatus) -> Vec<String> {
    status.doors.iter().map(|row| row.door.clone()).collect()
}

/// Checks that there are this door and this zone, where they are named.
///
/// # Errors
/// When there is no such door or zone.
pub(super) fn must_be_known(status: &SiteStatus, door: Option<&str>, zone: Option<&str>) -> Result<(), Refusal> {
    if let Some(door) = door
        && !status.doors.iter().any(|row| row.door == door)
    {
        return Err(Refusal::unknown_door(door, names(status)));
    }
    if let Some(zone) = zone
        && !status.zones.iter().any(|row| row.zone == zone)
    {
        return Err(Refusal::unknown_zone(zone, status.zones.iter().map(|row| row.zone.clone())));
    }
    Ok(())
}

//! A question in Cedar's terms.

use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Value,
};
use protocol::Direction;

use super::Question;

/// Names that every request needs, parsed once.
pub(super) struct Names {
    person: EntityUid,
    enter: EntityUid,
    exit: EntityUid,
    door: EntityTypeName,
    zone: EntityTypeName,
}

impl Names {
    pub(super) fn new() -> Result<Self, String> {
        let uid = |text: &str| EntityUid::from_str(text).map_err(|error| error.to_string());
        let name = |text: &str| EntityTypeName::from_str(text).map_err(|error| error.to_string());
        Ok(Self {
            person: uid("Gapura::Person::\"shown\"")?,
            enter: uid("Gapura::Action::\"enter\"")?,
            exit: uid("Gapura::Action::\"exit\"")?,
            door: name("Gapura::Door")?,
            zone: name("Gapura::Zone")?,
        })
    }

    /// The principal has no name of its own: policies judge what a person is, not who.
    pub(super) fn request(&self, question: &Question<'_>) -> Result<(Request, Entities), Box<dyn std::error::Error>> {
        let text = |value: &str| Value::new_string(value.to_owned());
        let uid = |kind: &EntityTypeName, name| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name));
        let (door, zone) = (uid(&self.door, question.door), uid(&self.zone, question.zone));
        let person = [
            ("class".to_owned(), text(question.class)),
            ("opd".to_owned(), text(question.opd)),
            ("known".to_owned(), Value::new_bool(question.known)),
        ];
        let entities = [
            Entity::new(self.person.clone(), person.into(), [].into())?,
            Entity::new(door.clone(), [].into(), [zone.clone()].into())?,
            Entity::new(zone, [].into(), [].into())?,
        ];
        let context = Context::from_pairs([
            ("status".to_owned(), text(question.status)),
            ("status_expired".to_owned(), Value::new_bool(question.status_expired)),
            ("weekday".to_owned(), Value::new_long(question.weekday)),
            ("minute_of_day".to_owned(), Value::new_long(question.minute_of_day)),
        ])?;
        let action = match question.direction {
            Direction::In => &self.enter,
            Direction::Out => &self.exit,
        };
        let request = Request::new(self.person.clone(), action.clone(), door, context, None)?;
        Ok((request, Entities::from_entities(entities, None)?))
    }
}

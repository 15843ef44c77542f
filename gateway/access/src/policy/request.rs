//! A question in Cedar's terms.

use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Value,
};
use protocol::Direction;

use super::question::Question;

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
        let door = self.uid(&self.door, question.door);
        let person = [
            ("class", text(question.class)),
            ("opd", text(question.opd)),
            ("groups", Value::new_set(question.groups.iter().map(|group| text(group)))),
            ("known", Value::new_bool(question.known)),
            ("validity", text(question.validity)),
            ("has_host", Value::new_bool(question.has_host)),
        ];
        let mut entities = vec![
            Entity::new(self.person.clone(), named(person).collect(), [].into())?,
            Entity::new(door.clone(), [].into(), [self.uid(&self.zone, question.zone)].into())?,
        ];
        let mut around = question.around.iter();
        let mut zone = question.zone;
        let mut opd = question.zone_opd;
        loop {
            let parent = around.next();
            let parents = parent.map(|parent| self.uid(&self.zone, parent)).into_iter().collect();
            let attributes = named([("opd", text(opd))]).collect();
            entities.push(Entity::new(self.uid(&self.zone, zone), attributes, parents)?);
            let Some(parent) = parent else { break };
            (zone, opd) = (parent, "");
        }
        let request =
            Request::new(self.person.clone(), self.action(question.direction), door, context(question)?, None)?;
        Ok((request, Entities::from_entities(entities, None)?))
    }

    fn action(&self, direction: Direction) -> EntityUid {
        match direction {
            Direction::In => self.enter.clone(),
            Direction::Out => self.exit.clone(),
        }
    }

    fn uid(&self, kind: &EntityTypeName, name: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(name))
    }
}

fn context(question: &Question<'_>) -> Result<Context, Box<dyn std::error::Error>> {
    let text = |value: &str| Value::new_string(value.to_owned());
    let (flag, number) = (Value::new_bool, Value::new_long);
    let always = [
        ("credential", text(question.credential)),
        ("pass_fault", text(question.pass_fault)),
        ("status", text(question.status)),
        ("status_expired", flag(question.status_expired)),
        ("weekday", number(question.weekday)),
        ("minute_of_day", number(question.minute_of_day)),
        ("holiday", flag(question.holiday)),
        ("occupancy", number(question.occupancy)),
        ("zone_full", flag(question.zone_full)),
        ("passback", flag(question.passback)),
        ("directory_age_hours", number(question.directory_age_hours)),
        ("directory_expired", flag(question.directory_expired)),
    ];
    let sometimes = [("status_age_hours", question.status_age_hours), ("capacity", question.capacity)];
    let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name, number(value?))));
    Ok(Context::from_pairs(named(always.into_iter().chain(sometimes)))?)
}

fn named<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> impl Iterator<Item = (String, Value)> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value))
}

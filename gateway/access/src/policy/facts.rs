//! A question in words: each fact by the name that policies know it by.

use protocol::Direction;

use super::Question;

impl Question<'_> {
    /// Every fact that the policies are told, by its name in the schema and in `tests.toml`.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let Question { class, opd, groups, known, validity, has_host, credential, pass_fault, status, .. } = *self;
        let Question { status_expired, status_age_hours, door, zone, around, zone_opd, direction, .. } = *self;
        let Question { weekday, minute_of_day, holiday, occupancy, capacity, zone_full, passback, .. } = *self;
        let listed = |list: Vec<&str>| list.join(", ");
        let where_known = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
        vec![
            ("class", class.into()),
            ("opd", opd.into()),
            ("groups", listed(groups.iter().map(AsRef::as_ref).collect())),
            ("known", known.to_string()),
            ("validity", validity.into()),
            ("has_host", has_host.to_string()),
            ("credential", credential.into()),
            ("pass_fault", pass_fault.into()),
            ("status", status.into()),
            ("status_expired", status_expired.to_string()),
            ("status_age_hours", where_known(status_age_hours)),
            ("door", door.into()),
            ("zone", zone.into()),
            ("around", listed(around.iter().map(String::as_str).collect())),
            ("zone_opd", zone_opd.into()),
            ("direction", if direction == Direction::In { "in" } else { "out" }.into()),
            ("weekday", weekday.to_string()),
            ("minute_of_day", minute_of_day.to_string()),
            ("holiday", holiday.to_string()),
            ("occupancy", occupancy.to_string()),
            ("capacity", where_known(capacity)),
            ("zone_full", zone_full.to_string()),
            ("passback", passback.to_string()),
            ("directory_age_hours", self.directory_age_hours.to_string()),
            ("directory_expired", self.directory_expired.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::QUESTION;
    use crate::DEFAULT_POLICY;

    #[test]
    fn every_fact_of_the_schema_is_told() {
        let [(_, schema), ..] = DEFAULT_POLICY else { panic!() };
        let names: Vec<_> = QUESTION.facts().into_iter().map(|(name, _)| name).collect();
        let facts = schema.lines().map(str::trim).filter(|line| !line.starts_with("//") && line.ends_with(','));
        let mut told = 0;
        let facts = facts.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.trim_end_matches('?'));
        for name in facts.filter(|name| !["principal", "resource"].contains(name)) {
            assert!(names.contains(&name), "{name}");
            told += 1;
        }
        assert!(told >= 20, "{told}");
    }
}

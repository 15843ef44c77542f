//! Which of several names a mistyped one was probably meant to be.

/// How alike two names are that one is taken for the other, of 1.
const ALIKE_MIN: f64 = 0.8;

/// The name that is most like `typed`, in capitals or not, where one is.
pub fn nearest<'n>(typed: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let typed = typed.trim().to_lowercase();
    let alike = names.into_iter().map(|name| (strsim::jaro_winkler(&typed, &name.to_lowercase()), name));
    alike
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// Whether `typed` is `name`, but for a slip of the finger or two.
pub fn is_slip_of(typed: &str, name: &str) -> bool {
    strsim::normalized_damerau_levenshtein(typed, name) >= ALIKE_MIN
}

/// The same as a question at the end of a message; empty where none is like it.
pub fn did_you_mean<'n>(typed: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(typed, names).map(|name| format!(", did you mean {name}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_has_a_nearest_and_another_word_has_none() {
        let names = ["person", "class", "status", "status_until"];
        for (typed, near) in [
            ("Person", Some("person")),
            ("CLAS", Some("class")),
            ("status until", Some("status_until")),
            ("Wayan Contoh", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), near, "{typed}");
        }
        assert!(
            is_slip_of("tokens", "token") && is_slip_of("mqtt_lisetn", "mqtt_listen") && !is_slip_of("home", "name")
        );
        assert_eq!(did_you_mean("CLAS", names), ", did you mean class?");
        assert_eq!(did_you_mean("Wayan Contoh", names), "");
    }
}

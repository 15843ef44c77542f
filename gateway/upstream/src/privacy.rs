//! What of people does not leave the site: pseudonyms in place of ids, and nothing of whoever's data may not be used.

use std::fmt;
use std::sync::Arc;

use protocol::{AssistRecord, CredentialHash, Event, EventKind};
use serde_json::{Map, Value};

/// A stable name for a subject that tells nothing of it. A subject is a person's id, `~` and the hash of a credential that
/// belongs to nobody, or `helper:` and a helper's name. May block. An error is for the moment: what was to be sent waits.
pub type Pseudonym = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// Whether the use of a subject's data is restricted. May block. An error is for the moment: what was to be sent waits.
pub type Restricted = Arc<dyn Fn(&str) -> Result<bool, String> + Send + Sync>;

/// Stands where a credential was.
const NO_CREDENTIAL: CredentialHash = CredentialHash([0; 16]);

/// What of people does not leave the site.
#[derive(Clone)]
pub struct Privacy {
    /// Gives pseudonyms; absent: ids are sent as they are.
    pub pseudonym: Option<Pseudonym>,
    /// Tells whose data may not be used.
    pub restricted: Restricted,
}

/// What becomes of what an event tells of somebody.
enum Fate {
    Sent,
    LeftOut,
    Replaced(String),
}

impl Default for Privacy {
    /// Everything is sent as it is.
    fn default() -> Self {
        Self { pseudonym: None, restricted: Arc::new(|_| Ok(false)) }
    }
}

impl Privacy {
    /// Takes out of `event` what does not leave the site.
    pub(super) fn event(&self, event: &mut Event) -> Result<(), String> {
        // What is encrypted still has nothing in its place that could be replaced.
        let encrypted = event.encrypted.as_ref();
        let (person, helper) = (
            encrypted.is_none_or(|encrypted| encrypted.person.is_none()),
            encrypted.is_none_or(|encrypted| encrypted.helper.is_none()),
        );
        if let Some(whose) = whose(event).filter(|_| person) {
            match self.fate(&whose)? {
                Fate::Sent => {}
                Fate::LeftOut => leave_out(event),
                Fate::Replaced(pseudonym) => replace(event, &pseudonym),
            }
        }
        let EventKind::Assist(word) = &mut event.subject else { return Ok(()) };
        // The helper may have named somebody else than was found.
        if let Some(named) = &word.person {
            match self.fate(named)? {
                Fate::Sent => {}
                Fate::LeftOut => word.person = None,
                Fate::Replaced(pseudonym) => word.person = Some(pseudonym),
            }
        }
        if helper {
            match self.fate(&format!("helper:{}", word.helper))? {
                Fate::Sent => {}
                Fate::LeftOut => word.helper.clear(),
                Fate::Replaced(pseudonym) => word.helper = pseudonym,
            }
        }
        if self.pseudonym.is_some() {
            word.reason.clear();
        }
        Ok(())
    }

    /// A person's working day as it may be sent, if it may; its `person` is the person's id.
    pub(super) fn row(&self, mut row: Map<String, Value>) -> Result<Option<Map<String, Value>>, String> {
        let person = row.get("person").and_then(Value::as_str).ok_or("a row of attendance names no person")?;
        match self.fate(person)? {
            Fate::Sent => {}
            Fate::LeftOut => return Ok(None),
            Fate::Replaced(pseudonym) => {
                row.insert("person".into(), pseudonym.into());
                row.remove("name");
            }
        }
        Ok(Some(row))
    }

    fn fate(&self, subject: &str) -> Result<Fate, String> {
        if (self.restricted)(subject)? {
            return Ok(Fate::LeftOut);
        }
        self.pseudonym.as_ref().map_or(Ok(Fate::Sent), |pseudonym| pseudonym(subject).map(Fate::Replaced))
    }
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy").field("pseudonymises", &self.pseudonym.is_some()).finish_non_exhaustive()
    }
}

/// The subject that the event is about: the person, or who carries the credential.
fn whose(event: &Event) -> Option<String> {
    let (named, credential) = match &event.subject {
        EventKind::Scan(scan) => (None, Some(scan.credential)),
        EventKind::Assist(AssistRecord { person, credential, .. }) => (person.clone(), *credential),
        EventKind::Malformed(_) => (None, None),
    };
    let carrier = credential.map(|credential| format!("~{credential}"));
    event.verdict.person.clone().or(named).or(carrier)
}

fn leave_out(event: &mut Event) {
    let verdict = &mut event.verdict;
    (verdict.person, verdict.class, verdict.status, verdict.language) = (None, None, None, None);
    match &mut event.subject {
        EventKind::Scan(scan) => (scan.credential, scan.pass) = (NO_CREDENTIAL, None),
        EventKind::Assist(word) => {
            (word.person, word.credential, word.pass) = (None, None, None);
            word.reason.clear();
        }
        EventKind::Malformed(_) => {}
    }
}

fn replace(event: &mut Event, pseudonym: &str) {
    if let Some(person) = &mut event.verdict.person {
        pseudonym.clone_into(person);
    }
    let (credential, pass) = match &mut event.subject {
        EventKind::Scan(scan) => (Some(&mut scan.credential), &mut scan.pass),
        EventKind::Assist(word) => (word.credential.as_mut(), &mut word.pass),
        EventKind::Malformed(_) => return,
    };
    if let Some(credential) = credential {
        *credential = derived(pseudonym, "credential", *credential);
    }
    if let Some(pass) = pass {
        pass.id = derived(pseudonym, "pass", pass.id);
    }
}

/// A name for one of the credentials of whoever has the pseudonym. Nobody can make it who does not know the credential's keyed
/// hash, and who has lost the pseudonym's secret cannot make it either; so no credential needs a secret of its own.
fn derived(pseudonym: &str, what: &str, hash: CredentialHash) -> CredentialHash {
    let mut hasher = blake3::Hasher::new_derive_key("gapura upstream credential");
    for part in [pseudonym.as_bytes(), what.as_bytes(), &hash.0] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut short = [0; 16];
    hasher.finalize_xof().fill(&mut short);
    CredentialHash(short)
}

#[cfg(test)]
mod tests {
    use protocol::{
        AnsweredScan, AssistAction, Direction, Encrypted, HealthStatus, Language, PassRecord, PersonClass, ScanId,
        SealedPart, Via,
    };

    use super::*;
    use base::testing::event;

    fn pseudonyms() -> Privacy {
        let pseudonym: Pseudonym = Arc::new(|subject| Ok(format!("p-{}", blake3::hash(subject.as_bytes()))));
        Privacy { pseudonym: Some(pseudonym), ..Privacy::default() }
    }

    fn restricting(subject: &'static str) -> Privacy {
        Privacy { restricted: Arc::new(move |asked| Ok(asked == subject)), ..Privacy::default() }
    }

    fn scan(person: Option<&str>) -> Event {
        let mut event = event(7);
        event.verdict.person = person.map(Into::into);
        event.verdict.class = Some(PersonClass::Asn);
        event.verdict.status = Some(HealthStatus::Green);
        event.verdict.language = Some(Language::Id);
        if let EventKind::Scan(scan) = &mut event.subject {
            scan.pass = Some(PassRecord { id: CredentialHash([8; 16]), one_time_until: None });
        }
        event
    }

    fn word() -> Event {
        let record = AssistRecord {
            action: AssistAction::Admit,
            helper: "Contoh Satgas".into(),
            reason: "sakit kepala".into(),
            person: Some("P-0002".into()),
            answers: Some(AnsweredScan { id: ScanId { epoch: 3, seq: 4 }, event: Some(6) }),
            direction: Direction::In,
            device: "lobby".parse().unwrap(),
            via: Via::Mqtt,
            id: None,
            credential: Some(CredentialHash([7; 16])),
            pass: Some(PassRecord { id: CredentialHash([8; 16]), one_time_until: None }),
        };
        let mut event = scan(Some("P-0002"));
        event.subject = EventKind::Assist(record);
        event
    }

    fn sent(privacy: &Privacy, mut event: Event) -> String {
        privacy.event(&mut event).unwrap();
        serde_json::to_string(&event).unwrap()
    }

    /// What tells who somebody is in the events above.
    const TELLING: [&str; 6] =
        ["P-0001", "P-0002", "0707070707070707", "0808080808080808", "Contoh Satgas", "sakit kepala"];

    #[test]
    fn pseudonyms_take_the_place_of_everything_that_tells_who_it_was() {
        for event in [scan(Some("P-0001")), scan(None), word()] {
            let json = sent(&pseudonyms(), event);
            for telling in TELLING {
                assert!(!json.contains(telling), "{telling} in {json}");
            }
            assert!(json.contains("staff-working-hours") && json.contains("green"));
        }
        let helper = format!("p-{}", blake3::hash(b"helper:Contoh Satgas"));
        assert!(sent(&pseudonyms(), word()).contains(&helper));
    }

    #[test]
    fn the_same_person_and_credential_have_the_same_pseudonyms_and_others_have_others() {
        let json = |event| sent(&pseudonyms(), event);
        assert_eq!(json(scan(Some("P-0001"))), json(scan(Some("P-0001"))));
        let credential = |event| {
            let json: Value = serde_json::from_str(&json(event)).unwrap();
            json["subject"]["scan"]["credential"].as_str().unwrap().to_owned()
        };
        let mut second = scan(Some("P-0001"));
        if let EventKind::Scan(scan) = &mut second.subject {
            scan.credential = CredentialHash([9; 16]);
        }
        let all = [scan(Some("P-0001")), second, scan(Some("P-0002")), scan(None)].map(credential);
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn nothing_is_sent_of_somebody_whose_data_may_not_be_used() {
        for (event, subject) in
            [(scan(Some("P-0001")), "P-0001"), (scan(None), "~07070707070707070707070707070707"), (word(), "P-0002")]
        {
            let json = sent(&restricting(subject), event);
            for telling in ["P-0001", "P-0002", "0707070707070707", "0808080808080808", "sakit kepala", "asn", "green"]
            {
                assert!(!json.contains(telling), "{telling} in {json}");
            }
        }
        assert!(sent(&restricting("P-0002"), word()).contains("Contoh Satgas"));
        assert!(!sent(&restricting("helper:Contoh Satgas"), word()).contains("Contoh Satgas"));
        let mut other = word();
        other.verdict.person = Some("P-0001".into());
        let json = sent(&restricting("P-0002"), other);
        assert!(json.contains("P-0001") && !json.contains("P-0002"));
        assert_eq!(sent(&restricting("P-0009"), scan(Some("P-0001"))), sent(&Privacy::default(), scan(Some("P-0001"))));
    }

    #[test]
    fn what_is_erased_stays_as_it_is_and_says_so() {
        let mut erased = scan(None);
        erased.encrypted = Some(Encrypted { person: Some(SealedPart { of: 4, bytes: vec![1] }), helper: None });
        let json = sent(&pseudonyms(), erased.clone());
        assert_eq!(json, serde_json::to_string(&erased).unwrap());
        assert!(json.contains("\"erased\":true"));
    }

    #[test]
    fn without_a_pseudonym_nothing_is_sent() {
        let privacy = Privacy { pseudonym: Some(Arc::new(|_| Err("busy".into()))), ..Privacy::default() };
        assert_eq!(privacy.event(&mut scan(Some("P-0001"))), Err("busy".into()));
        let privacy = Privacy { restricted: Arc::new(|_| Err("busy".into())), ..Privacy::default() };
        assert_eq!(privacy.event(&mut scan(Some("P-0001"))), Err("busy".into()));
    }

    #[test]
    fn a_row_of_attendance_has_a_pseudonym_and_no_name() {
        let row = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let day = row(r#"{"person":"P-0001","name":"Contoh Satu","worked_minutes":480}"#);
        let sent = pseudonyms().row(day.clone()).unwrap().unwrap();
        assert!(sent["person"].as_str().unwrap().starts_with("p-") && !sent.contains_key("name"));
        assert_eq!(sent["worked_minutes"], 480);
        assert_eq!(Privacy::default().row(day.clone()), Ok(Some(day.clone())));
        assert_eq!(restricting("P-0001").row(day), Ok(None));
        assert!(Privacy::default().row(row("{}")).is_err());
    }
}

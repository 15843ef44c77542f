//! The policy set: Cedar policies with a schema, checked when they are loaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, Entity, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use protocol::{Direction, Outcome, Text};

use super::{AccessError, line_of};

const SCHEMA_FILE: &str = "schema.cedarschema";

/// A policy set that is in force, or could be.
pub struct Policy {
    policies: PolicySet,
    about: BTreeMap<PolicyId, About>,
    set_hash: String,
    names: Names,
}

/// What a policy set is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question<'a> {
    /// `asn`, `non-asn`, `visitor` or `unknown`.
    pub class: &'a str,
    /// The person's office; may be empty.
    pub opd: &'a str,
    /// Whether the directory knows the credential.
    pub known: bool,
    /// A colour, or `unknown`.
    pub status: &'a str,
    /// Whether a status was known and its end is past.
    pub status_expired: bool,
    /// The door.
    pub door: &'a str,
    /// Its zone.
    pub zone: &'a str,
    /// Which way.
    pub direction: Direction,
    /// Monday is 1.
    pub weekday: i64,
    /// Minutes since midnight.
    pub minute_of_day: i64,
}

/// What a policy set answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `granted`, `denied` or `assist`.
    pub outcome: Outcome,
    /// Why, as a stable word.
    pub reason: String,
    /// Why, for the door's display.
    pub text: Text,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
}

/// What a policy's annotations say.
#[derive(Clone, Debug)]
struct About {
    id: String,
    reason: String,
    text: Text,
    assist: bool,
}

/// Names that every request needs, parsed once.
struct Names {
    person: EntityUid,
    enter: EntityUid,
    exit: EntityUid,
    door: EntityTypeName,
    zone: EntityTypeName,
}

impl Policy {
    /// Reads the schema and every `*.cedar` file of `folder`.
    ///
    /// # Errors
    /// Names the file and the line of what does not parse or does not fit the schema.
    pub fn read(folder: &Path) -> Result<Self, AccessError> {
        let mut files = BTreeMap::new();
        let unreadable =
            |path: &Path, error: std::io::Error| AccessError::new(path, format!("cannot be read ({error})"));
        for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
            let path = entry.map_err(|error| unreadable(folder, error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name == SCHEMA_FILE || name.ends_with(".cedar") {
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
                files.insert(name, text);
            }
        }
        Self::from_files(folder, &files)
    }

    /// The policy set's hash, `b3:` and 32 hexadecimal digits of BLAKE3 over names and contents of its files.
    pub fn set_hash(&self) -> &str {
        &self.set_hash
    }

    /// Number of policies.
    pub fn len(&self) -> usize {
        self.about.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.about.is_empty()
    }

    /// Asks the policy set. A policy that fails denies: Cedar would skip it, and it may be the one that forbids.
    pub fn judge(&self, question: &Question<'_>) -> Judgement {
        let Ok((request, entities)) = self.names.request(question) else {
            return Judgement::policy_error();
        };
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        if response.diagnostics().errors().next().is_some() {
            return Judgement::policy_error();
        }
        let mut reasons: Vec<&About> =
            response.diagnostics().reason().filter_map(|policy| self.about.get(policy)).collect();
        reasons.sort_by(|left, right| left.id.cmp(&right.id));
        let allowed = response.decision() == Decision::Allow;
        // A helper may overrule nothing that a plain forbid says: that one is named first.
        let speaks = reasons.iter().find(|about| !about.assist).or(reasons.first());
        let Some(speaks) = speaks else {
            return Judgement::own("no-policy", Text::new("Akses tidak diizinkan", "Access is not permitted"));
        };
        let outcome = match (allowed, speaks.assist) {
            (true, _) => Outcome::Granted,
            (false, true) => Outcome::Assist,
            (false, false) => Outcome::Denied,
        };
        Judgement {
            outcome,
            reason: speaks.reason.clone(),
            text: speaks.text.clone(),
            policies: reasons.iter().map(|about| about.id.clone()).collect(),
        }
    }

    pub(super) fn from_files(folder: &Path, files: &BTreeMap<String, String>) -> Result<Self, AccessError> {
        let schema_path = folder.join(SCHEMA_FILE);
        let schema_text = files
            .get(SCHEMA_FILE)
            .ok_or_else(|| AccessError::new(&schema_path, "is missing; restore it from the default policy"))?;
        let (schema, _) = Schema::from_cedarschema_str(schema_text)
            .map_err(|error| AccessError::new(&schema_path, format!("does not parse: {error}")))?;
        let mut policies = PolicySet::new();
        let mut about = BTreeMap::new();
        let mut hasher = blake3::Hasher::new();
        for (name, text) in files {
            // Lengths keep names and contents apart.
            for part in [name, text] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
            if name == SCHEMA_FILE {
                continue;
            }
            let path = folder.join(name);
            let parsed = PolicySet::from_str(text).map_err(|error| {
                let line = first_label(&error).map_or(1, |offset| line_of(text, offset));
                AccessError::at_line(&path, line, format!("does not parse: {error}"))
            })?;
            for policy in parsed.policies() {
                let found = About::of(policy).map_err(|reason| AccessError::new(&path, reason))?;
                let id = PolicyId::new(&found.id);
                if about.contains_key(&id) {
                    return Err(AccessError::new(
                        &path,
                        format!("@id(\"{}\") is there twice; ids must differ", found.id),
                    ));
                }
                about.insert(id.clone(), found);
                policies.add(policy.new_id(id)).map_err(|error| AccessError::new(&path, error.to_string()))?;
            }
        }
        let validation = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        if let Some(error) = validation.validation_errors().next() {
            return Err(AccessError::new(folder, format!("a policy does not fit {SCHEMA_FILE}: {error}")));
        }
        let set_hash: String = hasher.finalize().to_hex().chars().take(32).collect();
        let names = Names::new().map_err(|reason| AccessError::new(folder, reason))?;
        Ok(Self { policies, about, set_hash: format!("b3:{set_hash}"), names })
    }
}

impl Judgement {
    fn policy_error() -> Self {
        Self::own("policy-error", Text::new("Kesalahan sistem, hubungi petugas", "System error, please see a helper"))
    }

    /// A refusal that no policy has spoken.
    fn own(reason: &str, text: Text) -> Self {
        Self { outcome: Outcome::Denied, reason: reason.into(), text, policies: Vec::new() }
    }
}

impl About {
    fn of(policy: &cedar_policy::Policy) -> Result<Self, String> {
        let annotation = |name: &str| policy.annotation(name).filter(|text| !text.is_empty());
        let id = annotation("id").ok_or("a policy has no @id(\"…\"); every decision names the policy by it")?;
        let assist = match (annotation("outcome"), policy.effect()) {
            (None, _) => false,
            (Some("assist"), Effect::Forbid) => true,
            (Some(other), _) => {
                return Err(format!("@outcome(\"{other}\") of {id} is unknown; allowed is \"assist\", on a forbid"));
            }
        };
        let text = Text::new(annotation("text_id").unwrap_or_default(), annotation("text_en").unwrap_or_default());
        Ok(Self { id: id.into(), reason: annotation("reason").unwrap_or(id).into(), text, assist })
    }
}

impl Names {
    fn new() -> Result<Self, String> {
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
    fn request(&self, question: &Question<'_>) -> Result<(Request, Entities), Box<dyn std::error::Error>> {
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let uid = |kind: &EntityTypeName, name: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), cedar_policy::EntityId::new(name))
        };
        let (door, zone) = (uid(&self.door, question.door), uid(&self.zone, question.zone));
        let person = Entity::new(
            self.person.clone(),
            [
                ("class".to_owned(), text(question.class)),
                ("opd".to_owned(), text(question.opd)),
                ("known".to_owned(), RestrictedExpression::new_bool(question.known)),
            ]
            .into(),
            [].into(),
        )?;
        let door_entity = Entity::new(door.clone(), [].into(), [zone.clone()].into())?;
        let zone_entity = Entity::new(zone, [].into(), [].into())?;
        let entities = Entities::from_entities([person, door_entity, zone_entity], None)?;
        let context = Context::from_pairs([
            ("status".to_owned(), text(question.status)),
            ("status_expired".to_owned(), RestrictedExpression::new_bool(question.status_expired)),
            ("weekday".to_owned(), RestrictedExpression::new_long(question.weekday)),
            ("minute_of_day".to_owned(), RestrictedExpression::new_long(question.minute_of_day)),
        ])?;
        let action = match question.direction {
            Direction::In => &self.enter,
            Direction::Out => &self.exit,
        };
        let request = Request::new(self.person.clone(), action.clone(), door, context, None)?;
        Ok((request, entities))
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("set_hash", &self.set_hash).field("policies", &self.about.len()).finish()
    }
}

/// Where in the text a parse error points to.
fn first_label(error: &cedar_policy::ParseErrors) -> Option<usize> {
    use miette::Diagnostic as _;
    error.labels()?.next().map(|label| label.offset())
}

//! The policy set: Cedar policies with a schema, checked when they are loaded.

mod cases;
mod facts;
mod load;
mod memo;
mod messages;
mod question;
mod reads;
mod request;
mod texts;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cedar_policy::{Authorizer, Decision, PolicyId, PolicySet};
use protocol::{Outcome, Text};

pub use self::cases::{CASES_FILE, Cases};
pub use self::question::{Judgement, Question};

use self::memo::Memo;
use self::reads::Reads;
use self::request::Names;
use self::texts::Texts;
use protocol::api::{PolicyRow, PolicySetRow};

/// A policy set that is in force, or could be.
pub struct Policy {
    policies: PolicySet,
    about: BTreeMap<PolicyId, About>,
    set_hash: String,
    names: Names,
    reads: Reads,
    texts: Texts,
    /// At a busy door the same kind of person comes many times within a minute.
    memo: Mutex<Memo>,
}

/// What a policy's annotations say.
#[derive(Clone, Debug)]
struct About {
    id: String,
    reason: String,
    /// The text that its annotations give, perhaps none.
    text: Text,
    assist: bool,
    /// Its file and line.
    place: String,
}

impl Policy {
    /// The policy set's hash, `b3:` and 32 hexadecimal digits of BLAKE3 over names and contents of its policies and schema.
    /// Who may pass depends on nothing else; texts may change without it.
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

    /// What IT sees of it.
    pub fn status(&self) -> PolicySetRow {
        let policies = self.reasons().map(|(id, reason, place)| PolicyRow {
            id: id.to_owned(),
            reason: reason.to_owned(),
            place: place.to_owned(),
        });
        PolicySetRow {
            policy_set: self.set_hash.clone(),
            texts: u64::try_from(self.texts.len()).unwrap_or(u64::MAX),
            policies: policies.collect(),
        }
    }

    /// Asks the policy set. The same question gets the same answer for as long as the set lives.
    pub fn judge(&self, question: &Question<'_>) -> Judgement {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        memo.answer(question, self.reads, || self.evaluate(question))
    }

    /// A policy that fails denies: Cedar would skip it, and it may be the one that forbids.
    fn evaluate(&self, question: &Question<'_>) -> Judgement {
        let Ok((request, entities)) = self.names.request(question) else {
            return self.refusal("policy-error", question);
        };
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        if response.diagnostics().errors().next().is_some() {
            return self.refusal("policy-error", question);
        }
        let mut reasons: Vec<&About> =
            response.diagnostics().reason().filter_map(|policy| self.about.get(policy)).collect();
        reasons.sort_by(|left, right| left.id.cmp(&right.id));
        let allowed = response.decision() == Decision::Allow;
        // A helper may overrule nothing that a plain forbid says: that one is named first.
        let speaks = reasons.iter().find(|about| !about.assist).or(reasons.first());
        let outcome = match (allowed, speaks) {
            (true, _) => Outcome::Granted,
            (false, Some(about)) if about.assist => Outcome::Assist,
            (false, _) => Outcome::Denied,
        };
        let policies = reasons.iter().map(|about| about.id.clone()).collect();
        // Whoever shows a pass that does not count is told what is wrong with it.
        let fault = Some(question.pass_fault).filter(|fault| !fault.is_empty() && !allowed);
        match (fault, speaks) {
            (Some(fault), _) => Judgement { outcome, policies, ..self.refusal(fault, question) },
            (None, None) => self.refusal("no-policy", question),
            (None, Some(about)) => {
                let text = self.text(about, outcome, question);
                Judgement { outcome, reason: about.reason.clone(), text, policies }
            }
        }
    }

    /// What the door's display says: the folder's text, the policy's annotations, the built-in text, or what fits the
    /// outcome.
    fn text(&self, about: &About, outcome: Outcome, question: &Question<'_>) -> Text {
        let Self { texts, .. } = self;
        let of_reason = || texts.of_reason(&about.reason, question);
        let told = || of_reason().unwrap_or_else(|| texts.of_outcome(outcome, question));
        let annotated = &about.text;
        match (annotated.id.is_empty(), annotated.en.is_empty()) {
            (true, true) => told(),
            _ if texts.is_of_site(&about.reason) => told(),
            (false, false) => annotated.clone(),
            (true, false) => Text { id: told().id, en: annotated.en.clone() },
            (false, true) => Text { id: annotated.id.clone(), en: told().en },
        }
    }

    /// A refusal whose reason no policy has given.
    fn refusal(&self, reason: &str, question: &Question<'_>) -> Judgement {
        let outcome = Outcome::Denied;
        let text = self.texts.of_reason(reason, question).unwrap_or_else(|| self.texts.of_outcome(outcome, question));
        Judgement { outcome, reason: reason.into(), text, policies: Vec::new() }
    }

    /// What door displays say.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Every policy, by id: its id, the reason that it gives, and its file and line.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.about.values().map(|about| (about.id.as_str(), about.reason.as_str(), about.place.as_str()))
    }

    /// Number of reasons that have a text, the built-in ones among them.
    pub fn texts_len(&self) -> usize {
        self.texts.len()
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("set_hash", &self.set_hash).field("policies", &self.about.len()).finish()
    }
}

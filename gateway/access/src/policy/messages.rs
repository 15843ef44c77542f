//! The messages of one file of texts, and what may stand in them: words, variables and choices between variants.

use std::collections::BTreeMap;

use fluent_bundle::FluentResource;
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};

use base::file_error::line_of;

/// What a message may name.
const VARIABLES: [&str; 5] = ["door", "zone", "status", "opd", "hour"];

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The line on which it begins.
    pub(super) line: usize,
    /// The variables that it uses.
    pub(super) variables: Vec<String>,
}

/// A line, and what is wrong there.
type Fault = (usize, String);

/// Every message of a file by its id.
pub(super) fn messages(resource: &FluentResource) -> Result<BTreeMap<String, Message>, Fault> {
    let source = resource.source();
    let mut messages = BTreeMap::new();
    for entry in resource.entries() {
        let message = match entry {
            Entry::Message(message) => message,
            Entry::Term(term) => {
                let line = line(source, term.id.name);
                return Err((line, format!("-{} is a term; write its words where they are used", term.id.name)));
            }
            _ => continue,
        };
        let (id, at) = (message.id.name, line(source, message.id.name));
        if let Some(attribute) = message.attributes.first() {
            return Err((at, format!("{id} has an attribute .{}; a message is one text", attribute.id.name)));
        }
        let Some(pattern) = &message.value else { return Err((at, format!("{id} says nothing"))) };
        let mut reading = Reading { source, at, variables: Vec::new() };
        reading.pattern(pattern)?;
        let variables = reading.variables;
        if messages.insert(id.to_owned(), Message { line: at, variables }).is_some() {
            return Err((at, format!("{id} is there twice; take one away")));
        }
    }
    Ok(messages)
}

/// A message as it is looked through.
struct Reading<'a> {
    source: &'a str,
    /// The message's line, for what has no place of its own.
    at: usize,
    variables: Vec<String>,
}

impl Reading<'_> {
    fn pattern(&mut self, pattern: &Pattern<&str>) -> Result<(), Fault> {
        pattern.elements.iter().try_for_each(|element| match element {
            PatternElement::TextElement { .. } => Ok(()),
            PatternElement::Placeable { expression } => self.expression(expression),
        })
    }

    fn expression(&mut self, expression: &Expression<&str>) -> Result<(), Fault> {
        match expression {
            Expression::Inline(inline) => self.inline(inline),
            Expression::Select { selector, variants } => {
                self.inline(selector)?;
                variants.iter().try_for_each(|variant| self.pattern(&variant.value))
            }
        }
    }

    fn inline(&mut self, inline: &InlineExpression<&str>) -> Result<(), Fault> {
        let offer = VARIABLES.map(|name| format!("${name}")).join(", ");
        match inline {
            InlineExpression::StringLiteral { .. } | InlineExpression::NumberLiteral { .. } => Ok(()),
            InlineExpression::Placeable { expression } => self.expression(expression),
            InlineExpression::VariableReference { id } if VARIABLES.contains(&id.name) => {
                self.variables.push(id.name.to_owned());
                Ok(())
            }
            InlineExpression::VariableReference { id } => {
                Err((line(self.source, id.name), format!("${} is unknown; a text may use {offer}", id.name)))
            }
            InlineExpression::MessageReference { id, .. } | InlineExpression::TermReference { id, .. } => {
                Err((line(self.source, id.name), format!("refers to {}; write its words here instead", id.name)))
            }
            InlineExpression::FunctionReference { id, .. } => {
                Err((self.at, format!("{}() is unknown; a text may use a variable: {offer}", id.name)))
            }
        }
    }
}

/// The line on which `piece`, a part of `source`, begins.
fn line(source: &str, piece: &str) -> usize {
    line_of(source, piece.as_ptr().addr().saturating_sub(source.as_ptr().addr()))
}

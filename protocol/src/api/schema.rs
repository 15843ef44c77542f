//! Schemas of what is one text in JSON: times, names, hashes.

use std::borrow::Cow;

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{CredentialHash, DoorId, Instant};

/// A short word for policies.
pub(super) struct Group;

/// A badge's code.
pub(super) struct Badge;

/// An ID number, or its hash.
pub(super) struct IdNumber;

/// A credential's keyed hash, as an export writes it.
pub(super) struct WrittenHash;

/// A day or a moment, or nothing.
pub(super) struct DayOrMoment;

/// A colour of somebody's health, or nothing.
pub(super) struct Colour;

/// A language of door texts, or nothing.
pub(super) struct DoorLanguage;

/// A parameter that is given or not, with or without a value.
pub(super) struct Switch;

macro_rules! text {
    ($type:ty, $name:literal, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

text!(Instant, "Instant", of_format(KnownFormat::DateTime).description(Some("A moment, RFC 3339 with milliseconds")));
text!(DoorId, "DoorId", matching("^[a-z0-9-]{1,32}$").description(Some("A door's or device's name")));
text!(CredentialHash, "CredentialHash", matching("^[0-9a-f]{32}$").description(Some("Keyed hash of a credential")));
text!(Group, "Group", matching("^[a-z0-9_-]{0,32}$"));
text!(Badge, "Badge", matching(&badge_pattern()).max_length(Some(256)));
text!(IdNumber, "IdNumber", matching("^(b3:[0-9a-fA-F]{32}|[0-9A-Za-z]([ .-]?[0-9A-Za-z]){0,63})?$"));
text!(WrittenHash, "WrittenHash", matching("^(b3:[0-9a-fA-F]{32})?$"));
text!(
    DayOrMoment,
    "DayOrMoment",
    OneOfBuilder::new().item(of_format(KnownFormat::Date)).item(of_format(KnownFormat::DateTime)).item(nothing())
);
text!(Colour, "Colour", one_of(["green", "yellow", "red", "black", ""]));
text!(DoorLanguage, "DoorLanguage", one_of(["id", "en", ""]));
text!(Switch, "Switch", OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Boolean)).item(nothing()));

fn of_format(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
}

/// Nothing, which counts for no badge, or more than [`normal_code`](crate::normal_code) takes away.
fn badge_pattern() -> String {
    let blank = r"\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000";
    let around = format!(r"[\u0000-\u0020\u007F-\u009F{blank}\uFEFF]*");
    format!(r"^[\t-\r {blank}]*$|^(?!{around}(\][A-Za-z][A-Za-z0-9]{around})*$)")
}

fn matching(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

fn one_of<const N: usize>(words: [&'static str; N]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

fn nothing() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(0))
}

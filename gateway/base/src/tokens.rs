//! Access tokens: the format of `tokens.toml`, one table per token, and who the bearer of a token is.

use std::collections::BTreeMap;

pub use protocol::api::{TokenRole, UnknownRole};
use protocol::{DoorId, Instant};
use serde::Deserialize;

/// The name of the token that is made with the site and kept in a file of its own; no other may have it.
pub const ADMIN: &str = "admin";

/// What stands before the digits of a token's hash.
const HASH_PREFIX: &str = "b3:";

/// Every token of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// One token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name: 1 to 32 of `a-z`, `0-9` and `-`. Not secret.
    pub name: DoorId,
    /// What its bearer may do.
    pub role: TokenRole,
    /// BLAKE3 hash of the token.
    pub hash: blake3::Hash,
    /// When it ends; never, where absent.
    pub until: Option<Instant>,
    /// The doors that a helper may act at; all, where absent.
    pub doors: Option<Vec<DoorId>>,
}

/// One table of the file.
#[derive(Deserialize)]
#[serde(try_from = "Table")]
struct Entry {
    role: TokenRole,
    hash: blake3::Hash,
    until: Option<Instant>,
    doors: Option<Vec<DoorId>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    role: TokenRole,
    hash: String,
    until: Option<Instant>,
    doors: Option<Vec<DoorId>>,
}

impl Tokens {
    /// Reads the text of `tokens.toml`.
    ///
    /// # Errors
    /// Says where in the text what is wrong.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let entries: BTreeMap<DoorId, Entry> = toml::from_str(text)?;
        if entries.contains_key(ADMIN) {
            let taken = "the name admin belongs to the token in secrets/admin.token; take another";
            return Err(serde::de::Error::custom(taken));
        }
        let tokens = entries.into_iter().map(|(name, Entry { role, hash, until, doors })| Token {
            name,
            role,
            hash,
            until,
            doors,
        });
        Ok(Self(tokens.collect()))
    }

    /// Adds the token that was made with the site, known by its hash.
    ///
    /// # Errors
    /// Never while [`ADMIN`] is a name.
    pub fn with_admin(mut self, hash: blake3::Hash) -> Result<Self, protocol::NameError> {
        let admin = Token { name: ADMIN.parse()?, role: TokenRole::Admin, hash, until: None, doors: None };
        self.0.insert(0, admin);
        Ok(self)
    }

    /// Whose token this is. Takes the same time whichever it is, and whether it is one or not.
    pub fn find(&self, token: &[u8]) -> Option<&Token> {
        let hash = blake3::hash(token);
        // Comparing two `blake3::Hash`es takes the same time wherever they differ.
        self.0.iter().fold(None, |found, known| if known.hash == hash { Some(known) } else { found })
    }

    /// Every token, the one made with the site first, then by name.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    /// Whether a token has this name.
    pub fn has(&self, name: &DoorId) -> bool {
        self.0.iter().any(|token| token.name == *name)
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Token {
    /// Whether it has ended by `now`.
    pub fn is_expired(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until < now)
    }

    /// Whether its bearer may act at `door`.
    pub fn may_act_at(&self, door: &DoorId) -> bool {
        self.doors.as_ref().is_none_or(|doors| doors.contains(door))
    }

    /// The table of this token as it stands in the file.
    pub fn to_toml(&self) -> String {
        let hash = self.hash.to_hex();
        let mut table = format!("[{}]\nrole = \"{}\"\nhash = \"{HASH_PREFIX}{hash}\"\n", self.name, self.role.as_str());
        if let Some(until) = self.until {
            table.push_str(&format!("until = \"{until}\"\n"));
        }
        if let Some(doors) = &self.doors {
            // Names need no quoting.
            let doors: Vec<_> = doors.iter().map(|door| format!("\"{door}\"")).collect();
            table.push_str(&format!("doors = [{}]\n", doors.join(", ")));
        }
        table
    }
}

impl TryFrom<Table> for Entry {
    type Error = &'static str;

    fn try_from(Table { role, hash, until, doors }: Table) -> Result<Self, &'static str> {
        let hash = hash.strip_prefix(HASH_PREFIX).and_then(|digits| blake3::Hash::from_hex(digits).ok());
        let hash = hash.ok_or("hash must be b3: and the 64 hexadecimal digits of the token's BLAKE3 hash")?;
        if doors.is_some() && role != TokenRole::Helper {
            return Err("doors is for the role helper only: every other role is for the whole site");
        }
        Ok(Self { role, hash, until, doors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper() -> Token {
        Token {
            name: "lobby-desk".parse().unwrap(),
            role: TokenRole::Helper,
            hash: blake3::hash(b"a token"),
            until: Some(Instant::from_unix_ms(5_000)),
            doors: Some(vec!["main-in".parse().unwrap(), "main-out".parse().unwrap()]),
        }
    }

    #[test]
    fn a_written_token_reads_back_and_is_found_by_what_its_bearer_shows() {
        let plain =
            Token { name: "z".parse().unwrap(), until: None, doors: None, hash: blake3::hash(b"z"), ..helper() };
        let text = format!("# tokens\n{}\n{}", helper().to_toml(), plain.to_toml());
        let tokens = Tokens::parse(&text).unwrap().with_admin(blake3::hash(b"root")).unwrap();
        assert_eq!(tokens.find(b"a token"), Some(&helper()));
        assert_eq!(tokens.find(b"z"), Some(&plain));
        let admin = tokens.find(b"root").unwrap();
        assert_eq!((admin.name.as_str(), admin.role, admin.until), ("admin", TokenRole::Admin, None));
        for stranger in [&b"a token "[..], b"", b"A token"] {
            assert_eq!(tokens.find(stranger), None);
        }
        assert_eq!(tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["admin", "lobby-desk", "z"]);
    }

    #[test]
    fn a_token_ends_when_it_says_and_acts_where_it_says() {
        let (token, elsewhere) = (helper(), "east".parse().unwrap());
        assert!(!token.is_expired(Instant::from_unix_ms(5_000)) && token.is_expired(Instant::from_unix_ms(5_001)));
        assert!(token.may_act_at(&"main-out".parse().unwrap()) && !token.may_act_at(&elsewhere));
        let free = Token { until: None, doors: None, ..token };
        assert!(!free.is_expired(Instant::from_unix_ms(i64::MAX)) && free.may_act_at(&elsewhere));
    }

    #[test]
    fn every_role_reads_back_from_the_file_and_only_helpers_stand_at_doors() {
        for role in TokenRole::ALL {
            let token = Token { role, doors: None, ..helper() };
            assert_eq!(Tokens::parse(&token.to_toml()).unwrap().find(b"a token"), Some(&token), "{role}");
            assert_eq!(role.as_str().parse(), Ok(role));
            let beside_a_door = Token { role, ..helper() }.to_toml();
            assert_eq!(Tokens::parse(&beside_a_door).is_ok(), role == TokenRole::Helper, "{role}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let good = helper().to_toml();
        for (text, words) in [
            (good.replace("b3:", "b4:"), "64 hexadecimal digits"),
            (good.replace("\"b3:", "\"b3:0"), "64 hexadecimal digits"),
            (good.replace("\"helper\"", "\"king\""), "king"),
            (good.replace("\"helper\"", "\"admin\""), "for the role helper only"),
            (good.replace("[lobby-desk]", "[Lobby Desk]"), ""),
            (good.replace("lobby-desk", "admin"), "secrets/admin.token"),
            (good.replace("main-in", "Main In"), "a-z"),
            (good.replace("until = \"1", "until = \"x"), ""),
            (good.replace("role", "rule"), "rule"),
            (good.replace("role = \"helper\"\n", ""), "role"),
        ] {
            let error = Tokens::parse(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(
            "king".parse::<TokenRole>().unwrap_err().to_string(),
            "there is no such role: use one of admin, helper, viewer, operator, attendance, tracer, privacy-officer"
        );
    }
}
